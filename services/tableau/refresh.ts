// New results are published: Tableau refreshes what the dataset's entry names, and each job is followed to its end.
import { realClock } from "../../shared/clock.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError, toPipelineError } from "../../shared/errors.ts";
import type { EventDetail } from "../../shared/events.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { Clock, Emit } from "../../shared/ports.ts";
import { type Content, pauseOf, type TableauSession } from "./tableau-client.ts";

export type RefreshDeps = {
  /** Undefined where there is no Tableau. */
  signIn: (() => Promise<TableauSession>) | undefined;
  emit: Emit;
  datasets: readonly Dataset[];
  /** Between two looks at the jobs, the first time. */
  pauseMs: number;
  /** When jobs are followed no longer, in milliseconds since 1970. */
  ends: number;
  clock?: Clock;
};

type Published = Pick<EventDetail<"results.published">, "runId" | "dataset">;

type UnderWay = { content: Content; jobId: string; state: "under way" };
/** Without a job it waits in Tableau's queue since before. */
type Refreshed = { content: Content; jobId?: string; state: "refreshed" };
type Failed = { content: Content; error: PipelineError; state: "failed" };
type Outcome = UnderWay | Refreshed | Failed;

/**
 * May run again for the same message: what was refreshed is then refreshed once more.
 * @throws PipelineError where something was not refreshed; transient where another try may do better
 */
export async function refresh({ runId, dataset }: Published, deps: RefreshDeps): Promise<LogFields> {
  const { signIn, emit } = deps;
  if (!signIn) return { run: runId, skipped: "there is no Tableau" };
  const contents = contentsOf(findDataset(dataset, deps.datasets));
  if (contents.length === 0) return { run: runId, skipped: "the dataset names nothing in Tableau" };
  const outcomes = await refreshAll(contents, await signIn(), deps);
  const failures = outcomes.filter((outcome) => outcome.state === "failed");
  const refreshed = outcomes.filter((outcome) => outcome.state === "refreshed");
  if (failures.length > 0) throw notRefreshed(failures, refreshed, runId);
  await emit("tableau.refreshed", {
    runId,
    dataset,
    refreshed: refreshed.map(({ content: { kind, name }, jobId }) => ({
      kind,
      name,
      ...(jobId !== undefined && { jobId }),
    })),
  });
  return { run: runId, refreshed: refreshed.length };
}

/** For a message that has become a dead letter. */
export async function reportFailure(
  { runId, dataset }: Published,
  error: PipelineError,
  emit: Emit,
): Promise<void> {
  await emit("tableau.failed", { runId, dataset, reason: error.sentence });
}

function contentsOf({ tableau }: Dataset): Content[] {
  const { dataSources = [], workbooks = [] } = tableau ?? {};
  return [
    ...dataSources.map((content) => ({ ...content, kind: "data source" as const })),
    ...workbooks.map((content) => ({ ...content, kind: "workbook" as const })),
  ];
}

/** Signs out at the end, whatever happens. One content that fails keeps no other from being refreshed. */
async function refreshAll(
  contents: Content[],
  session: TableauSession,
  deps: RefreshDeps,
): Promise<Exclude<Outcome, UnderWay>[]> {
  try {
    const outcomes: Outcome[] = [];
    for (const content of contents) outcomes.push(await start(content, session));
    return await follow(outcomes, session, deps);
  } finally {
    await session.signOut();
  }
}

async function start(content: Content, session: TableauSession): Promise<Outcome> {
  try {
    const jobId = await session.refresh(content.kind, await session.find(content));
    return jobId === undefined ? { content, state: "refreshed" } : { content, jobId, state: "under way" };
  } catch (error) {
    return { content, state: "failed", error: toPipelineError(error) };
  }
}

/** Looks at all jobs, with growing pauses, until each has ended or the next look would come too late. */
async function follow(
  started: Outcome[],
  session: TableauSession,
  deps: RefreshDeps,
): Promise<Exclude<Outcome, UnderWay>[]> {
  const { pauseMs, ends, clock = realClock } = deps;
  let outcomes = started;
  for (let look = 1; outcomes.some(({ state }) => state === "under way"); look++) {
    const pause = pauseOf(pauseMs, look);
    if (pause >= ends - clock.now()) break;
    await clock.sleep(pause);
    const seen: Outcome[] = [];
    for (const outcome of outcomes) {
      seen.push(outcome.state === "under way" ? await lookAt(outcome, session, deps) : outcome);
    }
    outcomes = seen;
  }
  return outcomes.map((outcome) => (outcome.state === "under way" ? tooSlow(outcome) : outcome));
}

async function lookAt(
  outcome: UnderWay,
  session: TableauSession,
  { pauseMs, ends, clock = realClock }: RefreshDeps,
): Promise<Outcome> {
  const { content, jobId } = outcome;
  try {
    const state = await session.stateOf(jobId);
    if (state === "under way") return outcome;
    if (state === "succeeded") return { content, jobId, state: "refreshed" };
    throw new PipelineError("TableauJobFailed", {
      message: `Tableau's job ${state === "failed" ? "failed" : "was cancelled"}.`,
      advice: "Tableau shows why, under Jobs and in its owner's email; fix that and replay the dead letter.",
      ids: { job: jobId },
    });
  } catch (error) {
    const reason = toPipelineError(error);
    // Cut off by the end of the time: what is known of the job is that it had not ended.
    if (reason.kind !== "terminal" && ends - clock.now() < pauseMs) return outcome;
    return { content, state: "failed", error: reason };
  }
}

/** Terminal: another try would find the job in Tableau's queue and take that for success. */
function tooSlow({ content, jobId }: UnderWay): Failed {
  const error = new PipelineError("TableauJobTooSlow", {
    message: "Tableau's job had not ended when the time for it was over.",
    advice:
      "It may still end well: look under Jobs in Tableau. If it always takes so long, raise TABLEAU_REFRESH_TIMEOUT_MS (shared/aws/config.ts).",
    ids: { job: jobId },
  });
  return { content, state: "failed", error };
}

/** One error for the message: what was not refreshed and why, and what was. */
function notRefreshed(failures: Failed[], refreshed: Refreshed[], runId: string): PipelineError {
  const errors = failures.map(({ error }) => error);
  const passing = errors.find(({ kind }) => kind !== "terminal");
  const waits = errors.flatMap(({ retryAfterSeconds }) => retryAfterSeconds ?? []);
  const reasons = failures.map(({ content, error }) => {
    const ids = Object.entries(error.ids).map(([name, value]) => ` (${name} ${value})`);
    return `The ${nameOf(content)} was not refreshed: ${error.message}${ids.join("")}`;
  });
  const others = refreshed.map(({ content }) => `The ${nameOf(content)} was refreshed.`);
  return new PipelineError((passing ?? errors[0])?.name ?? "TableauNotRefreshed", {
    kind: passing?.kind ?? "terminal",
    message: [...reasons, ...others].join(" "),
    advice: [...new Set(errors.map(({ advice }) => advice))].join(" "),
    ids: { run: runId },
    cause: (passing ?? errors[0])?.cause,
    ...(waits.length > 0 && { retryAfterSeconds: Math.max(...waits) }),
  });
}

function nameOf({ kind, name, project }: Content): string {
  return `${kind} "${name}"${project === undefined ? "" : ` of the project "${project}"`}`;
}
