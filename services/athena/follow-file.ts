// Handles a published file: updates its table and views to its header and starts the dataset's query.
import { childTables } from "../../shared/child-tables.ts";
import { storeNames } from "../../shared/column-names.ts";
import { type Dataset, viewNames } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";
import { fileIdentity, headersOf, isBeingReplaced } from "../../shared/header-change.ts";
import type { LogFields } from "../../shared/logger.ts";
import { parquetColumns, parquetKey, parquetMetadata } from "../../shared/parquet-file.ts";
import type { Emit, ObjectStore } from "../../shared/ports.ts";
import { isDeidentified } from "../../shared/privacy/deidentified.ts";
import type { QueryOrigin } from "../../shared/run.ts";
import { strayObjects, strayText } from "../../shared/stray-objects.ts";
import { type TableColumn, tableColumns } from "../../shared/table-columns.ts";
import { defineHistory } from "./changes.ts";
import { findChildren, hideChildren, showChildren } from "./child-tables.ts";
import { missingColumns } from "./columns.ts";
import { measuresView } from "./measures.ts";
import { analysisView, parquetTable, tableOf, typedParquetView, typedView } from "./sql.ts";
import { type StartDeps, startQuery } from "./start-query.ts";

export type FollowDeps = StartDeps & { data: ObjectStore; results: ObjectStore; emit: Emit };

/**
 * Updates the tables and views and starts the query. Idempotent: the statements change nothing if all is up to date, and
 * the engine runs the query once per publication of the file.
 * @throws PipelineError `PublishedFileMissing`, `PublishedFileForeign`, `PublishedFileReplaced`, `TableChanged`,
 * `NamesContended`, `TooManyColumnNames`, `StatementFailed`, `StatementTooSlow`
 */
export async function followFile(dataset: Dataset, deps: FollowDeps): Promise<LogFields> {
  const { data, results, emit, engine } = deps;
  const { csv, table } = dataset.publish;
  // The tables are read before the file, because a publisher changes them in that order (shared/header-change.ts).
  const found = await engine.table(table);
  const foundChildren = await findChildren(childTables(dataset), engine);
  const views = viewNames(table);
  const foundParquet = await engine.table(views.parquet);
  const file = await data.head(csv);
  if (!file) throw unusable("PublishedFileMissing", "no longer exists", dataset);
  const origin = originOfFile(file.metadata, dataset);
  if (isBeingReplaced(found, file)) throw replaced(origin.runId, dataset);
  const headers = await headersOf(csv, data);
  if (!headers) throw unusable("PublishedFileForeign", "has no header line", dataset);
  const { runId } = origin;
  const refusal = await refusalOf(headers, runId, dataset, data);
  if (refusal !== undefined) {
    const reason = `Athena is not updated; its tables and the earlier results stay. ${refusal}`;
    await emit("file.refused", { runId, dataset: dataset.name, bucket: data.bucket, key: csv, reason });
    return { run: runId, refused: refusal };
  }
  // Each relation is defined before the view that selects from it. An earlier view selects by name until it is replaced,
  // so it returns the right values or fails.
  const names = await storeNames(headers, dataset, results);
  const columns = tableColumns(headers, dataset, names);
  const children = await hideChildren(foundChildren, runId, engine);
  await engine.defineTable(table, tableOf(dataset, columns), found?.version);
  const isTyped = await hasParquet(dataset, columns, runId, data);
  const parquet = parquetTable(dataset, columns, runId);
  if (isTyped) await engine.defineTable(views.parquet, parquet, foundParquet?.version);
  // A run has no file of a column that got its child table later. Its child table stays without columns.
  const isWritten = await Promise.all(children.map(({ child }) => data.head(child.keyOf(runId))));
  await showChildren(
    children.filter((_, index) => isWritten[index] !== undefined),
    runId,
    engine,
  );
  const defineViews = async (): Promise<void> => {
    const typed = isTyped ? typedParquetView : typedView;
    await engine.defineView(views.typed, typed(dataset, columns, engine.database));
    // Rows of another run are not left in place.
    if (!isTyped && foundParquet)
      await engine.defineTable(views.parquet, { ...parquet, columns: [] }, foundParquet.version);
    await engine.defineView(views.analysis, analysisView(dataset, columns, engine.database));
    await engine.defineView(views.measures, measuresView(dataset, columns, engine.database));
  };
  await Promise.all([
    defineViews(),
    // The changes of a de-identified file are not stored.
    isDeidentified(dataset.name) ? undefined : defineHistory(dataset, columns, names, engine),
  ]);
  // If the file was replaced, these statements may have undone those for the newer file.
  if ((await data.head(csv))?.etag !== file.etag) throw replaced(runId, dataset);
  // The seed includes the time, because a file that is published again (same bytes, same request) after another file
  // needs a new query: the first one may have ended as superseded.
  const seed = `${fileIdentity(file)} ${file.at.toISOString()}`;
  const query = await startQuery(origin, seed, deps);
  return { run: runId, query };
}

/**
 * Returns whether the run has a Parquet file with these columns. An older run has none, and one that a rollback published
 * again may have been written for another entry.
 */
async function hasParquet(
  dataset: Dataset,
  columns: readonly TableColumn[],
  runId: string,
  data: ObjectStore,
): Promise<boolean> {
  const file = await data.head(parquetKey(dataset.publish.csv, runId));
  return file?.metadata.columns === parquetMetadata(parquetColumns(columns, dataset)).columns;
}

/** Returns why the file must not reach its readers and what to do, or undefined if nothing is wrong. */
async function refusalOf(
  headers: readonly string[],
  runId: string,
  dataset: Dataset,
  data: ObjectStore,
): Promise<string | undefined> {
  const request = `npm run runs -- request --dataset ${dataset.name}`;
  const missing = missingColumns(headers, dataset);
  if (missing.length > 0) {
    const columns = missing.map((name) => `"${name}"`).join(", ");
    return `The published file lacks ${columns}, which shared/library.ts requires. Restore an earlier file (npm run runs -- rollback RUN) or request a run: ${request}`;
  }
  const stray = await strayObjects(dataset, data, runId);
  if (stray.length === 0) return undefined;
  return `${strayText(stray, data.bucket)}. Then request a run: ${request}`;
}

function originOfFile(metadata: Record<string, string>, dataset: Dataset): QueryOrigin {
  const { "run-id": runId, "requested-at": requestedAt } = metadata;
  if (runId && requestedAt) return { runId, requestedAt, dataset: dataset.name, attempt: 1 };
  throw unusable("PublishedFileForeign", "was not written by this pipeline", dataset);
}

function replaced(runId: string, dataset: Dataset): PipelineError {
  return new PipelineError("PublishedFileReplaced", {
    message: `The published file ${dataset.publish.csv} was replaced while its table was updated, or is being replaced.`,
    advice:
      "Retried automatically for the new file. If this persists, a publication was interrupted: request a run, or repeat the rollback.",
    kind: "transient",
    ids: { run: runId },
  });
}

function unusable(name: string, what: string, dataset: Dataset): PipelineError {
  return new PipelineError(name, {
    message: `The published file ${dataset.publish.csv} ${what}.`,
    advice: `Request a run, which publishes the file: npm run runs -- request --dataset ${dataset.name}`,
    ids: { dataset: dataset.name },
  });
}
