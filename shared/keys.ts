// The keys of the work bucket. The keys in the data and results buckets are settings of the dataset (`publish` in
// library.ts), except the analysts' folder, the columns' names and the reports.

/** Identifies a page of an attempt at a window of a run. The numbers start at 1. */
export type PageAddress = { runId: string; window: number; attempt: number; page: number };
export type AttemptAddress = Omit<PageAddress, "page">;

// Padded with zeros, so that S3 lists keys in the order of the output.
const padded = (n: number, digits: number) => String(n).padStart(digits, "0");
const attemptPath = ({ window, attempt }: AttemptAddress) => `${padded(window, 3)}/${attempt}`;
const pagePath = (address: PageAddress) => `${attemptPath(address)}/${padded(address.page, 6)}`;

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
  /** The run's outcome with all counts. */
  result: (runId: string) => `runs/${runId}/result.json`,
  /** The counts of the run's file (shared/profile.ts). */
  profile: (runId: string) => `runs/${runId}/profile.json`,
  /** The attempt of each window in an attempt of the run from 2. Written once. */
  attempt: (runId: string, attempt: number) => `runs/${runId}/attempts/${attempt}.json`,
  /** total_pages and total_records of page 1. Written once. */
  window: (address: AttemptAddress) => `runs/${address.runId}/windows/${attemptPath(address)}.json`,
  /** Folder of the windows' totals after all pages of an attempt of the run were transformed. */
  recounts: (runId: string, attempt: number) => `runs/${runId}/recounts/${attempt}/`,
  /** One window's totals. `attempt` is that of the run. Written once. */
  recount: ({ runId, window, attempt }: AttemptAddress) =>
    `runs/${runId}/recounts/${attempt}/${padded(window, 3)}.json`,
  /** Folder of the run's pages that are too large for a message. */
  pages: (runId: string) => `runs/${runId}/pages/`,
  /** A page that is too large for a message. */
  page: (address: PageAddress) => `runs/${address.runId}/pages/${pagePath(address)}.json`,
  /** A page's counts and rows (shared/part.ts). The page is transformed once this exists. */
  part: (address: PageAddress) => `runs/${address.runId}/parts/${pagePath(address)}`,
  /** Folder of the parts of an attempt at a window. */
  parts: (address: AttemptAddress) => `runs/${address.runId}/parts/${attemptPath(address)}/`,
  /** Folder of the parts of all attempts at all windows. */
  allParts: (runId: string) => `runs/${runId}/parts/`,
  /** Rejected records, each with its reason, as JSON Lines. */
  rejects: (address: PageAddress) => `runs/${address.runId}/rejects/${pagePath(address)}.jsonl`,
  /** The spans of the parts, on a machine that has removed the parts. */
  spans: (runId: string) => `runs/${runId}/spans.json`,
  /** The claim (shared/once.ts) of a report about the run. */
  report: (runId: string, what: string) => `runs/${runId}/reports/${what}.json`,
  /** The claim of a report about an event without a run. */
  reportOfEvent: (eventId: string) => `reports/${eventId}.json`,
  /** The folder of all queries. */
  queries: "queries/",
  /** The dataset and run of a query. */
  queryOrigin: (queryExecutionId: string) => `queries/${queryExecutionId}/origin.json`,
  /** The claim of handling a query's end. */
  queryEnd: (queryExecutionId: string) => `queries/${queryExecutionId}/end.json`,
  /** Folder in the results bucket for results of analysts' own queries. They expire (stacks/storage.ts). */
  analystsResults: "tableau/",
  /** In the results bucket, where this never expires: the name in Athena of each header of a dataset. */
  columnNames: (dataset: string) => `names/${dataset}.json`,
  /** In the results bucket, where these never expire: the report of a run as HTML, and a copy of the newest one. */
  runReport: (dataset: string, runId: string) => `reports/${dataset}/${runId}.html`,
  latestReport: (dataset: string) => `reports/${dataset}/latest.html`,
  /** Which EC2 instances are needed, and the desired state of each. */
  needs: "instances/needs.json",
  /** The claim of reporting whether an instance reached its desired state. */
  goalEnd: (goal: string) => `instances/goals/${goal}.json`,
  /** A dead letter that was archived. */
  deadLetter: (queue: string, messageId: string) => `deadletters/${queue}/${messageId}.json`,
};

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
