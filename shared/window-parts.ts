// Finds the parts of a run in one listing. A window is one request if it fits one page. If it does not, its range is split,
// or a single day is paged. Splitting and transforming a range compete for one key, and the first one wins: a part, or an
// empty object that marks a split. So a range that is fetched twice, with other totals, never has both.
import { isReused, type WindowAttempt } from "./attempts.ts";
import { keys, type PageAddress, type RangeAddress } from "./keys.ts";
import type { ObjectStore } from "./ports.ts";
import { maxParts, pageCount, type Run, rangeSplit } from "./run.ts";

/** A part, or one that is missing. `bytes` is its size, if it is known. */
export type FoundPart = { key: string; bytes: number; address: PageAddress };
export type WindowParts = WindowAttempt & { parts: FoundPart[]; missing: PageAddress[] };

/**
 * Yields the parts of each window, in the order of the output. Memory: the listing of a window. A reused window has none
 * in this run.
 * @param windows in order
 * @throws PipelineError `TooManyObjects`
 */
export async function* windowParts(
  { runId }: Pick<Run, "runId">,
  windows: Iterable<WindowAttempt>,
  work: ObjectStore,
): AsyncGenerator<WindowParts> {
  const listing = work.objects(keys.allParts(runId), maxParts)[Symbol.asyncIterator]();
  let next = await listing.next();
  for (const { window, attempt } of windows) {
    if (isReused({ window, attempt })) {
      yield { window, attempt, parts: [], missing: [] };
      continue;
    }
    const address = { runId, window: window.number, attempt, from: window.from, to: window.to };
    const prefix = keys.parts(address);
    const sizes = new Map<string, number>();
    for (
      ;
      !next.done && (next.value.key < prefix || next.value.key.startsWith(prefix));
      next = await listing.next()
    )
      if (next.value.key.startsWith(prefix)) sizes.set(next.value.key, next.value.bytes);
    const found: Found = { parts: [], missing: [] };
    await collect(address, sizes, found, work);
    yield { window, attempt, ...found };
  }
}

type Found = Pick<WindowParts, "parts" | "missing">;

async function collect(
  range: RangeAddress,
  sizes: ReadonlyMap<string, number>,
  found: Found,
  work: ObjectStore,
): Promise<void> {
  const address = { ...range, page: 1, pages: 1 };
  const bytes = sizes.get(keys.part(address));
  if (bytes !== 0) return add(address, sizes, found);
  const split = await work.getJson(keys.split(range), rangeSplit);
  // The split is stored before the mark, and both expire at the same time.
  if (!split) return void found.missing.push(address);
  const pages = split.pieces ? 0 : pageCount(split.totals);
  for (let page = 1; page <= pages; page++) add({ ...range, page, pages }, sizes, found);
  for (const piece of split.pieces ?? []) await collect({ ...range, ...piece }, sizes, found, work);
}

function add(address: PageAddress, sizes: ReadonlyMap<string, number>, { parts, missing }: Found): void {
  const key = keys.part(address);
  const bytes = sizes.get(key);
  if (bytes === undefined) missing.push(address);
  else parts.push({ key, bytes, address });
}
