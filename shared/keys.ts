// The keys of the work bucket. The keys in the data and results buckets belong to the dataset (`publish` in datasets.ts),
// except the analysts' folder and the columns' names.

/** One page of one attempt at one window of one run. All but `runId` count from 1. */
export type PageAddress = { runId: string; window: number; attempt: number; page: number };
export type AttemptAddress = Omit<PageAddress, "page">;

// Zero-padded, so that S3's listing order is the output order.
const padded = (n: number, digits: number) => String(n).padStart(digits, "0");
const attemptPath = ({ window, attempt }: AttemptAddress) => `${padded(window, 3)}/${attempt}`;
const pagePath = (address: PageAddress) => `${attemptPath(address)}/${padded(address.page, 6)}`;

export const keys = {
  /** Above all runs. */
  runs: "runs/",
  /** All of a run. */
  folder: (runId: string) => `runs/${runId}/`,
  /** The request and its windows. Written once. */
  run: (runId: string) => `runs/${runId}/run.json`,
  /** What a held run would have published. */
  held: (runId: string) => `runs/${runId}/held/data.csv`,
  heldLines: (runId: string) => `runs/${runId}/held/data.jsonl`,
  /** The run's outcome, with every count. */
  result: (runId: string) => `runs/${runId}/result.json`,
  /** Which attempt of each window makes up the run's attempt n; attempt 1 has none. Written once. */
  attempt: (runId: string, attempt: number) => `runs/${runId}/attempts/${attempt}.json`,
  /** total_pages and total_records as announced on page 1. Written once. */
  window: (address: AttemptAddress) => `runs/${address.runId}/windows/${attemptPath(address)}.json`,
  /** Totals of the windows as announced after all pages of the run's attempt n were transformed. */
  recounts: (runId: string, attempt: number) => `runs/${runId}/recounts/${attempt}/`,
  /** Of one window; `attempt` is the run's. Written once. */
  recount: ({ runId, window, attempt }: AttemptAddress) =>
    `runs/${runId}/recounts/${attempt}/${padded(window, 3)}.json`,
  /** The pages of a run that were too large for one message. */
  pages: (runId: string) => `runs/${runId}/pages/`,
  /** A page too large for one message. */
  page: (address: PageAddress) => `runs/${address.runId}/pages/${pagePath(address)}.json`,
  /** What was made of a page: its counts and its rows (shared/part.ts). A page is transformed when this exists. */
  part: (address: PageAddress) => `runs/${address.runId}/parts/${pagePath(address)}`,
  /** The parts of one attempt at one window. */
  parts: (address: AttemptAddress) => `runs/${address.runId}/parts/${attemptPath(address)}/`,
  /** Those of all attempts at all windows. */
  allParts: (runId: string) => `runs/${runId}/parts/`,
  /** Rows left out, each with its reason, as JSON lines. */
  rejects: (address: PageAddress) => `runs/${address.runId}/rejects/${pagePath(address)}.jsonl`,
  /** The claim on reporting something about the run. */
  report: (runId: string, what: string) => `runs/${runId}/reports/${what}.json`,
  /** The same for an event that concerns no run. */
  reportOfEvent: (eventId: string) => `reports/${eventId}.json`,
  /** What a query was started for. */
  queryOrigin: (queryExecutionId: string) => `queries/${queryExecutionId}/origin.json`,
  /** The claim on concluding a query. */
  queryEnd: (queryExecutionId: string) => `queries/${queryExecutionId}/end.json`,
  /** In the results bucket: results of analysts' own queries. They expire (stacks/storage.ts). */
  analystsResults: "tableau/",
  /** In the results bucket, where nothing expires: which name in Athena each header of a dataset has got. */
  columnNames: (dataset: string) => `names/${dataset}.json`,
  /** Who needs which EC2 instance to run, and what is being done about it. */
  needs: "instances/needs.json",
  /** The claim on reporting that an instance reached its desired state, or did not. */
  goalEnd: (goal: string) => `instances/goals/${goal}.json`,
  /** A dead letter that was taken out of its queue. */
  deadLetter: (queue: string, messageId: string) => `deadletters/${queue}/${messageId}.json`,
};

/**
 * Returns where in the data bucket a copy of the published file is while a file with another header takes its place
 * (shared/header-change.ts). The folder is no table's own, and holds nothing else.
 * @param csv the published file's key
 */
export function previousKey(csv: string): string {
  const slash = csv.lastIndexOf("/");
  return `${csv.slice(0, slash)}-previous${csv.slice(slash)}`;
}

/** Returns a key's folder, with its "/". */
export function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf("/") + 1);
}
