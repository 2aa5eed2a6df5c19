// Writes the de-identified file from the published full file, by the rules of its columns. Readers of one never need the
// other: it has its own key, table and views.
import { storeNames } from "../../shared/column-names.ts";
import { type Cell, cellsOf, csvLines, csvRows } from "../../shared/csv.ts";
import { type Dataset, outputColumns } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";
import { fingerprintOf } from "../../shared/fingerprint.ts";
import { fileIdentity, headersOf, holdTable } from "../../shared/header-change.ts";
import { jsonLines } from "../../shared/json-lines.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import { parquetColumns, parquetKey, parquetMetadata } from "../../shared/parquet-file.ts";
import type { Emit, ObjectInfo, ObjectStore, TableCatalog } from "../../shared/ports.ts";
import { deidentified } from "../../shared/privacy/deidentified.ts";
import { readNames } from "../../shared/privacy/names-file.ts";
import { type RowRules, rowRules } from "../../shared/privacy/rules.ts";
import { privacyOf } from "../../shared/privacy/settings.ts";
import { tableColumns } from "../../shared/table-columns.ts";
import { dayIn } from "../../shared/time-zone.ts";
import { spanFields } from "../../shared/trace.ts";
import { TypedRows } from "../../shared/typed-rows.ts";
import { noRows, type Target, writeFiles } from "../../shared/write-files.ts";

export type DeidentifierDeps = {
  work: ObjectStore;
  data: ObjectStore;
  results: ObjectStore;
  tables: TableCatalog;
  emit: Emit;
  now: () => Date;
  datasets: readonly Dataset[];
  /** Returns the stage's key, or undefined if it has none. */
  pseudonymKey: () => string | undefined;
};

/** Beyond this many names, redaction would take more memory than it has. */
const maxNames = 50_000;

/**
 * Writes the file, unless one of a newer run is in place, and emits `deidentified.published`. Idempotent.
 * @throws PipelineError `PublishedFileMissing`, `PseudonymKeyMissing`, `TooManyNames`, `PublishContended`, `TableChanged`,
 * `NamesContended`, `NamesInvalid`, `TooManyColumnNames`
 */
export async function deidentify(dataset: Dataset, deps: DeidentifierDeps): Promise<LogFields> {
  const { work, data, results, emit, now } = deps;
  const { csv } = dataset.publish;
  const source = await data.head(csv);
  const headers = source && (await headersOf(csv, data));
  const { "run-id": runId, "requested-at": requestedAt } = source?.metadata ?? {};
  // Another program's file may have any columns, so nothing of it is known to be safe.
  if (!headers || runId === undefined || requestedAt === undefined) throw missing(dataset);
  const entry = deidentified(dataset);
  const names = await namesToFind(dataset, headers, deps);
  const options = { pseudonymKey: deps.pseudonymKey(), names, today: dayIn(dataset.timeZone, now()) };
  const ownHeaders = outputColumns(entry.columns);
  const columns = tableColumns(ownHeaders, entry, await storeNames(ownHeaders, entry, results));
  const typed = parquetColumns(columns, entry);
  const target: Target = {
    ...{ store: data, csv: entry.publish.csv, jsonl: entry.publish.jsonl, children: [] },
    parquet: { key: parquetKey(entry.publish.csv, runId), metadata: parquetMetadata(typed) },
  };
  let count = 0;
  let counts: RowRules["counts"] = {};
  const run = { runId, dataset: entry.name, requestedAt, entry: fingerprintOf(entry) };
  const outcome = await writeFiles(
    target,
    run,
    now(),
    async (write) => {
      const rules = rowRules(dataset, headers, options);
      counts = rules.counts;
      count = 0;
      const parquet = new TypedRows(typed, [], { "run-id": runId });
      await write({ ...noRows, csv: Buffer.from(csvRows([ownHeaders])) });
      for await (const rows of rowsOf(await data.stream(csv))) {
        const kept = rows.map((cells) => rules.row(cells));
        count += kept.length;
        const lines = Buffer.from(csvRows(kept));
        const jsonl = Buffer.from(jsonLines(ownHeaders, kept));
        await write({ csv: lines, jsonl, children: [], parquet: parquet.add(lines) });
      }
      await write({ ...noRows, parquet: parquet.finish() });
      return isSame(source, await data.head(csv)) ? "keep" : "discard";
    },
    () => holdTable(entry, { runId, headers: ownHeaders }, deps),
  );
  // The event of the file that replaced the source has the new file de-identified.
  if (outcome.state !== "written") return { run: runId, deidentified: outcome.state };
  const stored = { dataset: entry.name, rows: count, counts: changesIn(counts), ...spanFields(runId) };
  await work.put(keys.deidentification(runId), JSON.stringify(stored), "application/json");
  const place = { bucket: data.bucket, key: entry.publish.csv };
  await emit("deidentified.published", { runId, dataset: entry.name, ...place, rows: count });
  return { run: runId, deidentified: "written", rows: count };
}

/** Yields the rows without the header. */
async function* rowsOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Cell[][]> {
  let isFirst = true;
  for await (const lines of csvLines(chunks)) {
    yield (isFirst ? lines.slice(1) : lines).map(cellsOf);
    isFirst = false;
  }
}

/** Two runs may publish the same bytes, and a run may be published again. */
function isSame(one: ObjectInfo, other: ObjectInfo | undefined): boolean {
  return fileIdentity(one) === fileIdentity(other);
}

/**
 * Returns the names to find in free text: those in the dataset's `nameColumns`, and those of its names file. None if
 * nothing is redacted.
 */
async function namesToFind(
  dataset: Dataset,
  headers: readonly string[],
  { work, data }: DeidentifierDeps,
): Promise<string[]> {
  const redacts = dataset.columns.some(
    (column) => !("drop" in column) && [privacyOf(column), column.after?.then].includes("redact"),
  );
  if (!redacts) return [];
  const names = new Set(await readNames(dataset.name, work));
  const columns = dataset.redaction.nameColumns.map((name) => headers.indexOf(name)).filter((at) => at >= 0);
  if (columns.length > 0) {
    for await (const rows of rowsOf(await data.stream(dataset.publish.csv))) {
      for (const cells of rows) for (const at of columns) addName(names, cells[at]);
    }
  }
  if (names.size > maxNames)
    throw new PipelineError("TooManyNames", {
      message: `There are more than ${maxNames} names to find in free text.`,
      advice:
        "Check redaction.nameColumns in shared/library.ts, or store a shorter file: npm run privacy -- names FILE",
      ids: { dataset: dataset.name },
    });
  return [...names];
}

function addName(names: Set<string>, cell: unknown): void {
  if (typeof cell === "string" && cell !== "" && names.size <= maxNames) names.add(cell);
}

/** Returns the counts of the columns in which the rules changed something. */
function changesIn(counts: RowRules["counts"]): RowRules["counts"] {
  const changed = Object.entries(counts).filter(([, { redacted, ...others }]) =>
    [...Object.values(redacted), ...Object.values(others)].some((count) => count > 0),
  );
  return Object.fromEntries(changed);
}

function missing({ name, publish }: Dataset): PipelineError {
  return new PipelineError("PublishedFileMissing", {
    message: `The published file ${publish.csv} is missing, or no run wrote it, so it is not de-identified.`,
    advice: `Request a run, which publishes the file: npm run runs -- request --dataset ${name}`,
    ids: { dataset: name },
  });
}
