// Small valid requests, runs and tasks of the default dataset. A test sets only what it checks.
import type { RunRequested } from "../../shared/events.ts";
import type { FetchTask } from "../../shared/messages.ts";
import { type Run, runIdOf } from "../../shared/run.ts";

const dataset = "reference-transactions";

/** Returns `run.requested` as EventBridge delivers it. */
export function requestOf(
  given: { id?: string; time?: string; detail?: Partial<RunRequested["detail"]> } = {},
): RunRequested {
  return {
    id: given.id ?? "11111111-2222-3333-4444-555555555555",
    source: "libinsight.pipeline",
    time: given.time ?? "2024-03-15T12:00:00Z",
    "detail-type": "run.requested",
    detail: { dataset, reason: "test", ...given.detail },
  };
}

/** Returns a run with the given windows, each a period of its own. Each `requestId` gives another run. */
export function runOf(
  requestId: string,
  given: { windows?: [string, string][]; requestedAt?: string } = {},
): Run {
  const ranges = given.windows ?? [["2023-01-01", "2023-12-31"]];
  return {
    runId: runIdOf(dataset, requestId),
    dataset,
    requestId,
    requestedAt: given.requestedAt ?? "2024-03-15T12:00:00Z",
    reason: "test",
    from: ranges[0]?.[0] ?? "2023-01-01",
    to: ranges.at(-1)?.[1] ?? "2023-12-31",
    periods: ranges.map(([from, to], index) => ({ number: index + 1, from, to })),
    windows: ranges.map(([from, to], index) => ({ number: index + 1, from, to })),
  };
}

/** Returns the task for a window of the run. @param at `pages` if it is a page of a range that does not fit one */
export function taskOf(
  run: Run,
  at: { window?: number; attempt?: number; page?: number; pages?: number; last?: number } = {},
): FetchTask {
  const { window: number = 1, attempt = 1, page = 1, pages } = at;
  const window = run.windows.find((candidate) => candidate.number === number);
  const last = run.windows.at((at.last ?? 0) - 1);
  if (!window || !last) throw new Error(`The run has no window ${number}.`);
  const { from, to } = window;
  const ofRun = { runId: run.runId, dataset: run.dataset, last };
  return { ...ofRun, window, attempt, range: { from, to }, page, ...(pages && { pages }) };
}
