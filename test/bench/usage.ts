// What each service does for a page, counted in a run of 10,300 records (105 pages) whose LibInsight took 250 ms, on AWS's APIs
// emulated on one machine, on November 28, 2026.
import type { Usage } from "./cost.ts";

const countedPages = 105;

const counted: Record<string, Usage> = {
  kickoff: {
    requests: { ReceiveMessage: 4, PutObject: 1, SendMessageBatch: 1, PutEvents: 1, DeleteMessageBatch: 1 },
    lambda: { calls: 1, seconds: 0.03 },
  },
  fetcher: {
    requests: {
      ReceiveMessage: 61,
      PutObject: 3,
      SendMessageBatch: 12,
      SendMessage: 105,
      DeleteMessageBatch: 66,
    },
    lambda: { calls: 105, seconds: 40 },
  },
  transformer: {
    requests: {
      ReceiveMessage: 50,
      PutObject: 327,
      GetObject: 57,
      HeadObject: 55,
      DeleteMessageBatch: 50,
      ListObjectsV2: 5,
      SendMessage: 1,
      PutEvents: 1,
    },
    lambda: { calls: 50, seconds: 7.43 },
  },
  assembler: {
    requests: {
      ReceiveMessage: 4,
      GetObject: 322,
      ListObjectsV2: 6,
      HeadObject: 5,
      PutObject: 3,
      PutEvents: 1,
      DeleteMessageBatch: 1,
    },
    lambda: { calls: 1, seconds: 0.88 },
  },
};

/** Estimates what a run of so many pages takes. */
export function countedUsage(pages: number): Record<string, Usage> {
  const factor = pages / countedPages;
  return mapValues(counted, ({ requests, lambda }) => ({
    requests: mapValues(requests, (count) => count * factor),
    lambda: { calls: lambda.calls * factor, seconds: lambda.seconds * factor },
  }));
}

function mapValues<T, U>(record: Record<string, T>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
