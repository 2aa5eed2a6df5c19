// Fetches one page of one window from LibInsight and enqueues it; page 1 also enqueues the rest of its window.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { LibInsightClient, LibInsightPage, PageRequest } from "../../shared/libinsight/client.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { FetchTask, PageMessage, Totals } from "../../shared/messages.ts";
import { type MessageQueue, maxMessageBytes, messageBody, type ObjectStore } from "../../shared/ports.ts";
import { maxPages, pagesOf, windowTotals } from "../../shared/run.ts";

export type FetcherDeps = {
  libInsight: LibInsightClient;
  work: ObjectStore;
  fetcherQueue: MessageQueue;
  transformerQueue: MessageQueue;
  datasets: readonly Dataset[];
};

/** @throws PipelineError by LibInsight's error policy, `WindowTooLarge` or `LibInsightTotalsContradict` */
export async function fetchPage(task: FetchTask, deps: FetcherDeps): Promise<LogFields> {
  const { libInsight, work, fetcherQueue, transformerQueue } = deps;
  const dataset = findDataset(task.dataset, deps.datasets);
  const ask = (page: number) => libInsight.fetchPage(pageRequest({ ...task, page }, dataset));
  const { records, leftOut, totals } = await ask(task.page).catch((error) => vanishedPage(error, task, ask));
  const found = records.length + (leftOut?.length ?? 0);
  const content = { records: { inline: records }, ...(leftOut && { leftOut }) };
  const sendPage = async (pages: number) =>
    transformerQueue.send(await pageBody({ task, totals, pages, ...content }, work));
  if (task.page === 1) {
    // Before the page is sent: its transformer may look for them.
    checkTotals(task, totals, found);
    const known = await rememberTotals(task, totals, work);
    const pages = pagesOf(known);
    const following = followingPages(task, pages).map(messageBody);
    await Promise.all([fetcherQueue.sendAll(following), sendPage(pages)]);
  } else {
    await sendPage(task.pages ?? Math.max(totals.totalPages, task.page));
  }
  const { runId: run, window, attempt, page } = task;
  return { run, window: window.number, attempt, page, records: found, ...totals };
}

export function pageRequest({ window, page }: FetchTask, dataset: Dataset): PageRequest {
  const { libinsightId: datasetId, requestId } = dataset;
  return { datasetId, requestId, from: window.from, to: window.to, page };
}

/** How LibInsight may respond to a page beyond the last; it is not documented. */
const beyondTheLast = [
  "LibInsightErrorResponse",
  "LibInsightAnotherPage",
  "LibInsightDatasetNotFound",
  "LibInsightRequestRefused",
  "LibInsightRedirected",
];

/**
 * A page that page 1 announced is gone for good where records were removed meanwhile, so asking again does not help.
 * It counts as empty, with the totals of now: they do not agree with page 1's, and the window is fetched again.
 * @throws the error where the page should be there
 */
async function vanishedPage(
  error: unknown,
  { page }: FetchTask,
  ask: (page: number) => Promise<LibInsightPage>,
): Promise<LibInsightPage> {
  if (page === 1 || !(error instanceof PipelineError) || !beyondTheLast.includes(error.name)) throw error;
  const { totals } = await ask(1);
  if (page <= totals.totalPages) throw error;
  return { records: [], totals };
}

/** By the API; the first page shows it, unless it is empty. */
const pageSize = 100;

/**
 * Refuses totals by which a window would be fetched page by page in vain. The opposite, fewer pages than the records
 * fill, shows when the records are counted.
 * @param found records of page 1
 */
function checkTotals(task: FetchTask, { totalPages, totalRecords }: Totals, found: number): void {
  const ids = { run: task.runId, window: task.window.number };
  // One more, because some servers count an empty page after a full one.
  if (totalPages > Math.ceil(totalRecords / (found || pageSize)) + 1) {
    throw new PipelineError("LibInsightTotalsContradict", {
      kind: "transient",
      message: `LibInsight announced ${totalPages} pages for ${totalRecords} records, and page 1 has ${found}.`,
      advice:
        "Compare with the number of records that LibInsight itself shows for these dates, and run it again.",
      ids,
    });
  }
  if (totalPages > maxPages) {
    throw new PipelineError("WindowTooLarge", {
      message: `LibInsight announced ${totalPages} pages for one year; the limit is ${maxPages}.`,
      advice: "If that many records are real, raise maxPages in shared/run.ts.",
      ids,
    });
  }
}

/** Page 1 may be fetched twice while the source changes; the totals that were written first hold. */
async function rememberTotals(task: FetchTask, totals: Totals, work: ObjectStore): Promise<Totals> {
  const key = keys.window({ runId: task.runId, window: task.window.number, attempt: task.attempt });
  if (await work.putOnce(key, totals)) return totals;
  return (await work.getJson(key, windowTotals)) ?? totals;
}

/** Returns the tasks for pages 2 to `pages` of the task's window. */
export function followingPages(task: FetchTask, pages: number): FetchTask[] {
  return Array.from({ length: pages - 1 }, (_, index) => ({ ...task, page: index + 2, pages }));
}

/** Returns the message for a page. The records of a page that is too large for a message go to the work bucket. */
async function pageBody(
  message: PageMessage & { records: { inline: unknown[] } },
  work: ObjectStore,
): Promise<string> {
  const body = messageBody(message);
  if (Buffer.byteLength(body) <= maxMessageBytes) return body;
  const { runId, window, attempt, page } = message.task;
  const key = keys.page({ runId, window: window.number, attempt, page });
  await work.put(key, JSON.stringify(message.records.inline), "application/json");
  const pointer: PageMessage = { ...message, records: { key } };
  return messageBody(pointer);
}
