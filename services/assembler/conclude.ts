// How a run ends whose pages are all accounted for: published, or not, with the reason and every count.
import { Readable } from "node:stream";
import * as z from "zod/mini";
import type { ObjectInfo, Store } from "../../shared/aws/store.ts";
import { type Dataset, outputColumns } from "../../shared/dataset.ts";
import { findDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import { isNewer, publishNewest } from "../../shared/publish.ts";
import { type Run, type RunResult, runResult } from "../../shared/run.ts";
import { checkParts, filesOf } from "./files.ts";
import { type Baseline, doubts } from "./guard.ts";
import type { Ledger, WindowAccount } from "./ledger.ts";

/** A form has some dozens of fields. Hundreds of undeclared ones mean that something else arrived. */
const maxAppended = 300;

export type Reconciled = {
  run: Run;
  attempt: number;
  ledger: Ledger;
  accounts: WindowAccount[];
  /** What does not agree with LibInsight's numbers, after the last attempt. */
  disagreements: string[];
  /** A person's reason to publish whatever the guard says. */
  force?: string | undefined;
};
/** As `publishFiles` writes them. Another hand's file tells nothing, or anything. */
const publication = z.object({
  rows: z.pipe(z.string().check(z.regex(/^\d{1,15}$/)), z.transform(Number)),
  "requested-at": z.iso.datetime(),
});

/** The result, but for the time when it was written. */
export type Conclusion = Omit<RunResult, "finishedAt">;
type Account = Omit<Conclusion, "state">;
export type ConcludeEffects = { work: Store; data: Store };

/**
 * Publishes, or says why not. A doubtful run is held: its file is kept aside, and a person's reason publishes it.
 * @throws PipelineError `PartChanged`, `PublishContended`
 */
export async function conclude(reconciled: Reconciled, effects: ConcludeEffects): Promise<Conclusion> {
  const { run, attempt, ledger, disagreements } = reconciled;
  const dataset = findDataset(run.dataset);
  const appended = ledger.appended;
  const account = accountOf(reconciled, [...outputColumns(dataset.columns), ...appended]);
  if (appended.length > maxAppended) {
    return {
      ...account,
      state: "failed",
      reason: `LibInsight sent ${appended.length} undeclared fields; the limit is ${maxAppended}. The earlier file stays. Look at the form's fields and at "undeclared" in shared/datasets.ts.`,
    };
  }
  const published = await effects.data.head(dataset.publish.csv);
  if (published && isNewer(published.metadata, run)) {
    return superseded(account, published.metadata["run-id"] ?? "unknown");
  }
  const found = [
    ...disagreements.map((what) => `LibInsight's numbers did not agree in ${attempt} attempts: ${what}`),
    ...doubts(account, dataset, await baselineOf(published, effects.work)),
  ];
  const judged = { ...account, ...previousOf(published, run), doubts: found };
  const force = reconciled.force ?? run.force;
  if (found.length === 0) return publishFiles(judged, reconciled, dataset, effects);
  if (force !== undefined) return publishFiles({ ...judged, force }, reconciled, dataset, effects);
  await keepAside(judged, reconciled, effects);
  return {
    ...judged,
    state: "held",
    reason: `The run is held and nothing is published: ${found.join("; ")}. The earlier file stays. Compare; if the new one is right, publish it: npm run runs -- publish ${run.runId} --force --reason TEXT`,
  };
}

/** The end of a run whose parts still are not the counted ones after the last attempt: nothing is published. */
export function gaveUp(reconciled: Reconciled, reason: string): Conclusion {
  const { columns } = findDataset(reconciled.run.dataset);
  const account = accountOf(reconciled, [...outputColumns(columns), ...reconciled.ledger.appended]);
  return { ...account, state: "failed", reason };
}

/** What the published file's metadata and its run's result tell. A file of the predecessor tells nothing. */
async function baselineOf(published: ObjectInfo | undefined, work: Store): Promise<Baseline> {
  const { rows, "run-id": runId } = published?.metadata ?? {};
  const result = runId ? await work.getJson(keys.result(runId), runResult) : undefined;
  return { rows: rows === undefined ? undefined : Number(rows), filled: result?.filled };
}

/**
 * The publication that this one follows. Where the run's own file is in place already (an assembler died before it could
 * write the result), what was there before is not known.
 */
function previousOf(published: ObjectInfo | undefined, run: Run): Pick<RunResult, "previous"> {
  if (!published || published.metadata["run-id"] === run.runId) return {};
  const { data } = publication.safeParse(published.metadata);
  return data ? { previous: { rows: data.rows, requestedAt: data["requested-at"] } } : {};
}

async function keepAside(
  account: Account,
  { run, ledger }: Reconciled,
  { work }: ConcludeEffects,
): Promise<void> {
  const files = filesOf(run.runId, ledger, account.columns, work);
  const csv = async () => Readable.from(files.csv());
  const jsonl = async () => Readable.from(files.jsonl());
  await publishNewest(work, keys.held(run.runId), run, csv, { contentType: "text/csv; charset=utf-8" });
  await publishNewest(work, keys.heldLines(run.runId), run, jsonl, { contentType: "application/x-ndjson" });
}

async function publishFiles(
  account: Account,
  { run, ledger }: Reconciled,
  dataset: Dataset,
  { work, data }: ConcludeEffects,
): Promise<Conclusion> {
  await checkParts(run.runId, ledger, work);
  const files = filesOf(run.runId, ledger, account.columns, work);
  const options = { metadata: { dataset: run.dataset, rows: String(ledger.rows) } };
  const { csv: csvKey, jsonl: jsonlKey } = dataset.publish;
  // The CSV is what readers rely on, so it goes first: whatever then befalls the JSON lines, they can be put there later.
  const csv = await publishNewest(data, csvKey, run, async () => Readable.from(files.csv()), {
    ...options,
    contentType: "text/csv; charset=utf-8",
  });
  if (csv.superseded) return superseded(account, csv.by);
  const jsonl = await publishNewest(data, jsonlKey, run, async () => Readable.from(files.jsonl()), {
    ...options,
    contentType: "application/x-ndjson",
  });
  if (jsonl.superseded) return superseded(account, jsonl.by);
  return {
    ...account,
    state: "published",
    published: {
      bucket: data.bucket,
      csv: { key: csvKey, etag: csv.object.etag, bytes: csv.object.bytes },
      jsonl: { key: jsonlKey, etag: jsonl.object.etag, bytes: jsonl.object.bytes },
    },
  };
}

function superseded(account: Account, by: string): Conclusion {
  return {
    ...account,
    state: "superseded",
    reason: `A later run (${by}) has already published; its file stays. Nothing is to be done.`,
  };
}

/** Every count of the run. */
function accountOf({ run, attempt, ledger, accounts }: Reconciled, columns: string[]): Account {
  return {
    runId: run.runId,
    dataset: run.dataset,
    from: run.from,
    to: run.to,
    requestedAt: run.requestedAt,
    doubts: [],
    attempt,
    windows: accounts.map(({ window, attempt, totals }) => ({
      from: window.from,
      to: window.to,
      attempt,
      pages: Math.max(totals.totalPages, 1),
      totalRecords: totals.totalRecords,
    })),
    records: ledger.records,
    rows: ledger.rows,
    duplicates: ledger.duplicates,
    rejects: Object.fromEntries(ledger.rejects),
    furtherAnswers: Object.fromEntries(ledger.furtherAnswers),
    mistyped: Object.fromEntries(ledger.mistyped),
    undeclared: Object.fromEntries(ledger.undeclared),
    filled: Object.fromEntries(ledger.filled),
    columns,
  };
}
