// Transforms the page of a message and writes its part.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { findDataset } from "../../shared/datasets.ts";
import { fingerprintOf } from "../../shared/fingerprint.ts";
import { keys } from "../../shared/keys.ts";
import { kinds } from "../../shared/kinds/kinds.ts";
import type { LogFields } from "../../shared/logger.ts";
import { type PageMessage, pageAddress, storedPage } from "../../shared/messages.ts";
import { encodePart, isSamePart, partContentType } from "../../shared/part.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { expired } from "../../shared/run.ts";
import { spanFields } from "../../shared/trace.ts";
import { transformPage } from "./page.ts";
import { recordsOutside } from "./range.ts";

export type TransformDeps = { work: ObjectStore; datasets: readonly Dataset[] };

/**
 * Writes the part of a page unless it exists, so a page that is delivered twice counts once. The first part wins, even if
 * the page was fetched again with other records: an assembler that died after publishing then finds the parts that it
 * published. The rejects belong to that part. They are written after it, and again if a handler died in between.
 * @throws PipelineError `PageMissing`
 */
export async function transform(message: PageMessage, { work, datasets }: TransformDeps): Promise<LogFields> {
  const { task, totals, leftOut, forgotten } = message;
  const address = pageAddress(task);
  const records = await recordsOf(message, work);
  const dataset = findDataset(task.dataset, datasets);
  const { csv, jsonl, children, rejects, summary } = transformPage(records, dataset, leftOut);
  const partSummary = {
    ...task.range,
    page: task.page,
    entry: fingerprintOf(dataset),
    totals,
    outside: recordsOutside(records, task.range, kinds[dataset.kind].dateField),
    ...summary,
    ...(forgotten && { forgotten, records: summary.records + forgotten.length }),
    ...spanFields(task.runId),
  };
  const part = encodePart(partSummary, csv, jsonl, children);
  const key = keys.part(address);
  const isFirst = await work.create(key, part, partContentType);
  if (rejects && (isFirst || isSamePart(part, (await work.getBytes(key)) ?? Buffer.of())))
    await work.put(keys.rejects(address), rejects, "application/x-ndjson");
  const { runId: run, pages: _, ...ids } = address;
  return { run, ...ids, records: partSummary.records, rows: summary.ids.length };
}

async function recordsOf({ task, records }: PageMessage, work: ObjectStore): Promise<unknown[]> {
  if ("inline" in records) return records.inline;
  const stored = await work.getJson(records.key, storedPage);
  if (stored) return stored;
  throw expired("PageMissing", {
    what: "A page that was too large for its message",
    ids: { run: task.runId, window: task.window.number, page: task.page },
  });
}
