// Keeps a page within bounds while its JSON arrives, before anything is parsed: a record that is too large, too wide or
// too deep is left out, with its reason. What is kept needs no more memory than a page may have, whatever arrives.
import { randomUUID } from "node:crypto";
import { endOfString } from "../json.ts";

export const limits = {
  /** Of a record's JSON. LibInsight's texts are some kilobytes. */
  recordBytes: 1024 * 1024,
  /** Of a record; each could become a column. */
  fields: 1_000,
  /** The record is the first. JSON.stringify overflows the stack at some thousand. */
  levels: 100,
  /**
   * Of all records of a page. A transformer takes ten pages at once, in 1,024 MB, and holds each as text, values, CSV and
   * JSON lines.
   */
  pageBytes: 8 * 1024 * 1024,
  /** Of a page, which has 100 by the API. */
  records: 10_000,
  /** Of what is around the records. */
  otherBytes: 8 * 1024 * 1024,
};

/** A record that is left out of its page. */
export type LeftOut = {
  /** Its place in the page, from 0. */
  index: number;
  reason: string;
  /** Where it is the record's first field. */
  id?: number;
};

export type RecordFilter = {
  /**
   * Takes the next piece of a response and returns what is kept of the response up to there.
   * @throws Error `onTooLarge` where the response is no page of records
   */
  keep(text: string): string;
  /** Returns the records that were kept, and those of which only a mark is there. @param records of the parsed response */
  split(records: readonly unknown[]): { records: unknown[]; leftOut: LeftOut[] };
};

/** A response is `{"payload":{"records":[...]}}`: records are the members of a list on the third level. */
const level = 3;
const leadingId = /^\s*\{\s*"_id"\s*:\s*"?(\d{1,15})"?\s*[,}]/;
/** Of a record that is left out: enough for its `_id`. */
const headLength = 100;

/** @param onTooLarge makes the error of a response that is too large without its records, or has too many */
export function recordFilter(onTooLarge: () => Error): RecordFilter {
  /** What is left out, by the text that stands for it and that no record can hold. */
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

  /** @param isKey where it turned out to be the name of a member */
  function end(isKey = false): void {
    const ended = member;
    member = undefined;
    if (!ended) return;
    // Also between the brackets of an empty list.
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
    /** Where what was not added yet begins. */
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

/** @returns whether a string that goes on in the next piece has an escape that ends there */
function endsInEscape(text: string, start: number): boolean {
  let escapes = 0;
  while (text.length - escapes > start && text[text.length - escapes - 1] === "\\") escapes += 1;
  return escapes % 2 === 1;
}
