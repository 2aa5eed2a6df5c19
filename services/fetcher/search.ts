// Finds the windows that changed since they were fetched, by bisection: it counts ever smaller parts of a period whose total
// has changed. The next attempt of the run fetches these windows again.
import { startAttempt, windowAttempts } from "../../shared/attempts.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import type { LibInsightClient } from "../../shared/libinsight/client.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { SearchTask } from "../../shared/messages.ts";
import { expired, run as runSchema, type WindowSearch, windowSearch } from "../../shared/run.ts";
import { type FetcherDeps, rangeRequest } from "./fetch.ts";

/**
 * After this time or these requests, the windows of all remaining parts are fetched again. One request may take 110 s in the
 * worst case, and the function ends after 120 s (shared/topology.ts).
 */
const maxSearchMs = 10_000;
export const maxRequests = 40;

type CountedWindow = WindowSearch["periods"][number]["windows"][number];

/**
 * Starts the attempt that fetches the changed windows again.
 * @throws PipelineError by LibInsight's error policy, `RunMissing`, `SearchMissing`
 */
export async function search({ runId, attempt }: SearchTask, deps: FetcherDeps): Promise<LogFields> {
  const { work, libInsight } = deps;
  const run = await work.getJson(keys.run(runId), runSchema);
  if (!run) throw expired("RunMissing", { what: "The run of a search", ids: { run: runId } });
  const wanted = await work.getJson(keys.search(runId, attempt), windowSearch);
  if (!wanted) throw expired("SearchMissing", { what: "A search of the run", ids: { run: runId, attempt } });
  const again = new Set(wanted.windows);
  const count = counter(libInsight, findDataset(run.dataset, deps.datasets));
  for (const number of await changedWindows(wanted.periods, count)) again.add(number);
  const before = await windowAttempts(run, attempt - 1, work);
  const windows = before.map((each) => (again.has(each.window.number) ? attempt : each.attempt));
  const fetched = await startAttempt(run, { attempt, windows, because: wanted.because }, deps);
  return { run: runId, outcome: "refetching", attempt, windows: fetched };
}

/** Returns the records of these windows, or undefined without a request beyond the limits. */
type Count = (windows: readonly CountedWindow[]) => Promise<number | undefined>;

function counter(libInsight: LibInsightClient, dataset: Dataset): Count {
  const until = performance.now() + maxSearchMs;
  let requests = 0;
  return async (windows) => {
    const [first, last] = [windows[0], windows.at(-1)];
    if (requests >= maxRequests || performance.now() > until || !first || !last) return undefined;
    requests += 1;
    return (await libInsight.recount(rangeRequest({ from: first.from, to: last.to }, dataset))).totalRecords;
  };
}

/**
 * Returns the numbers of the windows whose records have another number now. Counts all parts of one size before smaller ones,
 * so that little is fetched again if the requests do not suffice.
 * @param periods consecutive windows, and the number of their records now
 */
export async function changedWindows(
  periods: readonly Pick<WindowSearch["periods"][number], "windows" | "counted">[],
  count: Count,
): Promise<number[]> {
  const changed: number[] = [];
  const parts = [...periods];
  for (let part = parts.shift(); part; part = parts.shift()) {
    const { windows, counted } = part;
    if (sumOf(windows) === counted) continue;
    const middle = windows.length >>> 1;
    const [earlier, later] = [windows.slice(0, middle), windows.slice(middle)];
    const ofEarlier = windows.length < 2 ? undefined : await count(earlier);
    if (ofEarlier === undefined) changed.push(...windows.map(({ number }) => number));
    else
      parts.push({ windows: earlier, counted: ofEarlier }, { windows: later, counted: counted - ofEarlier });
  }
  return changed.sort((a, b) => a - b);
}

function sumOf(windows: readonly CountedWindow[]): number {
  return windows.reduce((sum, { records }) => sum + records, 0);
}
