// Fetches one page of one window from LibInsight and hands it on; page 1 also asks for the rest of its window.
import { maxMessageBytes, messageBody, type Queue } from "../../shared/aws/queue.ts";
import type { Store } from "../../shared/aws/store.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { LibInsightClient, LibInsightPage } from "../../shared/libinsight/client.ts";
import type { Facts } from "../../shared/logger.ts";
import type { FetchTask, PageMessage, Totals } from "../../shared/messages.ts";
import { maxPages, windowTotals } from "../../shared/run.ts";

export type FetcherEffects = {
  libInsight: LibInsightClient;
  work: Store;
  fetchQueue: Queue;
  pagesQueue: Queue;
};

/** @throws PipelineError by LibInsight's error policy, or `WindowTooLarge` */
export async function fetchPage(task: FetchTask, effects: FetcherEffects): Promise<Facts> {
  const { libInsight, work, fetchQueue, pagesQueue } = effects;
  const dataset = findDataset(task.dataset);
  const ask = (page: number) =>
    libInsight.fetchPage({
      datasetId: dataset.libinsightId,
      requestId: dataset.requestId,
      from: task.window.from,
      to: task.window.to,
      page,
    });
  const { records, totals } = await ask(task.page).catch((error) => vanishedPage(error, task, ask));
  const sendPage = async () =>
    pagesQueue.send(await pageBody({ task, totals, records: { inline: records } }, work));
  if (task.page === 1) {
    // Before the page is sent: who transforms it looks for them.
    const known = await rememberTotals(task, totals, work);
    await Promise.all([fetchQueue.sendAll(followingPages(task, known).map(messageBody)), sendPage()]);
  } else {
    await sendPage();
  }
  const { runId: run, window, attempt, page } = task;
  return { run, window: window.number, attempt, page, records: records.length, ...totals };
}

/** What LibInsight may answer to a page beyond the last; nobody has told. */
const beyondTheLast = [
  "LibInsightErrorAnswer",
  "LibInsightAnotherPage",
  "LibInsightDatasetNotFound",
  "LibInsightRequestRefused",
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

/** Page 1 may be fetched twice while the source changes; the totals that were written first hold. */
async function rememberTotals(task: FetchTask, totals: Totals, work: Store): Promise<Totals> {
  if (totals.totalPages > maxPages) {
    throw new PipelineError("WindowTooLarge", {
      message: `LibInsight announced ${totals.totalPages} pages for one year; the limit is ${maxPages}.`,
      advice: "If that many records are real, raise maxPages in shared/run.ts.",
      ids: { run: task.runId, window: task.window.number },
    });
  }
  const key = keys.window({ runId: task.runId, window: task.window.number, attempt: task.attempt });
  if (await work.putOnce(key, totals)) return totals;
  return (await work.getJson(key, windowTotals)) ?? totals;
}

/** The tasks for pages 2 to n of the task's window. */
export function followingPages(task: FetchTask, { totalPages }: Totals): FetchTask[] {
  return Array.from({ length: Math.max(totalPages - 1, 0) }, (_, index) => ({ ...task, page: index + 2 }));
}

/** The message for a page; one that SQS would not carry lies in the work bucket and the message points there. */
async function pageBody(
  message: PageMessage & { records: { inline: unknown[] } },
  work: Store,
): Promise<string> {
  const body = messageBody(message);
  if (Buffer.byteLength(body) <= maxMessageBytes) return body;
  const { runId, window, attempt, page } = message.task;
  const key = keys.page({ runId, window: window.number, attempt, page });
  await work.put(key, JSON.stringify(message.records.inline), "application/json");
  const pointer: PageMessage = { ...message, records: { key } };
  return messageBody(pointer);
}
