// A published file has arrived: bring database, table and views in step with its header and start the dataset's query.
import type { Publish } from "../../shared/aws/bus.ts";
import type { Catalog } from "../../shared/aws/catalog.ts";
import type { Store } from "../../shared/aws/store.ts";
import { csvFieldText, splitCsvRow } from "../../shared/csv.ts";
import { type Dataset, viewNames } from "../../shared/dataset.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { Facts } from "../../shared/logger.ts";
import { analysisColumns, missingColumns, tableColumns, typedColumns, type ViewColumn } from "./columns.ts";
import { queryOf } from "./queries.ts";
import {
  createAnalysisView,
  createDatabase,
  createTable,
  createTypedView,
  type QueryOrigin,
  tableOf,
} from "./sql.ts";
import { outputOf, type StartEffects, startQuery } from "./start.ts";

/** A header of hundreds of columns stays far below this. */
const headerBytes = 256 * 1024;

export type FollowEffects = StartEffects & {
  data: Store;
  catalog: Catalog;
  database: string;
  publish: Publish;
};

/**
 * May run any number of times for one file: the statements change nothing when all is in step, and Athena runs the
 * query once for one state of the file.
 * @throws PipelineError `PublishedFileMissing`, `PublishedFileForeign`, `PublishedFileReplaced`, `StatementFailed`,
 * `StatementTooSlow`
 */
export async function followFile(dataset: Dataset, effects: FollowEffects): Promise<Facts> {
  const { data, database, resultsBucket, publish } = effects;
  const { csv } = dataset.publish;
  const file = await data.head(csv);
  if (!file) throw unusable("PublishedFileMissing", "is gone again", dataset);
  const origin = originOfFile(file.metadata, dataset);
  const headers = await headersOf(dataset, data);
  const { runId } = origin;
  const missing = missingColumns(headers, dataset);
  if (missing.length > 0) {
    const columns = missing.map((name) => `"${name}"`).join(", ");
    const reason = `The published file lacks ${columns}, which shared/datasets.ts requires. Athena's tables and the earlier result stay. Put an earlier file back (npm run runs -- rollback RUN), or request a run.`;
    await publish("file.refused", { runId, dataset: dataset.name, bucket: data.bucket, key: csv, reason });
    return { run: runId, refused: missing.join() };
  }
  await bringInStep(headers, dataset, effects);
  // Whoever follows the new file may have been done before these statements, which then undid its own.
  if ((await data.head(csv))?.etag !== file.etag) throw replaced(runId, dataset);
  const sql = await queryOf(dataset, database);
  const output = outputOf(dataset.publish, resultsBucket);
  const query = await startQuery({ sql, origin, output, seed: file.etag }, effects);
  return { run: runId, query };
}

/** Creates what is missing and changes what is different, in an order in which each finds what it selects from. */
async function bringInStep(headers: string[], dataset: Dataset, effects: FollowEffects): Promise<void> {
  const { data, engine, catalog, database, resultsBucket } = effects;
  const output = outputOf(dataset.publish, resultsBucket);
  const { table: name } = dataset.publish;
  const columns = tableColumns(headers, dataset);
  const table = tableOf(dataset, columns, data.bucket);
  if (!(await catalog.define(name, table))) {
    await engine.run(createDatabase(database), output);
    await engine.run(createTable(database, name, table), output);
    // Whatever the statement's parser made of its escapes, the catalog has the very characters now.
    await catalog.define(name, table);
  }
  const views = viewNames(name);
  const typed = typedColumns(columns);
  await engine.run(createTypedView(database, dataset, typed), output);
  await catalog.comment(views.typed, commentsOf(typed));
  const analysis = analysisColumns(columns, dataset);
  await engine.run(createAnalysisView(database, dataset, analysis), output);
  await catalog.comment(views.analysis, commentsOf(analysis));
}

function commentsOf(columns: readonly ViewColumn[]): Map<string, string> {
  return new Map(columns.map(({ name, comment }) => [name, comment]));
}

async function headersOf(dataset: Dataset, data: Store): Promise<string[]> {
  const [line = "", ...rest] = (await data.getStart(dataset.publish.csv, headerBytes)).split("\n");
  if (rest.length === 0) throw unusable("PublishedFileForeign", "has no header line", dataset);
  return splitCsvRow(line).map(csvFieldText);
}

function originOfFile(metadata: Record<string, string>, dataset: Dataset): QueryOrigin {
  const { "run-id": runId, "requested-at": requestedAt, rows } = metadata;
  if (runId && requestedAt && rows && /^\d+$/.test(rows))
    return { runId, requestedAt, dataset: dataset.name, rows: Number(rows), attempt: 1 };
  throw unusable("PublishedFileForeign", "was not written by this pipeline", dataset);
}

function replaced(runId: string, dataset: Dataset): PipelineError {
  return new PipelineError("PublishedFileReplaced", {
    message: `The published file ${dataset.publish.csv} was replaced while its table was brought in step.`,
    advice: "The new one is followed by itself; if this goes on, look who else writes there.",
    kind: "transient",
    ids: { run: runId },
  });
}

function unusable(name: string, what: string, dataset: Dataset): PipelineError {
  return new PipelineError(name, {
    message: `The published file ${dataset.publish.csv} ${what}.`,
    advice: "Request a run of the dataset; it puts the file in its place.",
    ids: { dataset: dataset.name },
  });
}
