// Writes the objects of a run to the work bucket like kickoff, fetcher and transformer.
import { transform } from "../../services/transformer/transform.ts";
import { windowAttempts } from "../../shared/attempts.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { datasets } from "../../shared/datasets.ts";
import { keys, type PageAddress } from "../../shared/keys.ts";
import type { Recount } from "../../shared/kinds/kind.ts";
import type { PageMessage, Totals } from "../../shared/messages.ts";
import { decodeSummary, partContentType } from "../../shared/part.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { pageCount, type RangeSplit, type Run, type RunAttempt } from "../../shared/run.ts";
import { windowParts } from "../../shared/window-parts.ts";
import { taskOf } from "../factories/requests.ts";

export type WindowContent = {
  window: number;
  attempt?: number;
  /** The records of each page. An empty range has one page without records. */
  pages: readonly (readonly unknown[])[];
  /** The totals of LibInsight, if they differ from its pages. */
  totals?: Partial<Totals>;
};

export async function putRun(run: Run, work: ObjectStore): Promise<void> {
  await work.putOnce(keys.run(run.runId), run);
}

/** Marks the window as paged, if it has several pages. */
export async function putPages(run: Run, content: WindowContent, work: ObjectStore): Promise<void> {
  const totals = totalsOf(content);
  if (pageCount(totals) === 1) return;
  const address = addressOf(run, content);
  await work.putOnce(keys.split(address), { totals } satisfies RangeSplit);
  await work.create(keys.part(address), "", partContentType);
}

/** Returns the address of the window, or of a page of it. */
export function addressOf(run: Run, content: WindowContent, page?: number): PageAddress {
  const { window, attempt = 1 } = content;
  const pages = page === undefined ? 1 : pageCount(totalsOf(content));
  const { range } = taskOf(run, { window });
  return { runId: run.runId, window, attempt, ...range, page: page ?? 1, pages };
}

/** Returns the fetcher's message for a page of the window. */
export function pageOf(run: Run, content: WindowContent, page: number): PageMessage {
  const { window, attempt = 1 } = content;
  const totals = totalsOf(content);
  const pages = pageCount(totals);
  return {
    task: taskOf(run, { window, attempt, page, ...(pages > 1 && { pages }) }),
    totals,
    records: { inline: [...(content.pages[page - 1] ?? [])] },
  };
}

/** Transforms a page of the window. */
export async function putPage(
  run: Run,
  content: WindowContent,
  page: number,
  work: ObjectStore,
  deployed: readonly Dataset[] = datasets,
): Promise<void> {
  await transform(pageOf(run, content, page), { work, datasets: deployed });
}

/** Transforms every page, of a window of several pages as those of a busy day. */
export async function putWindow(
  run: Run,
  content: WindowContent,
  work: ObjectStore,
  deployed: readonly Dataset[] = datasets,
): Promise<void> {
  await putPages(run, content, work);
  for (const page of content.pages.keys()) await putPage(run, content, page + 1, work, deployed);
}

/** Writes the recount of every period for an attempt of the run: what LibInsight announced, with the given changes. */
export async function putRecounts(
  run: Run,
  attempt: number,
  work: ObjectStore,
  changed: ReadonlyMap<number, Partial<Recount>> = new Map(),
): Promise<void> {
  const windows = await windowAttempts(run, attempt, work);
  const announced = new Map<number, Recount>();
  for await (const { window, parts } of windowParts(run, windows, work)) {
    const period = run.periods.find(({ from, to }) => window.from >= from && window.to <= to)?.number ?? 0;
    for (const { key, address } of parts) {
      // Each page of a range has the totals of the range.
      const [line = ""] = (await work.getStart(key, 100_000)).split("\n");
      const totals = address.page > 1 ? undefined : decodeSummary(line)?.totals;
      if (!totals) continue;
      const before = announced.get(period) ?? {};
      announced.set(period, {
        totalRecords: (before.totalRecords ?? 0) + totals.totalRecords,
        ...(totals.sum !== undefined && { sum: (before.sum ?? 0) + totals.sum }),
      });
    }
  }
  for (const { number } of run.periods) {
    const recount = { ...announced.get(number), ...changed.get(number) };
    await work.putOnce(keys.recount(run.runId, attempt, number), recount);
  }
}

/** Writes the attempt of each window in an attempt of the run. */
export async function putAttempt(
  run: Run,
  windows: number[],
  work: ObjectStore,
  attempt = Math.max(...windows),
): Promise<void> {
  const decided: RunAttempt = { attempt, windows, because: ["test"] };
  await work.putOnce(keys.attempt(run.runId, attempt), decided);
}

function totalsOf({ pages, totals }: WindowContent): Totals {
  const totalRecords = pages.flat().length;
  return { totalPages: totalRecords === 0 ? 0 : pages.length, totalRecords, ...totals };
}
