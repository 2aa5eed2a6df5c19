// Counts what a process asks of AWS: each HTTP request on the wire, retries too, as AWS bills it. Told by Node itself, so
// that it sees what happens inside a bundle.
import { subscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";
import { z } from "zod";

/** By the name of the API's action: `PutObject`. */
export type Requests = Record<string, number>;

const started = z.object({ request: z.custom<ClientRequest>() });

/** Before the first request. @returns the counts, which grow */
export function countRequests(): Requests {
  const counts: Requests = {};
  subscribe("http.client.request.start", (message) => {
    const { request } = started.parse(message);
    const action = actionOf(request);
    counts[action] = (counts[action] ?? 0) + 1;
  });
  return counts;
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html */
function actionOf(request: ClientRequest): string {
  const target = request.getHeader("x-amz-target");
  if (typeof target === "string") return target.slice(target.indexOf(".") + 1);
  const { searchParams } = new URL(request.path, "http://host");
  switch (request.method) {
    case "PUT":
      return searchParams.has("partNumber") ? "UploadPart" : "PutObject";
    case "POST":
      return searchParams.has("uploads") ? "CreateMultipartUpload" : "CompleteMultipartUpload";
    case "HEAD":
      return "HeadObject";
    case "GET":
      return searchParams.has("list-type") ? "ListObjectsV2" : "GetObject";
    default:
      throw new Error(`The benchmarks know no ${request.method} request.`);
  }
}
