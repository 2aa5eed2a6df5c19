// Refreshes the data sources and workbooks of a dataset in Tableau and follows each job to its end.
import { realClock } from "../../shared/clock.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError, toPipelineError } from "../../shared/errors.ts";
import type { EventDetail } from "../../shared/events.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { Clock, Emit } from "../../shared/ports.ts";
import { type Audience, allEntries, isDeidentified } from "../../shared/privacy/deidentified.ts";
import { type Content, pauseOf, type TableauSession } from "./tableau-client.ts";

export type RefreshDeps = {
  /** Undefined if no Tableau is configured. */
  signIn: (() => Promise<TableauSession>) | undefined;
  emit: Emit;
  datasets: readonly Dataset[];
  /** Which file of a dataset Tableau reads. */
  audience: Audience;
  /** Pause before the first check of the jobs. Each further pause doubles. */
  pauseMs: number;
  /** When the last check must be done, in milliseconds since 1970. */
  deadline: number;
  clock?: Clock;
};

type Published = Pick<EventDetail<"results.published">, "runId" | "dataset">;

type InProgress = { content: Content; jobId: string; state: "in progress" };
/** Without `jobId` if a job was already queued in Tableau. */
type Refreshed = { content: Content; jobId?: string; state: "refreshed" };
type Failed = { content: Content; error: PipelineError; state: "failed" };
type Ended = Refreshed | Failed;
type Outcome = InProgress | Ended;

/**
 * Refreshes everything that the dataset's entry names. A repeated message refreshes all of it again.
 * @throws PipelineError if any refresh failed; transient if a retry may succeed
 */
export async function refresh({ runId, dataset }: Published, deps: RefreshDeps): Promise<LogFields> {
  const { signIn, emit } = deps;
  if (!signIn) return { run: runId, skipped: "no Tableau is configured" };
  const entry = findDataset(dataset, allEntries(deps.datasets));
  if (isDeidentified(entry.name) !== (deps.audience === "deidentified"))
    return { run: runId, skipped: "Tableau reads the other file" };
  const contents = contentsOf(entry);
  if (contents.length === 0) return { run: runId, skipped: "the dataset's entry names nothing in Tableau" };
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

/** Emits `tableau.failed` for a message that became a dead letter. */
export async function emitFailure(
  { runId, dataset }: Published,
  error: PipelineError,
  emit: Emit,
): Promise<void> {
  await emit("tableau.failed", { runId, dataset, reason: error.sentence });
}

/** Returns what the dataset's entry names in Tableau. */
export function contentsOf({ tableau }: Dataset): Content[] {
  const { dataSources = [], workbooks = [] } = tableau ?? {};
  return [
    ...dataSources.map((content) => ({ ...content, kind: "data source" as const })),
    ...workbooks.map((content) => ({ ...content, kind: "workbook" as const })),
  ];
}

/** Always signs out. A failed refresh does not stop the others. */
async function refreshAll(contents: Content[], session: TableauSession, deps: RefreshDeps): Promise<Ended[]> {
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
    return jobId === undefined ? { content, state: "refreshed" } : { content, jobId, state: "in progress" };
  } catch (error) {
    return { content, state: "failed", error: toPipelineError(error) };
  }
}

/** Checks the jobs, with growing pauses, until each has ended or the next check would be past the deadline. */
async function follow(started: Outcome[], session: TableauSession, deps: RefreshDeps): Promise<Ended[]> {
  const { pauseMs, deadline, clock = realClock } = deps;
  let outcomes = started;
  for (let check = 1; outcomes.some(({ state }) => state === "in progress"); check++) {
    const pause = pauseOf(pauseMs, check);
    if (pause >= deadline - clock.now()) break;
    await clock.sleep(pause);
    const checked: Outcome[] = [];
    for (const outcome of outcomes) {
      checked.push(outcome.state === "in progress" ? await checkJob(outcome, session, deps) : outcome);
    }
    outcomes = checked;
  }
  return outcomes.map((outcome) => (outcome.state === "in progress" ? tooSlow(outcome) : outcome));
}

async function checkJob(
  outcome: InProgress,
  session: TableauSession,
  { pauseMs, deadline, clock = realClock }: RefreshDeps,
): Promise<Outcome> {
  const { content, jobId } = outcome;
  try {
    const state = await session.stateOf(jobId);
    if (state === "in progress") return outcome;
    if (state === "succeeded") return { content, jobId, state: "refreshed" };
    throw new PipelineError("TableauJobFailed", {
      message: `Tableau's job ${state === "failed" ? "failed" : "was canceled"}.`,
      advice:
        "Find the cause in Tableau under Jobs or in its owner's email, fix it and replay the dead letter.",
      ids: { job: jobId },
    });
  } catch (error) {
    const reason = toPipelineError(error);
    // A check cut off by the deadline says nothing about the job, which was last seen in progress.
    if (reason.kind !== "terminal" && deadline - clock.now() < pauseMs) return outcome;
    return { content, state: "failed", error: reason };
  }
}

/** Terminal, because a retry would find the job in Tableau's queue and report success. */
function tooSlow({ content, jobId }: InProgress): Failed {
  const error = new PipelineError("TableauJobTooSlow", {
    message: "Tableau's job did not end in time.",
    advice:
      "It may still succeed: check Jobs in Tableau. If it regularly takes this long, raise TABLEAU_REFRESH_TIMEOUT_MS (shared/aws/config.ts).",
    ids: { job: jobId },
  });
  return { content, state: "failed", error };
}

/** Returns one error for all failed refreshes, which also lists the successful ones. */
function notRefreshed(failures: Failed[], refreshed: Refreshed[], runId: string): PipelineError {
  const errors = failures.map(({ error }) => error);
  const retryable = errors.find(({ kind }) => kind !== "terminal");
  const waits = errors.flatMap(({ retryAfterSeconds }) => retryAfterSeconds ?? []);
  const reasons = failures.map(({ content, error }) => {
    const ids = Object.entries(error.ids).map(([name, value]) => ` (${name} ${value})`);
    return `The ${nameOf(content)} was not refreshed: ${error.message}${ids.join("")}`;
  });
  const others = refreshed.map(({ content }) => `The ${nameOf(content)} was refreshed.`);
  return new PipelineError((retryable ?? errors[0])?.name ?? "TableauNotRefreshed", {
    kind: retryable?.kind ?? "terminal",
    message: [...reasons, ...others].join(" "),
    advice: [...new Set(errors.map(({ advice }) => advice))].join(" "),
    ids: { run: runId },
    cause: (retryable ?? errors[0])?.cause,
    ...(waits.length > 0 && { retryAfterSeconds: Math.max(...waits) }),
  });
}

function nameOf({ kind, name, project }: Content): string {
  return `${kind} "${name}"${project === undefined ? "" : ` in the project "${project}"`}`;
}
