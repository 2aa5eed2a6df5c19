// Requests, runs and tasks of the default dataset, valid and small; a test sets what it is about.
import type { RunRequested } from "../../shared/events.ts";
import type { FetchTask } from "../../shared/messages.ts";
import { type Run, runIdOf } from "../../shared/run.ts";

const dataset = "reference-transactions";

/** `run.requested` as EventBridge delivers it. */
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

/** A run whose windows are the given ranges; each `requestId` makes another run. */
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
    windows: ranges.map(([from, to], index) => ({ number: index + 1, from, to })),
  };
}

/** The task for a page of one of the run's windows. @param at `pages` where page 1 was fetched before */
export function taskOf(
  run: Run,
  at: { window?: number; attempt?: number; page?: number; pages?: number } = {},
): FetchTask {
  const { window: number = 1, attempt = 1, page = 1, pages } = at;
  const window = run.windows.find((candidate) => candidate.number === number);
  if (!window) throw new Error(`The run has no window ${number}.`);
  return { runId: run.runId, dataset: run.dataset, window, attempt, page, ...(pages && { pages }) };
}
