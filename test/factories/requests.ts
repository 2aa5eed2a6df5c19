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

/** Returns a run with the given windows. Each `requestId` gives another run. */
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

/** Returns the task for a page of the run. @param at `pages` if page 1 was fetched before */
export function taskOf(
  run: Run,
  at: { window?: number; attempt?: number; page?: number; pages?: number } = {},
): FetchTask {
  const { window: number = 1, attempt = 1, page = 1, pages } = at;
  const window = run.windows.find((candidate) => candidate.number === number);
  if (!window) throw new Error(`The run has no window ${number}.`);
  return { runId: run.runId, dataset: run.dataset, window, attempt, page, ...(pages && { pages }) };
}
