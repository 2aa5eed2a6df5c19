// A part: what the transformer makes of one page, as one object that is written in one step. Its first line is the page's
// summary as JSON; the page's rows follow twice, as CSV and as JSON lines, each row ended by "\n".
import { PipelineError } from "./errors.ts";
import { type PageSummary, pageSummary } from "./run.ts";

export const partContentType = "application/x-libinsight-part";
const newline = 0x0a;

export type Part = { summary: PageSummary; csv: Uint8Array; jsonl: Uint8Array };

export function encodePart(summary: Omit<PageSummary, "bytes">, csv: string, jsonl: string): Buffer {
  const bytes = { csv: Buffer.byteLength(csv), jsonl: Buffer.byteLength(jsonl) };
  return Buffer.from(`${JSON.stringify({ ...summary, bytes } satisfies PageSummary)}\n${csv}${jsonl}`);
}

/** @throws PipelineError `PartUnreadable` */
export function decodePart(key: string, part: Uint8Array): Part {
  const start = part.indexOf(newline) + 1;
  const summary = summaryOf(part.subarray(0, start));
  const middle = start + (summary?.bytes.csv ?? 0);
  if (!summary || part.length !== middle + summary.bytes.jsonl) {
    throw new PipelineError("PartUnreadable", {
      message: "A part in the work bucket is damaged, or another version of the pipeline wrote it.",
      advice: "Request the run again.",
      ids: { key },
    });
  }
  return { summary, csv: part.subarray(start, middle), jsonl: part.subarray(middle) };
}

function summaryOf(line: Uint8Array): PageSummary | undefined {
  try {
    return pageSummary.parse(JSON.parse(Buffer.from(line).toString("utf8")));
  } catch {
    return undefined;
  }
}
