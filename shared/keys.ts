// The keys of the work bucket. The keys in the data and results buckets are settings of the dataset (`publish` in
// library.ts), except the analysts' folder, the columns' names and the reports.

/** Identifies a range of a window in an attempt. Both days are inclusive, and the numbers start at 1. */
export type RangeAddress = { runId: string; window: number; attempt: number; from: string; to: string };
/** Identifies what one request returned: a range, or one of the pages of a day that does not fit one page. */
export type PageAddress = RangeAddress & { page: number; pages: number };

// Padded with zeros, so that S3 lists keys in the order of the output.
const padded = (n: number, digits: number) => String(n).padStart(digits, "0");
const rangePath = ({ window, attempt, from, to }: RangeAddress) =>
  `${padded(window, 6)}/${attempt}/${from}_${to}`;
const pagePath = ({ page, pages, ...range }: PageAddress) =>
  pages === 1 ? rangePath(range) : `${rangePath(range)}_${padded(page, 6)}_${padded(pages, 6)}`;

export const keys = {
  /** The folder of all runs. */
  runs: "runs/",
  /** The folder of a run. */
  folder: (runId: string) => `runs/${runId}/`,
  /** The run's request and windows. Written once. */
  run: (runId: string) => `runs/${runId}/run.json`,
  /** The files that a held run would have published. */
  held: (runId: string) => `runs/${runId}/held/data.csv`,
  heldLines: (runId: string) => `runs/${runId}/held/data.jsonl`,
  /** @param name of the child table (shared/child-tables.ts) */
  heldChild: (runId: string, name: string) => `runs/${runId}/held/children/${name}.csv`,
  allHeld: (runId: string) => `runs/${runId}/held/`,
  heldParquet: (runId: string) => `runs/${runId}/held/data.parquet`,
  /** The run's outcome with all counts. */
  result: (runId: string) => `runs/${runId}/result.json`,
  /** The counts of the run's file (shared/profile.ts). */
  profile: (runId: string) => `runs/${runId}/profile.json`,
  /** What the rules of the columns did for the de-identified file. */
  deidentification: (runId: string) => `runs/${runId}/deidentification.json`,
  /** The counts of the changes since the publication before, and the changes (services/assembler/changes). */
  changes: (runId: string) => `runs/${runId}/changes.json`,
  changedRows: (runId: string) => `runs/${runId}/changes.parquet`,
  /** The attempt of each window in an attempt of the run from 2. Written once. */
  attempt: (runId: string, attempt: number) => `runs/${runId}/attempts/${attempt}.json`,
  /** How a range is read that does not fit one page. Written once, before its pieces are enqueued. */
  split: (address: RangeAddress) => `runs/${address.runId}/splits/${rangePath(address)}.json`,
  /** Folder of the periods' totals after all pages of an attempt of the run were transformed. */
  recounts: (runId: string, attempt: number) => `runs/${runId}/recounts/${attempt}/`,
  /** One period's totals. Written once. */
  recount: (runId: string, attempt: number, period: number) =>
    `runs/${runId}/recounts/${attempt}/${padded(period, 6)}.json`,
  /** The periods in which windows are searched that an attempt of the run fetches again. Written once. */
  search: (runId: string, attempt: number) => `runs/${runId}/searches/${attempt}.json`,
  /** Folder of the run's pages that are too large for a message. */
  pages: (runId: string) => `runs/${runId}/pages/`,
  /** Folder of the run's rejected records. */
  allRejects: (runId: string) => `runs/${runId}/rejects/`,
  /** A page that is too large for a message. */
  page: (address: PageAddress) => `runs/${address.runId}/pages/${pagePath(address)}.json`,
  /**
   * A page's counts and rows (shared/part.ts). The page is transformed once this exists. An empty object says that the
   * range does not fit one page (shared/window-parts.ts).
   */
  part: (address: PageAddress) => `runs/${address.runId}/parts/${pagePath(address)}`,
  /** Folder of the parts of an attempt at a window. */
  parts: ({ runId, window, attempt }: Pick<RangeAddress, "runId" | "window" | "attempt">) =>
    `runs/${runId}/parts/${padded(window, 6)}/${attempt}/`,
  /** Folder of the parts of all attempts at all windows. */
  allParts: (runId: string) => `runs/${runId}/parts/`,
  /** Rejected records, each with its reason, as JSON Lines. */
  rejects: (address: PageAddress) => `runs/${address.runId}/rejects/${pagePath(address)}.jsonl`,
  /** The spans of the parts, on a machine that has removed the parts. */
  spans: (runId: string) => `runs/${runId}/spans.json`,
  /** The windows of the dataset's last publication and their kept parts (shared/kept.ts). */
  keptIndex: (dataset: string) => `kept/${dataset}/index.json`,
  /** The claim (shared/once.ts) of a report about the run. */
  report: (runId: string, what: string) => `runs/${runId}/reports/${what}.json`,
  /** The claim of a report about an event without a run. */
  reportOfEvent: (eventId: string) => `reports/${eventId}.json`,
  /** Folder of the kept parts and their index. */
  keptFolder: (dataset: string) => `kept/${dataset}/`,
  /** A part of a published run, under the hash of its content, for later runs of the dataset. */
  kept: (dataset: string, hash: string) => `kept/${dataset}/${hash}`,
  /** The names that redaction finds (shared/privacy/names-file.ts). A person replaces it, and it never expires. */
  namesFile: (dataset: string) => `privacy/${dataset}/names.txt`,
  /** The records that must not be stored again (shared/privacy/forgotten.ts). This never expires. */
  forgotten: (dataset: string) => `forgotten/${dataset}.json`,
  /** The records that an interrupted call of `npm run privacy -- forget` has to remove. */
  forgettingNow: (dataset: string) => `forgotten/${dataset}/pending.json`,
  /** What a call of `npm run privacy -- forget` did, in counts and keys. This never expires. @param time ISO 8601 */
  forgetting: (dataset: string, time: string) => `forgotten/${dataset}/${time.replace(/[-:.]/g, "")}.json`,
  /** The folder of all queries. */
  queries: "queries/",
  /** The dataset and run of a query. */
  queryOrigin: (queryExecutionId: string) => `queries/${queryExecutionId}/origin.json`,
  /** The claim of handling a query's end. */
  queryEnd: (queryExecutionId: string) => `queries/${queryExecutionId}/end.json`,
  /** Folders in the results bucket for results of each audience's own queries. They expire (stacks/storage.ts). */
  analystsResults: { full: "tableau/", deidentified: "deidentified/" },
  /** In the results bucket, where this never expires: the name in Athena of each header of a dataset. */
  columnNames: (dataset: string) => `names/${dataset}.json`,
  /** In the data bucket, where these never expire: the changes of each publication, in a folder for each dataset. */
  allChanges: "changes/",
  changesFolder: (dataset: string) => `changes/${dataset}/`,
  changesFile: (dataset: string, runId: string) => `changes/${dataset}/${runId}.parquet`,
  /** In the results bucket, where these never expire: the report of a run as HTML, and a copy of the newest one. */
  reportsFolder: (dataset: string) => `reports/${dataset}/`,
  runReport: (dataset: string, runId: string) => `reports/${dataset}/${runId}.html`,
  latestReport: (dataset: string) => `reports/${dataset}/latest.html`,
  /** Which EC2 instances are needed, and the desired state of each. */
  needs: "instances/needs.json",
  /** The claim of reporting whether an instance reached its desired state. */
  goalEnd: (goal: string) => `instances/goals/${goal}.json`,
  /** Folder of the archived dead letters of a queue. */
  deadLetters: (queue: string) => `deadletters/${queue}/`,
  /** A dead letter that was archived. */
  deadLetter: (queue: string, messageId: string) => `deadletters/${queue}/${messageId}.json`,
};

/**
 * Days after which the objects of the work bucket expire, by the first folder of their keys. Dead letters are kept for 14
 * days, so 30 days cover every replay. A kept part is written again by each full run, at least once in a quarter.
 */
export const daysInWork = {
  "runs/": 30,
  "reports/": 30,
  "queries/": 30,
  "instances/": 30,
  "deadletters/": 30,
  "kept/": 200,
} as const;

/**
 * Returns the key in the data bucket for a copy of the published file while a file with another header replaces it
 * (shared/header-change.ts). Its folder holds nothing else.
 * @param csv key of the published file
 */
export function previousKey(csv: string): string {
  const slash = csv.lastIndexOf("/");
  return `${csv.slice(0, slash)}-previous${csv.slice(slash)}`;
}

/** Returns a key's folder, with its "/". */
export function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf("/") + 1);
}
