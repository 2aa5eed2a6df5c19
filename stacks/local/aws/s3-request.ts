// What a request to the local S3 is about, and which requests are refused because neither the front nor fauxqs does
// what they ask.
import type { IncomingMessage } from "node:http";
import { S3Error } from "./s3-error.ts";
import type { WriteEvent } from "./s3-notifications.ts";

/** What a request is about. */
export type Target = {
  /** As it was sent, still encoded, without the query. */
  path: string;
  bucket: string;
  /** Empty for a request about the bucket itself. */
  key: string;
  query: URLSearchParams;
};

/** @throws S3Error `InvalidURI` */
export function parseTarget(url: string): Target {
  const [path = "/", query = ""] = splitOnce(url, "?");
  const [bucket, encodedKey = ""] = splitOnce(path.slice(1), "/");
  let key: string;
  try {
    key = decodeURIComponent(encodedKey);
  } catch {
    throw new S3Error(400, "InvalidURI", "Couldn't parse the specified URI.");
  }
  // fauxqs makes each of these segments a folder, where "a//b" would be "a/b" and ".." would lead out.
  const folders = key.endsWith("/") ? key.slice(0, -1).split("/") : key.split("/");
  if (key !== "" && folders.some((name) => name === "" || name === "." || name === "..")) {
    throw new S3Error(
      400,
      "InvalidURI",
      'The local S3 can\'t keep a key with an empty segment, "." or "..".',
    );
  }
  return { path, bucket: bucket ?? "", key, query: new URLSearchParams(query) };
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}

const listing = [
  "list-type",
  "prefix",
  "delimiter",
  "max-keys",
  "continuation-token",
  "start-after",
  "marker",
];
const bucketQueries = new Set([
  ...listing,
  "encoding-type",
  "fetch-owner",
  "delete",
  "lifecycle",
  "notification",
  "versioning",
  "versions",
  "key-marker",
  "version-id-marker",
]);
const objectQueries: Record<string, ReadonlySet<string>> = {
  GET: new Set(["partNumber", "attributes", "versionId"]),
  HEAD: new Set(["versionId"]),
  PUT: new Set(["partNumber", "uploadId"]),
  POST: new Set(["uploads", "uploadId"]),
  DELETE: new Set(["uploadId"]),
};

/** fauxqs passes over what it does not know: PutBucketVersioning would be answered as CreateBucket. */
export function refuseUnknown(request: IncomingMessage, { key, query }: Target): void {
  const known = key === "" ? bucketQueries : objectQueries[request.method ?? ""];
  for (const name of query.keys()) {
    if (known?.has(name) || name === "x-id" || /^(x-amz-|response-)/i.test(name)) continue;
    throw new S3Error(501, "NotImplemented", `The local S3 has no "${name}" for ${request.method} requests.`);
  }
  const condition = Object.keys(request.headers).find((name) => name.startsWith("x-amz-copy-source-if-"));
  if (condition) throw new S3Error(501, "NotImplemented", `The local S3 does not know ${condition}.`);
  const asked = [...Object.keys(request.headers), ...query.keys()];
  const narrowed = asked.find((name) => /^(if-.*|range|partNumber|attributes)$/.test(name));
  if (query.has("versionId") && narrowed !== undefined) {
    throw new S3Error(501, "NotImplemented", `The local S3 does not know ${narrowed} with a versionId.`);
  }
}

/** In a bucket with versions fauxqs would delete for good, and would give a copy the version id of its source. */
export function refuseInVersioned(request: IncomingMessage, { key, query }: Target): void {
  const { method, headers } = request;
  const isUpload = query.has("uploads") || query.has("uploadId");
  if (!isUpload && (method === "POST" || (method === "DELETE" && key !== ""))) {
    throw new S3Error(
      501,
      "NotImplemented",
      "The local S3 has no delete markers: nothing is deleted in a bucket with versions.",
    );
  }
  if (headers["x-amz-copy-source"] !== undefined) {
    throw new S3Error(501, "NotImplemented", "The local S3 does not copy into a bucket with versions.");
  }
}

export function writeEvent(request: IncomingMessage, { query }: Target): WriteEvent | undefined {
  if (request.method === "POST" && query.has("uploadId")) return "CompleteMultipartUpload";
  if (request.method !== "PUT" || query.has("uploadId")) return undefined;
  return request.headers["x-amz-copy-source"] === undefined ? "Put" : "Copy";
}
