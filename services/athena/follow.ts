// A published file has arrived: bring database, table and view in step with its header and start the dataset's query.
import { createHash } from "node:crypto";
import type { QueryEngine } from "../../shared/aws/query-engine.ts";
import type { Store } from "../../shared/aws/store.ts";
import { csvFieldText, splitCsvRow } from "../../shared/csv.ts";
import type { Dataset } from "../../shared/dataset.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { Facts } from "../../shared/logger.ts";
import {
  createDatabase,
  createTable,
  createTypedView,
  datasetQuery,
  type QueryOrigin,
  replaceColumns,
  tableColumns,
} from "./sql.ts";

/** A header of hundreds of columns stays far below this. */
const headerBytes = 256 * 1024;

export type FollowEffects = { data: Store; engine: QueryEngine; database: string; resultsBucket: string };

/**
 * May run any number of times for one file: the statements change nothing when all is in step, and the query's token
 * is made of the file's ETag and the query's text, so Athena runs it once.
 * @throws PipelineError `PublishedFileMissing`, `PublishedFileForeign`, `StatementFailed`, `StatementTooSlow`
 */
export async function followFile(dataset: Dataset, effects: FollowEffects): Promise<Facts> {
  const { data, engine, database, resultsBucket } = effects;
  const output = `s3://${resultsBucket}/${dataset.publish.queryResults}/`;
  const file = await data.head(dataset.publish.csv);
  if (!file) throw unusable("PublishedFileMissing", "is gone again", dataset);
  const run = originOfFile(file.metadata, dataset);
  const columns = tableColumns(await headersOf(dataset, data), dataset);

  await engine.run(createDatabase(database), output);
  await engine.run(createTable(database, dataset, columns, data.bucket), output);
  const there = await engine.columnsOf(dataset.publish.table);
  const wanted = columns.map(({ name }) => name);
  if (there.join() !== wanted.join()) await engine.run(replaceColumns(database, dataset, columns), output);
  await engine.run(createTypedView(database, dataset, columns), output);

  const query = datasetQuery(database, dataset, run);
  const token = createHash("sha256").update(`${file.etag}\n${query}`).digest("hex");
  return { run: run.runId, query: await engine.start(query, output, token) };
}

async function headersOf(dataset: Dataset, data: Store): Promise<string[]> {
  const [line = "", ...rest] = (await data.getStart(dataset.publish.csv, headerBytes)).split("\n");
  if (rest.length === 0) throw unusable("PublishedFileForeign", "has no header line", dataset);
  return splitCsvRow(line).map(csvFieldText);
}

function originOfFile(metadata: Record<string, string>, dataset: Dataset): QueryOrigin {
  const runId = metadata["run-id"];
  const requestedAt = metadata["requested-at"];
  if (runId && requestedAt) return { runId, requestedAt, dataset: dataset.name };
  throw unusable("PublishedFileForeign", "was not written by this pipeline", dataset);
}

function unusable(name: string, what: string, dataset: Dataset): PipelineError {
  return new PipelineError(name, {
    message: `The published file ${dataset.publish.csv} ${what}.`,
    advice: "Request a run of the dataset; it puts the file in its place.",
    ids: { dataset: dataset.name },
  });
}
