// The format of a part: the transformer's result for one page, as one object that is written atomically. Its first line
// is the page's summary as JSON. The page's rows follow twice, as CSV and as JSON Lines; each row ends with "\n".
import { isDeepStrictEqual } from "node:util";
import { PipelineError } from "./errors.ts";
import { type PageSummary, pageSummary } from "./run.ts";

export const partContentType = "application/x-libinsight-part";
const newline = 0x0a;

export type Part = { summary: PageSummary; csv: Uint8Array; jsonl: Uint8Array };

export function encodePart(summary: Omit<PageSummary, "bytes">, csv: string, jsonl: string): Buffer {
  const bytes = { csv: Buffer.byteLength(csv), jsonl: Buffer.byteLength(jsonl) };
  return Buffer.from(`${JSON.stringify({ ...summary, bytes } satisfies PageSummary)}\n${csv}${jsonl}`);
}

/** Returns the summary and the rows of a part. @throws PipelineError `PartUnreadable` */
export function decodePart(key: string, part: Uint8Array): Part {
  const start = part.indexOf(newline) + 1;
  const summary = decodeSummary(textOf(part.subarray(0, start)));
  const middle = start + (summary?.bytes.csv ?? 0);
  if (!summary || part.length !== middle + summary.bytes.jsonl) {
    throw new PipelineError("PartUnreadable", {
      message: "A part in the work bucket is damaged, or was written by another version of the pipeline.",
      advice: "Request the run again.",
      ids: { key },
    });
  }
  return { summary, csv: part.subarray(start, middle), jsonl: part.subarray(middle) };
}

/** Returns whether two parts are the same, apart from the spans in which they were made. */
export function isSamePart(one: Uint8Array, other: Uint8Array): boolean {
  return isDeepStrictEqual(withoutSpans(one), withoutSpans(other));
}

function withoutSpans(part: Uint8Array): { summary: unknown; rows: Buffer } {
  const start = part.indexOf(newline) + 1;
  return {
    summary: { ...decodeSummary(textOf(part.subarray(0, start))), spans: undefined },
    rows: Buffer.from(part.subarray(start)),
  };
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
