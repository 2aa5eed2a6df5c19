// Where things lie in the work bucket, spelled here and nowhere else. The keys in the data and results buckets
// belong to the dataset (`publish` in datasets.ts), but for the analysts' folder.

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
  /** How the run ended, with every count. */
  result: (runId: string) => `runs/${runId}/result.json`,
  /** Which attempt of each window the run's attempt n is made of; attempt 1 has none. Written once. */
  attempt: (runId: string, attempt: number) => `runs/${runId}/attempts/${attempt}.json`,
  /** total_pages and total_records as page 1 told. Written once. */
  window: (address: AttemptAddress) => `runs/${address.runId}/windows/${attemptPath(address)}.json`,
  /** A page too large for one message. */
  page: (address: PageAddress) => `runs/${address.runId}/pages/${pagePath(address)}.json`,
  /** The page's rows as CSV, without a header. */
  part: (address: PageAddress) => `runs/${address.runId}/parts/${pagePath(address)}.csv`,
  /** The same rows as JSON lines. */
  partLines: (address: PageAddress) => `runs/${address.runId}/parts/${pagePath(address)}.jsonl`,
  /** Both kinds of parts of one attempt at one window. */
  parts: (address: AttemptAddress) => `runs/${address.runId}/parts/${attemptPath(address)}/`,
  /** What became of the page's records. Written last: a page is transformed when this is there. */
  summary: (address: PageAddress) => `runs/${address.runId}/summaries/${pagePath(address)}.json`,
  /** The summaries of one attempt at one window. */
  summaries: (address: AttemptAddress) => `runs/${address.runId}/summaries/${attemptPath(address)}/`,
  /** Those of all attempts at all windows. */
  allSummaries: (runId: string) => `runs/${runId}/summaries/`,
  /** Rows left out, each with its reason, as JSON lines. */
  rejects: (address: PageAddress) => `runs/${address.runId}/rejects/${pagePath(address)}.jsonl`,
  /** Whether people were told of something about the run, or who is at it. */
  report: (runId: string, what: string) => `runs/${runId}/reports/${what}.json`,
  /** The same of an event that is about no run. */
  reportOfEvent: (eventId: string) => `reports/${eventId}.json`,
  /** Whether what is to be done at a query's end is done, or who is at it. */
  queryEnd: (queryExecutionId: string) => `queries/${queryExecutionId}.json`,
  /** In the results bucket: what the analysts' own queries give. It expires (stacks/storage.ts). */
  analystsResults: "tableau/",
  /** Who needs which EC2 instance to run, and what is being done about it. */
  needs: "instances/needs.json",
  /** Whether the end of what was asked of an instance is told, or who is at it. */
  goalEnd: (goal: string) => `instances/goals/${goal}.json`,
  /** A dead letter that was taken out of its queue. */
  deadLetter: (queue: string, messageId: string) => `deadletters/${queue.toLowerCase()}/${messageId}.json`,
};
