// A published file has arrived: update table and views to its header and start the dataset's query.
import { type Dataset, viewNames } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";
import { fileIdentity, headersOf, isBeingReplaced } from "../../shared/header-change.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { Emit, ObjectStore } from "../../shared/ports.ts";
import type { QueryOrigin } from "../../shared/run.ts";
import { strayObjects, strayText } from "../../shared/stray-objects.ts";
import { missingColumns, tableColumns } from "./columns.ts";
import { rememberNames } from "./names.ts";
import { analysisView, tableOf, typedView } from "./sql.ts";
import { type StartDeps, startQuery } from "./start-query.ts";

export type FollowDeps = StartDeps & { data: ObjectStore; results: ObjectStore; emit: Emit };

/**
 * May run any number of times for one file: the statements change nothing when all is up to date, and the engine runs
 * the query once for one state of the file.
 * @throws PipelineError `PublishedFileMissing`, `PublishedFileForeign`, `PublishedFileReplaced`, `TableChanged`,
 * `NamesContended`, `TooManyColumnNames`, `StatementFailed`, `StatementTooSlow`
 */
export async function followFile(dataset: Dataset, deps: FollowDeps): Promise<LogFields> {
  const { data, results, emit, engine } = deps;
  const { csv, table } = dataset.publish;
  // The table before the file: who changes the file's header changes the table first (shared/header-change.ts).
  const found = await engine.table(table);
  const file = await data.head(csv);
  if (!file) throw unusable("PublishedFileMissing", "no longer exists", dataset);
  const origin = originOfFile(file.metadata, dataset);
  if (isBeingReplaced(found, file)) throw replaced(origin.runId, dataset);
  const headers = await headersOf(csv, data);
  if (!headers) throw unusable("PublishedFileForeign", "has no header line", dataset);
  const { runId } = origin;
  const refusal = await refusalOf(headers, dataset, data);
  if (refusal !== undefined) {
    const reason = `${refusal} Athena's tables and the earlier result stay.`;
    await emit("file.refused", { runId, dataset: dataset.name, bucket: data.bucket, key: csv, reason });
    return { run: runId, refused: refusal };
  }
  // In an order in which each finds what it selects from. Until it is replaced a view of the earlier columns selects by
  // name: it finds the right values or fails.
  const columns = tableColumns(headers, dataset, await rememberNames(headers, dataset, results));
  const views = viewNames(table);
  await engine.defineTable(table, tableOf(dataset, columns), found?.version);
  await engine.defineView(views.typed, typedView(dataset, columns, engine.database));
  await engine.defineView(views.analysis, analysisView(dataset, columns, engine.database));
  // The call that follows a newer file may have been done before these statements, which then undid its own.
  if ((await data.head(csv))?.etag !== file.etag) throw replaced(runId, dataset);
  // Its time too: a file that comes back after another one, with the same bytes and for the same request, has a query of
  // its own, because the first one was concluded when the other file was in place.
  const seed = `${fileIdentity(file)} ${file.at.toISOString()}`;
  const query = await startQuery(origin, seed, deps);
  return { run: runId, query };
}

/** Returns why a file cannot be what its readers expect, and what to do; undefined where it can. */
async function refusalOf(
  headers: readonly string[],
  dataset: Dataset,
  data: ObjectStore,
): Promise<string | undefined> {
  const missing = missingColumns(headers, dataset);
  if (missing.length > 0) {
    const columns = missing.map((name) => `"${name}"`).join(", ");
    return `The published file lacks ${columns}, which shared/datasets.ts requires. Put an earlier file back (npm run runs -- rollback RUN), or request a run.`;
  }
  const stray = await strayObjects(dataset, data);
  if (stray.length === 0) return undefined;
  return `${strayText(stray, data.bucket)}. Then request a run: npm run runs -- request --dataset ${dataset.name}.`;
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
      "The new file is followed automatically. If this persists, a publication ended in between: request a run, or repeat the rollback.",
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
