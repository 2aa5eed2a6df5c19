// Computes the cost of a run from the usage of its services.
import { athenaMinBytes, prices, sqsChunkBytes } from "./prices.ts";

/** The usage of one service in a run. */
export type Usage = {
  /** AWS requests by API action, such as `PutObject`. */
  requests: Record<string, number>;
  /** Lambda's billed calls and seconds. */
  lambda: { calls: number; seconds: number };
};

export type Counted = {
  pages: number;
  services: Record<string, Usage>;
  /** Memory of each service's function, in gigabytes. */
  memoryGb: Record<string, number>;
  /** Average size of a page's message. */
  pageBytes: number;
  /** Size of the published CSV, which Athena scans. */
  csvBytes: number;
};

/** Dollars by AWS service. */
export type Cost = { lambda: number; sqs: number; s3: number; events: number; athena: number };

const s3Reads = ["GetObject", "HeadObject"];
export const s3Puts = ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"];
const s3Writes = [...s3Puts, "ListObjectsV2"];
const sqsActions = ["SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch"];

/** @throws Error if a counted request has no price */
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
      else throw new Error(`${action} has no price. Add it to shared/cost.ts.`);
    }
  }
  // The first chunk of each page's send and receive is counted above.
  sqs += 2 * pages * (Math.ceil(pageBytes / sqsChunkBytes) - 1);
  return {
    lambda: gbSeconds * prices.lambdaGbSecond + calls * prices.lambdaRequest,
    sqs: sqs * prices.sqsRequest,
    s3: writes * prices.s3Write + reads * prices.s3Read,
    events: events * prices.event,
    athena: Math.max(csvBytes, athenaMinBytes) * prices.athenaByte,
  };
}

export function totalOf(cost: Cost): number {
  return Object.values(cost).reduce((sum, part) => sum + part, 0);
}
