// How a run ends whose pages are all accounted for: published, or not, with the reason and every count.
import { Readable } from "node:stream";
import type { Store } from "../../shared/aws/store.ts";
import { type Dataset, outputColumns } from "../../shared/dataset.ts";
import { findDataset } from "../../shared/datasets.ts";
import { publishNewest } from "../../shared/publish.ts";
import type { Run, RunResult } from "../../shared/run.ts";
import { filesOf } from "./files.ts";
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
};
export type ConcludeEffects = { work: Store; data: Store; now: () => Date };

/** Publishes, or says why not. @throws PipelineError `PartChanged`, `PublishContended` */
export async function conclude(reconciled: Reconciled, effects: ConcludeEffects): Promise<RunResult> {
  const { run, attempt, ledger, disagreements } = reconciled;
  const dataset = findDataset(run.dataset);
  const appended = ledger.appended;
  const account = accountOf(reconciled, [...outputColumns(dataset.columns), ...appended], effects.now());
  if (disagreements.length > 0) {
    return {
      ...account,
      state: "failed",
      reason: `LibInsight's numbers did not agree in ${attempt} attempts (${disagreements.join("; ")}). The earlier file stays. Request the run again when LibInsight is quiet.`,
    };
  }
  if (appended.length > maxAppended) {
    return {
      ...account,
      state: "failed",
      reason: `LibInsight sent ${appended.length} undeclared fields; the limit is ${maxAppended}. The earlier file stays. Look at the form's fields and at "undeclared" in shared/datasets.ts.`,
    };
  }
  return publishFiles(account, reconciled, dataset, effects);
}

async function publishFiles(
  account: Omit<RunResult, "state">,
  { run, ledger }: Reconciled,
  dataset: Dataset,
  { work, data }: ConcludeEffects,
): Promise<RunResult> {
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

function superseded(account: Omit<RunResult, "state">, by: string): RunResult {
  return {
    ...account,
    state: "superseded",
    reason: `A later run (${by}) has already published; its file stays. Nothing is to be done.`,
  };
}

/** Every count of the run. */
function accountOf(
  { run, attempt, ledger, accounts }: Reconciled,
  columns: string[],
  now: Date,
): Omit<RunResult, "state"> {
  return {
    runId: run.runId,
    dataset: run.dataset,
    from: run.from,
    to: run.to,
    requestedAt: run.requestedAt,
    finishedAt: now.toISOString(),
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
    columns,
  };
}
