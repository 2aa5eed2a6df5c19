// Limits a page while its JSON arrives, before it is parsed. Records that are too large, have too many fields or are
// nested too deeply are left out, each with a reason. So a response never needs more memory than the largest page.
import { randomUUID } from "node:crypto";
import { endOfString } from "../../json.ts";

export const limits = {
  /** Size of a record's JSON. LibInsight's texts are several kilobytes. */
  recordBytes: 1024 * 1024,
  /** Fields of a record. Each may become a column. */
  fields: 1_000,
  /** Nesting of a record, which is level 1. JSON.stringify overflows the stack at several thousand levels. */
  levels: 100,
  /**
   * Size of a page's records. A transformer with 1,024 MB handles ten pages at once and holds each as text, values, CSV
   * and JSON Lines.
   */
  pageBytes: 8 * 1024 * 1024,
  /** Records of a page. The API returns 100. */
  records: 10_000,
  /** Size of everything around the records. */
  otherBytes: 8 * 1024 * 1024,
};

/** A record that exceeds a limit. */
export type LeftOut = {
  /** Position in the page, from 0. */
  index: number;
  reason: string;
  /** The `_id`, if it is the record's first field. */
  id?: number;
};

export type RecordFilter = {
  /**
   * Takes the next piece of a response and returns the text to keep.
   * @throws Error of `onTooLarge` if the response has too many records, or is too large without them
   */
  keep(text: string): string;
  /** Separates the records from the marks of those that were left out. @param records of the parsed response */
  split(records: readonly unknown[]): { records: unknown[]; leftOut: LeftOut[] };
};

/** The nesting level of records: `{"payload":{"records":[...]}}`. */
const level = 3;
const leadingId = /^\s*\{\s*"_id"\s*:\s*"?(\d{1,15})"?\s*[,}]/;
/** Characters in which a leading `_id` is found. */
const headLength = 100;

/** @param onTooLarge returns the error for a response that has too many records, or is too large without them */
export function recordFilter(onTooLarge: () => Error): RecordFilter {
  /** The records that are left out, by the mark that replaces them. No record can contain a mark. */
  const marked = new Map<unknown, Omit<LeftOut, "index">>();
  const prefix = `left out ${randomUUID()}`;
  let depth = 0;
  let isInString = false;
  let isEscaped = false;
  let otherLength = 0;
  let recordBytes = 0;
  let members = 0;
  let member: { text: string; length: number; fields: number; levels: number } | undefined;
  let out = "";

  function add(piece: string): void {
    if (member) {
      member.length += piece.length;
      if (member.text.length <= limits.recordBytes) member.text += piece;
      return;
    }
    out += piece;
    otherLength += piece.length;
    if (otherLength > limits.otherBytes) throw onTooLarge();
  }

  function begin(): void {
    member = { text: "", length: 0, fields: 0, levels: 1 };
  }

  /** @param isKey whether the text is the name of a member */
  function end(isKey = false): void {
    const ended = member;
    member = undefined;
    if (!ended) return;
    // The text is empty between the brackets of an empty list.
    if (isKey || ended.text.trim() === "") {
      add(ended.text);
      return;
    }
    members += 1;
    if (members > limits.records) throw onTooLarge();
    const bytes = Math.max(Buffer.byteLength(ended.text), ended.length);
    const reason = reasonOf({ ...ended, bytes });
    if (reason === undefined) {
      recordBytes += bytes;
      out += ended.text;
      return;
    }
    const id = leadingId.exec(ended.text.slice(0, headLength))?.[1];
    const mark = `${prefix} ${members}`;
    marked.set(mark, { reason, ...(id !== undefined && { id: Number(id) }) });
    out += JSON.stringify(mark);
  }

  function reasonOf({ bytes, fields, levels }: { bytes: number; fields: number; levels: number }) {
    if (bytes > limits.recordBytes) return "larger than 1 MiB";
    if (fields > limits.fields) return "more than 1,000 fields";
    if (levels > limits.levels) return "nested more than 100 levels";
    if (recordBytes + bytes > limits.pageBytes) return "beyond the 8 MiB of a page";
    return undefined;
  }

  function keep(text: string): string {
    out = "";
    /** Start of the text that is not added yet. */
    let from = 0;
    const addUpTo = (to: number) => {
      add(text.slice(from, to));
      from = to;
    };
    for (let at = 0; at < text.length; at++) {
      if (isInString) {
        const start = isEscaped ? at + 1 : at;
        const quote = endOfString(text, start);
        isEscaped = quote < 0 && endsInEscape(text, start);
        if (quote < 0) break;
        isInString = false;
        at = quote;
        continue;
      }
      switch (text[at]) {
        case '"':
          isInString = true;
          break;
        case "{":
        case "[":
          depth += 1;
          if (depth === level) {
            addUpTo(at + 1);
            begin();
          } else if (member) member.levels = Math.max(member.levels, depth - level);
          break;
        case "}":
        case "]":
          if (depth === level) {
            addUpTo(at);
            end();
          }
          depth -= 1;
          break;
        case ",":
          if (depth === level) {
            addUpTo(at);
            end();
            addUpTo(at + 1);
            begin();
          }
          break;
        case ":":
          if (depth === level) {
            addUpTo(at + 1);
            end(true);
            begin();
          } else if (depth === level + 1 && member) member.fields += 1;
          break;
      }
    }
    addUpTo(text.length);
    return out;
  }

  function split(all: readonly unknown[]) {
    const records: unknown[] = [];
    const leftOut: LeftOut[] = [];
    for (const [index, record] of all.entries()) {
      const found = marked.get(record);
      if (found) leftOut.push({ index, ...found });
      else records.push(record);
    }
    return { records, leftOut };
  }

  return { keep, split };
}

/** Returns whether an escape sequence of a string continues in the next piece. */
function endsInEscape(text: string, start: number): boolean {
  let escapes = 0;
  while (text.length - escapes > start && text[text.length - escapes - 1] === "\\") escapes += 1;
  return escapes % 2 === 1;
}
