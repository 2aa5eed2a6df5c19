// Publishes a held run by force: exactly the files that were reviewed, or none.
import { childTables } from "../../shared/child-tables.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";
import { fingerprintOf } from "../../shared/fingerprint.ts";
import { keys } from "../../shared/keys.ts";
import type { Run, RunResult } from "../../shared/run.ts";
import { noRows, type Rows, type WriteRows, writeFiles } from "../../shared/write-files.ts";
import { missedChanges, publishChanges, recordChanges } from "./changes/file-changes.ts";
import {
  type ConcludeDeps,
  type Conclusion,
  filesOf,
  otherFilesOf,
  preparePublication,
  supersededReason,
  targetOf,
} from "./conclude.ts";

/**
 * @param result the held run's result
 * @param force the person's reason
 * @throws PipelineError `EntryChanged`, `HeldFilesChanged`, `StrayObjects`, `PublishContended`
 */
export async function publishHeld(
  run: Run,
  result: RunResult,
  force: string,
  dataset: Dataset,
  deps: ConcludeDeps,
): Promise<Conclusion> {
  const { work, data } = deps;
  const { runId } = run;
  // If an earlier call published the files and died, readers already have them.
  const isPublished = (await data.head(dataset.publish.csv))?.metadata["run-id"] === runId;
  if (!isPublished && result.entry !== fingerprintOf(dataset)) {
    throw refusal(
      "EntryChanged",
      "The dataset's entry in shared/library.ts changed after the run was held.",
      run,
    );
  }
  const { children: heldChildren = [] } = result;
  // If an entry with other columns is deployed now, the other files were published before the CSV.
  const isDeployed = result.entry === fingerprintOf(dataset);
  const children = isDeployed ? childTables(dataset) : [];
  const parquet = isDeployed ? result.parquet : undefined;
  const files = [
    {
      key: keys.held(runId),
      held: result.held?.csv,
      rows: (chunk: Uint8Array): Rows => ({ ...noRows, csv: chunk }),
    },
    {
      key: keys.heldLines(runId),
      held: result.held?.jsonl,
      rows: (chunk: Uint8Array): Rows => ({ ...noRows, jsonl: chunk }),
    },
    ...children.map(({ name }, index) => ({
      key: keys.heldChild(runId, name),
      held: heldChildren[index],
      rows: (chunk: Uint8Array): Rows => ({
        ...noRows,
        children: children.map((_, at) => (at === index ? chunk : noRows.csv)),
      }),
    })),
    ...(parquet
      ? [
          {
            key: keys.heldParquet(runId),
            held: parquet,
            rows: (chunk: Uint8Array): Rows => ({ ...noRows, parquet: chunk }),
          },
        ]
      : []),
  ];
  for (const { key, held } of files) {
    if (held === undefined || (await work.head(key))?.etag !== held.etag)
      throw refusal(
        "HeldFilesChanged",
        "The files of the held run changed or expired after its review.",
        run,
      );
  }
  const { columns } = (parquet && (await work.head(keys.heldParquet(runId)))?.metadata) ?? {};
  const metadata = columns === undefined ? undefined : { columns };
  const target = targetOf("published", runId, dataset, children, deps, metadata);
  const copyHeld: WriteRows = async (write) => {
    for (const { key, rows } of files) {
      for await (const chunk of await work.stream(key)) await write(rows(chunk));
    }
    return "keep";
  };
  const write = isPublished ? copyHeld : recordChanges(copyHeld, run, dataset, deps);
  const outcome = await writeFiles(target, { ...run, entry: result.entry }, deps.now(), write, () =>
    preparePublication(run, dataset, result.columns, deps),
  );
  const { reason: _reason, finishedAt: _finishedAt, state: _state, ...counts } = result;
  if (outcome.state === "superseded")
    return { ...counts, state: "superseded", reason: supersededReason(outcome.by) };
  if (outcome.state === "discarded") throw new Error(`The held files of run ${runId} were discarded.`);
  const published = filesOf(target, outcome.files);
  const { refresh } = counts;
  const missed = await missedChanges(runId, work);
  return {
    ...counts,
    state: "published",
    force,
    changes: await publishChanges(run, published.csv, dataset, deps),
    ...(refresh && { refresh: { ...refresh, ...(missed && { missed }) } }),
    published: { bucket: data.bucket, ...published },
    ...otherFilesOf(target, outcome.files, heldChildren),
  };
}

function refusal(name: string, message: string, { runId, dataset }: Run): PipelineError {
  return new PipelineError(name, {
    message: `${message} Nothing is published.`,
    advice: `Request the run again: npm run runs -- request --dataset ${dataset}`,
    ids: { run: runId },
  });
}
