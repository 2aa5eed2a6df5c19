// Takes a page from its message (or from the object to which the message points), transforms it and writes its part.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { fingerprintOf } from "../../shared/fingerprint.ts";
import { keys, type PageAddress } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import { type PageMessage, storedPage } from "../../shared/messages.ts";
import { encodePart, partContentType } from "../../shared/part.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { transformPage } from "./page.ts";
import { recordsOutside } from "./range.ts";

export type TransformDeps = { work: ObjectStore; datasets: readonly Dataset[] };

/**
 * The part is one object at a key of its own, so a page that is transformed twice counts once, and one that was
 * interrupted is transformed again. The first part holds, although LibInsight may return another page to a message that
 * is delivered again: an assembler that died after it published then finds what it has published. The rejects are those
 * of the part that holds, so they are written after it, and again where the handler died in between.
 * @throws PipelineError `PageMissing`
 */
export async function transform(message: PageMessage, { work, datasets }: TransformDeps): Promise<LogFields> {
  const { task, totals, leftOut } = message;
  const address: PageAddress = {
    runId: task.runId,
    window: task.window.number,
    attempt: task.attempt,
    page: task.page,
  };
  const records = await recordsOf(message, work);
  const dataset = findDataset(task.dataset, datasets);
  const { csv, jsonl, rejects, summary } = transformPage(records, dataset, leftOut);
  const made = {
    page: task.page,
    entry: fingerprintOf(dataset),
    totals,
    outside: recordsOutside(records, task.window),
    ...summary,
  };
  const part = encodePart(made, csv, jsonl);
  const key = keys.part(address);
  const isFirst = await work.create(key, part, partContentType);
  if (rejects && (isFirst || part.equals((await work.getBytes(key)) ?? Buffer.of())))
    await work.put(keys.rejects(address), rejects, "application/x-ndjson");
  const { runId: run, ...place } = address;
  return { run, ...place, records: summary.records, rows: summary.ids.length };
}

async function recordsOf({ task, records }: PageMessage, work: ObjectStore): Promise<unknown[]> {
  if ("inline" in records) return records.inline;
  const stored = await work.getJson(records.key, storedPage);
  if (stored) return stored;
  throw new PipelineError("PageMissing", {
    message: "A page that was stored because of its size is gone; the work bucket keeps pages for 30 days.",
    advice: "Request the run again.",
    ids: { run: task.runId, window: task.window.number, page: task.page },
  });
}
