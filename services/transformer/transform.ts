// Takes a page from its message (or from where the message points), transforms it and writes what came of it.
import type { Store } from "../../shared/aws/store.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys, type PageAddress } from "../../shared/keys.ts";
import type { Facts } from "../../shared/logger.ts";
import { type PageMessage, storedPage } from "../../shared/messages.ts";
import type { PageSummary } from "../../shared/run.ts";
import { transformPage } from "./page.ts";

/**
 * Every object has a key of its own and the summary is written last, so a page that is transformed twice is
 * transformed once, and one that was left halfway is done again.
 * @throws PipelineError `PageMissing`
 */
export async function transform(message: PageMessage, work: Store): Promise<Facts> {
  const { task, totals } = message;
  const address: PageAddress = {
    runId: task.runId,
    window: task.window.number,
    attempt: task.attempt,
    page: task.page,
  };
  const records = await recordsOf(message, work);
  const page = transformPage(records, findDataset(task.dataset));
  const [csv, jsonl] = await Promise.all([
    work.put(keys.part(address), page.csv, "text/csv; charset=utf-8"),
    work.put(keys.partLines(address), page.jsonl, "application/x-ndjson"),
    ...(page.rejects ? [work.put(keys.rejects(address), page.rejects, "application/x-ndjson")] : []),
  ]);
  const summary: PageSummary = { page: task.page, totals, ...page.summary, etags: { csv, jsonl } };
  await work.put(keys.summary(address), JSON.stringify(summary), "application/json");
  const { runId: run, ...place } = address;
  return { run, ...place, records: summary.records, rows: summary.ids.length };
}

async function recordsOf({ task, records }: PageMessage, work: Store): Promise<unknown[]> {
  if ("inline" in records) return records.inline;
  const stored = await work.getJson(records.key, storedPage);
  if (stored) return stored;
  throw new PipelineError("PageMissing", {
    message:
      "A page that was put aside because of its size is gone; the work bucket keeps pages for 30 days.",
    advice: "Request the run again.",
    ids: { run: task.runId, window: task.window.number, page: task.page },
  });
}
