// Fetches one page of one window from LibInsight and enqueues it for the transformer. Page 1 also enqueues the tasks for
// the other pages of its window.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { LibInsightPage } from "../../shared/kinds/kind.ts";
import type { LibInsightClient, PageRequest } from "../../shared/libinsight/client.ts";
import type { LogFields } from "../../shared/logger.ts";
import { type FetchTask, type PageMessage, pageAddress, type Totals } from "../../shared/messages.ts";
import { type MessageQueue, maxMessageBytes, messageBody, type ObjectStore } from "../../shared/ports.ts";
import { maxPages, pageCount, windowTotals } from "../../shared/run.ts";

export type FetcherDeps = {
  libInsight: LibInsightClient;
  work: ObjectStore;
  fetcherQueue: MessageQueue;
  transformerQueue: MessageQueue;
  datasets: readonly Dataset[];
};

/**
 * Fetches the task's page and enqueues what follows from it.
 * @throws PipelineError by LibInsight's error policy, `WindowTooLarge` or `LibInsightTotalsContradict`
 */
export async function fetchPage(task: FetchTask, deps: FetcherDeps): Promise<LogFields> {
  const { libInsight, work, fetcherQueue, transformerQueue } = deps;
  const dataset = findDataset(task.dataset, deps.datasets);
  const request = (page: number) => libInsight.fetchPage(pageRequest({ ...task, page }, dataset));
  const { records, leftOut, totals } = await request(task.page).catch((error) =>
    emptyIfGone(error, task, request),
  );
  const found = records.length + (leftOut?.length ?? 0);
  const content = { records: { inline: records }, ...(leftOut && { leftOut }) };
  const sendPage = async (pages: number) =>
    transformerQueue.send(await pageBody({ task, totals, pages, ...content }, work));
  if (task.page === 1) {
    checkTotals(task, totals, found);
    // The totals are stored before the page is sent, because the transformer reads them.
    const pages = pageCount(await storeTotals(task, totals, work));
    await Promise.all([fetcherQueue.sendAll(tasksAfterPage1(task, pages).map(messageBody)), sendPage(pages)]);
  } else {
    await sendPage(task.pages ?? Math.max(totals.totalPages, task.page));
  }
  const { runId: run, window, attempt, page } = task;
  const { totalPages, totalRecords } = totals;
  return { run, window: window.number, attempt, page, records: found, totalPages, totalRecords };
}

export function pageRequest({ window, page }: FetchTask, dataset: Dataset): PageRequest {
  const { kind, libinsightId: datasetId, requestId, timeZone } = dataset;
  return { kind, datasetId, requestId, timeZone, from: window.from, to: window.to, page };
}

/** The errors with which LibInsight may respond to a page beyond the last one. Its response is not documented. */
const beyondLastPage = [
  "LibInsightErrorResponse",
  "LibInsightAnotherPage",
  "LibInsightDatasetNotFound",
  "LibInsightRequestRefused",
  "LibInsightRedirected",
];

/**
 * Returns an empty page, if records were removed since page 1 so that this page no longer exists. Retries cannot bring it
 * back. The page has the current totals, which disagree with page 1's, so the assembler has the window fetched again.
 * @throws the error, if the page still exists
 */
async function emptyIfGone(
  error: unknown,
  { page }: FetchTask,
  request: (page: number) => Promise<LibInsightPage>,
): Promise<LibInsightPage> {
  if (page === 1 || !(error instanceof PipelineError) || !beyondLastPage.includes(error.name)) throw error;
  const { totals } = await request(1);
  if (page <= totals.totalPages) throw error;
  return { records: [], totals };
}

/** Records per page, used if page 1 is empty. */
const pageSize = 100;

/**
 * Rejects more pages than the announced records can fill: each would be a useless request. Too few pages are detected
 * when the records are counted.
 * @param found number of records on page 1
 */
function checkTotals(task: FetchTask, { totalPages, totalRecords }: Totals, found: number): void {
  const ids = { run: task.runId, window: task.window.number };
  // Some servers count an empty page after the last full one.
  if (totalPages > Math.ceil(totalRecords / (found || pageSize)) + 1) {
    throw new PipelineError("LibInsightTotalsContradict", {
      kind: "transient",
      message: `LibInsight announced ${totalPages} pages for ${totalRecords} records, and page 1 has ${found}.`,
      advice:
        "Compare the counts with those that LibInsight shows for these dates, then request the run again.",
      ids,
    });
  }
  if (totalPages > maxPages) {
    throw new PipelineError("WindowTooLarge", {
      message: `LibInsight announced ${totalPages} pages for one window; the limit is ${maxPages}.`,
      advice: "If the dataset has that many records, raise maxPages in shared/run.ts.",
      ids,
    });
  }
}

/** Stores the totals and returns those that apply: the first ones, if page 1 was fetched twice while the source changed. */
async function storeTotals(task: FetchTask, totals: Totals, work: ObjectStore): Promise<Totals> {
  const key = keys.window(pageAddress(task));
  if (await work.putOnce(key, totals)) return totals;
  return (await work.getJson(key, windowTotals)) ?? totals;
}

function tasksAfterPage1(task: FetchTask, pages: number): FetchTask[] {
  return Array.from({ length: pages - 1 }, (_, index) => ({ ...task, page: index + 2, pages }));
}

/** Returns the message for a page. If it would be too large, the records are stored in the work bucket instead. */
async function pageBody(
  message: PageMessage & { records: { inline: unknown[] } },
  work: ObjectStore,
): Promise<string> {
  const body = messageBody(message);
  if (Buffer.byteLength(body) <= maxMessageBytes) return body;
  const key = keys.page(pageAddress(message.task));
  await work.put(key, JSON.stringify(message.records.inline), "application/json");
  const pointer: PageMessage = { ...message, records: { key } };
  return messageBody(pointer);
}
