// What a run costs, by what its services did. Pure.
import { athenaLeastBytes, prices, sqsChunkBytes } from "./prices.ts";

/** What a service did in a run. */
export type Usage = {
  /** Requests to AWS, by the API's action: `PutObject`. */
  requests: Record<string, number>;
  /** What Lambda would bill, at whatever memory. */
  lambda: { calls: number; seconds: number };
};

export type Counted = {
  pages: number;
  /** By service. */
  services: Record<string, Usage>;
  /** Gigabytes of each service's function. */
  memoryGb: Record<string, number>;
  /** Of a page's message, on average. */
  pageBytes: number;
  /** Of the published CSV, which Athena reads. */
  csvBytes: number;
};

/** Dollars, by what they are for. */
export type Cost = { lambda: number; sqs: number; s3: number; events: number; athena: number };

const s3Reads = ["GetObject", "HeadObject"];
export const s3Puts = ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"];
const s3Writes = [...s3Puts, "ListObjectsV2"];
const sqsActions = ["SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch"];

/** @throws Error where something was counted that has no price here */
export function costOf({ pages, services, memoryGb, pageBytes, csvBytes }: Counted): Cost {
  let [gbSeconds, calls, sqs, writes, reads, events] = [0, 0, 0, 0, 0, 0];
  for (const [service, { lambda, requests }] of Object.entries(services)) {
    const gb = memoryGb[service];
    if (gb === undefined) throw new Error(`The memory of ${service} is not known.`);
    gbSeconds += lambda.seconds * gb;
    calls += lambda.calls;
    for (const [action, count] of Object.entries(requests)) {
      if (s3Reads.includes(action)) reads += count;
      else if (s3Writes.includes(action)) writes += count;
      else if (sqsActions.includes(action)) sqs += count;
      else if (action === "PutEvents") events += count;
      else throw new Error(`${action} has no price here.`);
    }
  }
  // Sent once and received once, and counted once each above.
  sqs += 2 * pages * (Math.ceil(pageBytes / sqsChunkBytes) - 1);
  return {
    lambda: gbSeconds * prices.lambdaGbSecond + calls * prices.lambdaRequest,
    sqs: sqs * prices.sqsRequest,
    s3: writes * prices.s3Write + reads * prices.s3Read,
    events: events * prices.event,
    athena: Math.max(csvBytes, athenaLeastBytes) * prices.athenaByte,
  };
}

export function totalOf(cost: Cost): number {
  return Object.values(cost).reduce((sum, part) => sum + part, 0);
}
