// The state of a run, from the work bucket: its progress, what is missing, and what to do next. Only reads.
import pMap from "p-map";
import { windowAttempts } from "../../../shared/attempts.ts";
import type { DeadLetter } from "../../../shared/dead-letter.ts";
import { PipelineError } from "../../../shared/errors.ts";
import { keys, type PageAddress } from "../../../shared/keys.ts";
import type { ObjectStore } from "../../../shared/ports.ts";
import {
  type PlannedWindow,
  type Run,
  type RunResult,
  runResult,
  run as runSchema,
} from "../../../shared/run.ts";
import type { QueueName } from "../../../shared/topology.ts";
import { windowParts } from "../../../shared/window-parts.ts";
import { type FileState, fileStateOf, type Live } from "./live.ts";

/** A run of ten million records has some four hundred thousand objects. */
const maxObjects = 500_000;
/** A run a day for each of thirty datasets, for the 30 days that the work bucket keeps. */
const maxRuns = 1_000;
const atOnce = 8;
/** A run cannot end while one of these queues has a dead letter of it. */
const queuesOfRuns: readonly QueueName[] = ["kickoff", "fetcher", "transformer", "assembler"];

/**
 * - `requested`: planned, and no page is transformed
 * - `fetching`: some pages are not fetched and transformed
 * - `assembling`: every page is transformed
 * - `blocked`: at one of these stages, with a dead letter
 * - `stalled`: at one of these stages, without progress for `stalledAfterSeconds`
 */
type Stage = "requested" | "fetching" | "assembling";
type RunState = Stage | "blocked" | "stalled" | RunResult["state"];

export type WindowProgress = PlannedWindow & {
  attempt: number;
  /** Number of transformed pages. */
  pages: number;
  /** The pages that are not transformed, as far as they are known: a range may not fit one page. */
  missing: PageAddress[];
};

export type RunAccount = {
  run: Run;
  state: RunState;
  stage: Stage | "ended";
  attempt: number;
  /** When one of its objects was last written, ISO 8601 in UTC. */
  movedAt: string;
  windows: WindowProgress[];
  result?: RunResult;
  /** Only of a published run. */
  file?: FileState;
  deadLetters: DeadLetter[];
  /** What a person should do next. */
  next: string;
};

/** A request that is a dead letter. The work bucket has nothing of its run. */
export type BlockedRequest = Pick<RunAccount, "movedAt" | "deadLetters" | "next"> & {
  run: Pick<Run, "runId">;
  state: "blocked";
};

export type AccountDeps = {
  work: ObjectStore;
  /** Without it, no account has a `file`. */
  live?: readonly Live[];
  now: () => Date;
  stalledAfterSeconds: number;
  /** Dead letters of all runs. */
  deadLetters: readonly DeadLetter[];
};

/** Returns every run in the work bucket and every request that is a dead letter, newest first. */
export async function accounts(deps: AccountDeps): Promise<(RunAccount | BlockedRequest)[]> {
  const folders = await deps.work.listFolders(keys.runs, maxRuns);
  const runIds = folders.map((folder) => folder.slice(keys.runs.length, -1));
  const found = await pMap(runIds, (runId) => accountIfThere(runId, deps), { concurrency: atOnce });
  return [
    ...found.filter((account) => account !== undefined),
    ...blockedRequests(deps.deadLetters, new Set(runIds)),
  ].sort((a, b) => requestedAt(b) - requestedAt(a));
}

function requestedAt({ run, movedAt }: RunAccount | BlockedRequest): number {
  return Date.parse("requestedAt" in run ? run.requestedAt : movedAt);
}

function blockedRequests(deadLetters: readonly DeadLetter[], known: ReadonlySet<string>): BlockedRequest[] {
  const byRun = Map.groupBy(deadLetters.filter(isOfRun), ({ run }) => run);
  return [...byRun].flatMap(([runId, own]) => {
    if (runId === undefined || known.has(runId)) return [];
    const movedAt = own.map(({ sentAt }) => sentAt).sort()[0] ?? "";
    return [{ run: { runId }, state: "blocked", movedAt, deadLetters: own, next: replayText(runId) }];
  });
}

function isOfRun({ queue }: DeadLetter): boolean {
  return queuesOfRuns.includes(queue);
}

