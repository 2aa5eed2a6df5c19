// Writes the objects of a run to the work bucket like kickoff, fetcher and transformer.
import { transform } from "../../services/transformer/transform.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { datasets } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import type { PageMessage, Totals } from "../../shared/messages.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { pageCount, type Run, type RunAttempt, windowTotals } from "../../shared/run.ts";
import { windowAttempts } from "../../shared/window-attempts.ts";
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

/** Writes the totals of page 1. */
export async function putTotals(run: Run, content: WindowContent, work: ObjectStore): Promise<void> {
  const { window, attempt = 1 } = content;
  await work.putOnce(keys.window({ runId: run.runId, window, attempt }), totalsOf(content));
}

/** Returns the fetcher's message for a page of the window. */
export function pageOf(run: Run, content: WindowContent, page: number): PageMessage {
  const { window, attempt = 1 } = content;
  const totals = totalsOf(content);
  return {
    task: taskOf(run, { window, attempt, page }),
    totals,
    pages: pageCount(totals),
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

/** Writes the totals and transforms every page. */
export async function putWindow(
  run: Run,
  content: WindowContent,
  work: ObjectStore,
  deployed: readonly Dataset[] = datasets,
): Promise<void> {
  await putTotals(run, content, work);
  for (const page of content.pages.keys()) await putPage(run, content, page + 1, work, deployed);
}

/** Writes the recount of every window for an attempt of the run: its stored totals with the given changes. */
export async function putRecounts(
  run: Run,
  attempt: number,
  work: ObjectStore,
  changed: ReadonlyMap<number, Partial<Totals>> = new Map(),
): Promise<void> {
  for (const { window, address } of await windowAttempts(run, attempt, work)) {
    const totals = await work.getJson(keys.window(address), windowTotals);
    if (totals)
      await work.putOnce(keys.recount({ ...address, attempt }), { ...totals, ...changed.get(window.number) });
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
