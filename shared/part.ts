// The format of a part: the transformer's result for one page, as one object that is written atomically. Its first line
// is the page's summary as JSON. The page's rows follow twice, as CSV and as JSON Lines, then the rows of each child table
// as CSV; each row ends with "\n".
import { createHash } from "node:crypto";
import { PipelineError } from "./errors.ts";
import { type PageSummary, pageSummary } from "./run.ts";

export const partContentType = "application/x-libinsight-part";
const newline = 0x0a;

export type Part = {
  summary: PageSummary;
  csv: Uint8Array;
  jsonl: Uint8Array;
  /** The rows of child tables, in the order of `summary.answers`. */
  children: Uint8Array[];
};

/** @param children the rows of child tables as CSV, in the order of `summary.answers` */
export function encodePart(
  summary: Omit<PageSummary, "bytes">,
  csv: string,
  jsonl: string,
  children: readonly string[] = [],
): Buffer {
  const sizes = children.map((rows) => Buffer.byteLength(rows));
  const bytes = {
    csv: Buffer.byteLength(csv),
    jsonl: Buffer.byteLength(jsonl),
    ...(sizes.length > 0 && { children: sizes }),
  };
  const line = JSON.stringify({ ...summary, bytes } satisfies PageSummary);
  return Buffer.from(`${line}\n${csv}${jsonl}${children.join("")}`);
}

/** Returns the summary and the rows of a part. @throws PipelineError `PartUnreadable` */
export function decodePart(key: string, part: Uint8Array): Part {
  const read = readPart(part);
  if (read) return read;
  throw new PipelineError("PartUnreadable", {
    message: "A part in the work bucket is damaged, or was written by another version of the pipeline.",
    advice: "Request the run again.",
    ids: { key },
  });
}

/** Returns a part by its name among the kept parts; undefined if it is not that part, or if another version wrote it. */
export function decodeKeptPart(name: string, part: Uint8Array): Part | undefined {
  return keptName(part) === name ? readPart(part) : undefined;
}

/** Returns the SHA-256 of a part without spans, as 64 hexadecimal digits. */
export function keptName(part: Uint8Array): string {
  return createHash("sha256").update(part).digest("hex");
}

function readPart(part: Uint8Array): Part | undefined {
  const start = part.indexOf(newline) + 1;
  const summary = decodeSummary(textOf(part.subarray(0, start)));
  const { csv = 0, jsonl = 0, children = [] } = summary?.bytes ?? {};
  let end = start;
  const [csvRows = part, jsonlRows = part, ...childRows] = [csv, jsonl, ...children].map((bytes) => {
    end += bytes;
    return part.subarray(end - bytes, end);
  });
  if (!summary || part.length !== end || children.length !== (summary.answers ?? []).length) return undefined;
  return { summary, csv: csvRows, jsonl: jsonlRows, children: childRows };
}

/** Returns whether two parts are the same, apart from the spans in which they were made. */
export function isSamePart(one: Uint8Array, other: Uint8Array): boolean {
  return withoutSpans(one).equals(withoutSpans(other));
}

/** Returns the part without the spans in which it was made, so that the same records give the same bytes. */
export function withoutSpans(part: Uint8Array): Buffer {
  const start = part.indexOf(newline) + 1;
  const summary = { ...decodeSummary(textOf(part.subarray(0, start))), spans: undefined };
  return Buffer.concat([Buffer.from(`${JSON.stringify(summary)}\n`), part.subarray(start)]);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}

/** Returns the summary in a part's first line, or undefined if it is damaged or of another version. */
export function decodeSummary(line: string): PageSummary | undefined {
  try {
    return pageSummary.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}