/** @throws PipelineError `RunUnknown`, `RequestBlocked` */
export async function accountOf(runId: string, deps: AccountDeps): Promise<RunAccount> {
  const account = await accountIfThere(runId, deps);
  if (account) return account;
  const [blocked] = blockedRequests(
    deps.deadLetters.filter(({ run }) => run === runId),
    new Set(),
  );
  if (blocked) {
    throw new PipelineError("RequestBlocked", {
      message: "The run has not started, because its request is a dead letter.",
      advice: blocked.next,
      ids: { run: runId },
    });
  }
  throw new PipelineError("RunUnknown", {
    message: "This run is not in the work bucket, which keeps runs for 30 days.",
    advice: "To list the runs: npm run runs -- list",
    ids: { run: runId.slice(0, 64) },
  });
}

async function accountIfThere(runId: string, deps: AccountDeps): Promise<RunAccount | undefined> {
  const { work, now, stalledAfterSeconds } = deps;
  const run = await work.getJson(keys.run(runId), runSchema);
  if (!run) return undefined;
  const changes = new Map<string, Date>();
  for await (const { key, at } of work.objects(keys.folder(runId), maxObjects)) changes.set(key, at);
  const movedAt = new Date(Math.max(...[...changes.values()].map((date) => date.getTime())));
  const result = await work.getJson(keys.result(runId), runResult);
  const attempt = lastAttempt(runId, changes);
  // The parts of a published run may have been removed.
  const isPublished = result?.state === "published";
  const windows = await windowsOf(run, attempt, isPublished ? result : undefined, work);
  const stage = result ? "ended" : stageOf(windows);
  const isStalled = now().getTime() - movedAt.getTime() > stalledAfterSeconds * 1000;
  const deadLetters = deps.deadLetters.filter(({ run: of }) => of === runId);
  const isBlocked = deadLetters.some(isOfRun);
  const file = isPublished ? fileStateOf(run, deps.live ?? []) : undefined;
  const account = {
    run,
    state: result?.state ?? (isBlocked ? "blocked" : isStalled ? "stalled" : stageOf(windows)),
    stage,
    attempt,
    movedAt: movedAt.toISOString(),
    windows,
    ...(result && { result }),
    ...(file && { file }),
    deadLetters,
  } as const;
  return { ...account, next: nextStep(account) };
}

/** Finds the last attempt. Each one after the first has an object. */
function lastAttempt(runId: string, changes: ReadonlyMap<string, Date>): number {
  let attempt = 1;
  while (changes.has(keys.attempt(runId, attempt + 1))) attempt += 1;
  return attempt;
}

/** @param published result of a run whose parts may have been removed */
async function windowsOf(
  run: Run,
  attempt: number,
  published: RunResult | undefined,
  work: ObjectStore,
): Promise<WindowProgress[]> {
  const attempts = await windowAttempts(run, attempt, work);
  if (published)
    return attempts.map(({ window, attempt }, index) => {
      return { ...window, attempt, pages: published.windows[index]?.pages ?? 0, missing: [] };
    });
  return Array.fromAsync(windowParts(run, attempts, work), ({ window, attempt, parts, missing }) => {
    return { ...window, attempt, pages: parts.length, missing };
  });
}

function stageOf(windows: readonly WindowProgress[]): Stage {
  if (windows.every(({ missing }) => missing.length === 0)) return "assembling";
  return windows.some(({ pages }) => pages > 0) ? "fetching" : "requested";
}

function replayText(runId: string): string {
  return `Fix the cause of its dead letters: npm run replay -- show --run ${runId}. Then replay them: npm run replay -- send --run ${runId}`;
}

function nextStep({ run, state, result, file, deadLetters }: Omit<RunAccount, "next">): string {
  const { runId } = run;
  if (deadLetters.length > 0) return replayText(runId);
  switch (state) {
    case "stalled":
      return `It makes no progress and has no dead letter. To send the missing tasks again: npm run runs -- resume ${runId}`;
    case "held":
      return `Compare ${keys.held(runId)} in the work bucket with the published file. If the published file is right, no action is needed. If the new one is right: npm run runs -- publish ${runId} --force --reason TEXT`;
    case "failed":
      return `Fix the cause, then request the range again: npm run runs -- request --dataset ${run.dataset} --from ${result?.from ?? run.from} --to ${result?.to ?? run.to}`;
    case "published":
      if (file === "live")
        return `No action needed. If its files are wrong, restore the files before them: npm run runs -- rollback ${runId}`;
      if (file === "rolled back")
        return `No action needed. To restore its files: npm run runs -- rollback ${runId}`;
      return "No action needed.";
    case "superseded":
      return "No action needed.";
    default:
      return "In progress. No action needed.";
  }
}
