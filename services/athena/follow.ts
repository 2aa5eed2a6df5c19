// A published file has arrived: update table and views to its header and start the dataset's query.
import { csvFieldText, splitCsvRow } from "../../shared/csv.ts";
import { type Dataset, viewNames } from "../../shared/dataset.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { ObjectStore, Publish } from "../../shared/ports.ts";
import type { QueryOrigin } from "../../shared/run.ts";
import { missingColumns, tableColumns } from "./columns.ts";
import { analysisView, tableOf, typedView } from "./sql.ts";
import { type StartDeps, startQuery } from "./start.ts";

/** A header of hundreds of columns stays far below this. */
const headerBytes = 256 * 1024;

export type FollowDeps = StartDeps & { data: ObjectStore; publish: Publish };

/**
 * May run any number of times for one file: the statements change nothing when all is up to date, and the engine runs
 * the query once for one state of the file.
 * @throws PipelineError `PublishedFileMissing`, `PublishedFileForeign`, `PublishedFileReplaced`, `StatementFailed`,
 * `StatementTooSlow`
 */
export async function followFile(dataset: Dataset, deps: FollowDeps): Promise<LogFields> {
  const { data, publish, engine } = deps;
  const { csv, table } = dataset.publish;
  const file = await data.head(csv);
  if (!file) throw unusable("PublishedFileMissing", "no longer exists", dataset);
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
  // In an order in which each finds what it selects from.
  const columns = tableColumns(headers, dataset);
  const views = viewNames(table);
  await engine.defineTable(table, tableOf(dataset, columns));
  await engine.defineView(views.typed, typedView(dataset, columns, engine.database));
  await engine.defineView(views.analysis, analysisView(dataset, columns, engine.database));
  // The call that follows a newer file may have been done before these statements, which then undid its own.
  if ((await data.head(csv))?.etag !== file.etag) throw replaced(runId, dataset);
  // A rollback brings back a file with its ETag, and its query has to run again.
  const query = await startQuery(origin, `${file.etag} ${origin.requestedAt}`, deps);
  return { run: runId, query };
}

async function headersOf(dataset: Dataset, data: ObjectStore): Promise<string[]> {
  const [line = "", ...rest] = (await data.getStart(dataset.publish.csv, headerBytes)).split("\n");
  if (rest.length === 0) throw unusable("PublishedFileForeign", "has no header line", dataset);
  return splitCsvRow(line).map(csvFieldText);
}

function originOfFile(metadata: Record<string, string>, dataset: Dataset): QueryOrigin {
  const { "run-id": runId, "requested-at": requestedAt } = metadata;
  if (runId && requestedAt) return { runId, requestedAt, dataset: dataset.name, attempt: 1 };
  throw unusable("PublishedFileForeign", "was not written by this pipeline", dataset);
}

function replaced(runId: string, dataset: Dataset): PipelineError {
  return new PipelineError("PublishedFileReplaced", {
    message: `The published file ${dataset.publish.csv} was replaced while its table was updated.`,
    advice: "The new file is followed automatically. If this persists, check for another writer to this key.",
    kind: "transient",
    ids: { run: runId },
  });
}

function unusable(name: string, what: string, dataset: Dataset): PipelineError {
  return new PipelineError(name, {
    message: `The published file ${dataset.publish.csv} ${what}.`,
    advice: "Request a run of the dataset; it publishes the file.",
    ids: { dataset: dataset.name },
  });
}
