// Fetches a range of a window from LibInsight and enqueues it for the transformer. If the range does not fit one page, it
// enqueues the pieces of the range instead, or the pages of a day. A range of one page is one request, so it cannot shift
// while it is read.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { DateRange, LibInsightPage } from "../../shared/kinds/kind.ts";
import { kinds } from "../../shared/kinds/kinds.ts";
import type { LibInsightClient, PageRequest } from "../../shared/libinsight/client.ts";
import type { LogFields } from "../../shared/logger.ts";
import { type FetchTask, type PageMessage, pageAddress, type Totals } from "../../shared/messages.ts";
import { partContentType } from "../../shared/part.ts";
import { type MessageQueue, maxMessageBytes, messageBody, type ObjectStore } from "../../shared/ports.ts";
import { readForgotten, withoutForgotten } from "../../shared/privacy/forgotten.ts";
import { isOneDay, pageRecords, piecesOf } from "../../shared/ranges.ts";
import { maxPages, pageCount, type RangeSplit, rangeSplit } from "../../shared/run.ts";
import { spanFields } from "../../shared/trace.ts";

export type FetcherDeps = {
  libInsight: LibInsightClient;
  work: ObjectStore;
  fetcherQueue: MessageQueue;
  transformerQueue: MessageQueue;
  datasets: readonly Dataset[];
};

/**
 * Fetches what the task names and enqueues what follows from it.
 * @throws PipelineError by LibInsight's error policy, `DayTooLarge` or `LibInsightTotalsContradict`
 */
export async function fetchPage(task: FetchTask, deps: FetcherDeps): Promise<LogFields> {
  const { libInsight, transformerQueue, work } = deps;
  const dataset = findDataset(task.dataset, deps.datasets);
  const request = (page: number) => libInsight.fetchPage({ ...rangeRequest(task.range, dataset), page });
  const [{ records, leftOut, totals }, stored, list] = await Promise.all([
    request(task.page).catch((error) => emptyIfGone(error, task, request)),
    // A day's page is neither split nor paged.
    task.pages === undefined ? work.head(keys.part(pageAddress(task))) : undefined,
    readForgotten(dataset.name, work),
  ]);
  const found = records.length + (leftOut?.length ?? 0);
  if (task.page === 1) checkTotals(task, totals, found);
  const kept = list && withoutForgotten(records, list, kinds[dataset.kind].dateField);
  const page = {
    totals,
    records: { inline: kept?.records ?? records },
    ...(leftOut && { leftOut }),
    ...(kept && kept.forgotten.length > 0 && { forgotten: kept.forgotten }),
  };
  const send = async (sent: FetchTask) =>
    transformerQueue.send(await pageBody({ task: sent, ...page }, work));
  const isSplit = stored?.bytes === 0 || (task.pages === undefined && pageCount(totals) > 1);
  const pieces = isSplit ? await split(task, totals, send, deps) : undefined;
  if (!isSplit) await send(task);
  const { runId: run, window, attempt, range, page: number } = task;
  const { totalPages, totalRecords } = totals;
  return {
    ...{ run, window: window.number, attempt, from: range.from, to: range.to, page: number },
    ...(pieces === undefined ? { records: found } : { pieces }),
    ...{ totalPages, totalRecords },
  };
}

/**
 * Marks a range that does not fit one page (shared/window-parts.ts), and enqueues its pieces, or the pages of a day. If a
 * handler dies in between, the next one finds the mark, even if the range fits one page by then.
 * @returns the number of pieces or pages; 0 if the range was transformed before, as one page
 */
async function split(
  task: FetchTask,
  announced: Totals,
  send: (task: FetchTask) => Promise<void>,
  { work, fetcherQueue }: FetcherDeps,
): Promise<number> {
  const address = pageAddress(task);
  // The first decision applies: with other totals, the range would have other pieces.
  const decided: RangeSplit = {
    totals: announced,
    ...(!isOneDay(task.range) && { pieces: piecesOf(task.range, announced) }),
    ...spanFields(task.runId),
  };
  const isFirst = await work.putOnce(keys.split(address), decided);
  const { totals, pieces } = isFirst
    ? decided
    : ((await work.getJson(keys.split(address), rangeSplit)) ?? decided);
  const isMarked = await work.create(keys.part(address), new Uint8Array(), partContentType);
  if (!isMarked && (await work.head(keys.part(address)))?.bytes !== 0) return 0;
  if (pieces) {
    const tasks = pieces.map((range): FetchTask => ({ ...task, range }));
    await fetcherQueue.sendAll(tasks.map(messageBody));
    return tasks.length;
  }
  const pages = pageCount(totals);
  const further = Array.from({ length: pages - 1 }, (_, index) => ({ ...task, page: index + 2, pages }));
  // Page 1 is here already.
  await Promise.all([fetcherQueue.sendAll(further.map(messageBody)), send({ ...task, pages })]);
  return pages;
}

/** Returns the request for a range of a dataset. */
export function rangeRequest({ from, to }: DateRange, dataset: Dataset): Omit<PageRequest, "page"> {
  const { kind, libinsightId: datasetId, requestId, timeZone } = dataset;
  return { kind, datasetId, requestId, timeZone, from, to };
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

/**
 * Rejects more pages than the announced records can fill: each would be a useless request. Too few pages are detected
 * when the records are counted.
 * @param found number of records on page 1
 */
function checkTotals(
  { runId, window, range }: FetchTask,
  { totalPages, totalRecords }: Totals,
  found: number,
): void {
  const ids = { run: runId, window: window.number };
  // Some servers count an empty page after the last full one.
  if (totalPages > Math.ceil(totalRecords / (found || pageRecords)) + 1) {
    throw new PipelineError("LibInsightTotalsContradict", {
      kind: "transient",
      message: `LibInsight announced ${totalPages} pages for ${totalRecords} records, and page 1 has ${found}.`,
      advice:
        "Compare the counts with those that LibInsight shows for these dates, then request the run again.",
      ids,
    });
  }
  if (isOneDay(range) && totalPages > maxPages) {
    throw new PipelineError("DayTooLarge", {
      message: `LibInsight announced ${totalPages} pages for ${range.from}; the limit is ${maxPages}.`,
      advice: "If the day has that many records, raise maxPages in shared/run.ts.",
      ids,
    });
  }
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
