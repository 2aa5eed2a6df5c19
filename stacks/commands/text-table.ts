// How commands format text for a person on a terminal.
import { count } from "../../shared/quantity.ts";

type TableLimits = {
  /** Columns of the terminal. A pipe has none and a pseudoterminal may have 0: both mean no limit. */
  width?: number | undefined;
  /** Headers of columns to leave out, in this order, until the table fits. */
  optional?: readonly string[];
};

/** Returns a table with columns as wide as their widest cell and numbers on the right. */
export function table(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  { width, optional = [] }: TableLimits = {},
): string {
  const cells = [header, ...rows].map((row) =>
    row.map((cell) => (typeof cell === "number" ? count(cell) : plain(cell))),
  );
  const columns = header.map((name, index) => ({
    name,
    index,
    width: Math.max(...cells.map((row) => row[index]?.length ?? 0)),
  }));
  const leftOut: string[] = [];
  for (const name of optional) {
    if (columns.reduce((sum, column) => sum + column.width + gap.length, -gap.length) <= limitOf(width))
      break;
    const place = columns.findIndex((column) => column.name === name);
    leftOut.push(...columns.splice(place, place < 0 ? 0 : 1).map((column) => column.name));
  }
  const lines = cells.map((row, line) =>
    columns
      .map((column) => {
        const cell = row[column.index] ?? "";
        const isNumber = typeof rows[line - 1]?.[column.index] === "number";
        return isNumber ? cell.padStart(column.width) : cell.padEnd(column.width);
      })
      .join(gap)
      .trimEnd(),
  );
  if (leftOut.length > 0)
    lines.push("", `Left out to fit the terminal: ${leftOut.join(", ")}. --json has them.`);
  return lines.map((line) => `${line}\n`).join("");
}

const gap = "  ";

/** Words, and commands as a whole: up to a comma, a full stop, a parenthesis or the end. */
const unbroken = /\(?(?:npm run \w+ --|npm start --|npx sst) .*?(?:[,.)]+(?= |$)|(?= \()|$)|\S+/g;

/**
 * Breaks lines that are wider than the terminal between words, below the start of their last column. Commands are not
 * broken, because the first part of one could be copied and run.
 * @param width as in `TableLimits`
 */
export function fitted(text: string, width?: number): string {
  const limit = limitOf(width);
  return text
    .split("\n")
    .map((line) => (widthOf(line) > limit ? brokenLine(line, limit) : line))
    .join("\n");
}

function limitOf(width: number | undefined): number {
  return width || Number.POSITIVE_INFINITY;
}

function brokenLine(line: string, width: number): string {
  const [before = ""] = /^(?:.* {2,}| *)(?=\S)/.exec(line) ?? [];
  const indent = widthOf(before) <= width / 2 ? widthOf(before) : 2;
  const lines: string[] = [];
  let current = before;
  let isEmpty = true;
  for (const [word] of line.slice(before.length).matchAll(unbroken)) {
    const joined = isEmpty ? `${current}${word}` : `${current} ${word}`;
    if (isEmpty || widthOf(joined) <= width) {
      current = joined;
    } else {
      lines.push(current);
      // A long command starts further to the left.
      current = " ".repeat(Math.max(Math.min(indent, width - widthOf(word)), 0)) + word;
    }
    isEmpty = false;
  }
  // A question ends with a blank, and its answer follows on the same line.
  return [...lines, line.endsWith(" ") ? `${current} ` : current].join("\n");
}

/** Replaces characters that would move the cursor or reverse the direction of a line: text from outside may have some. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu, " ");
}

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
/** Emoji, and the blocks of East Asian scripts. https://www.unicode.org/reports/tr11/ */
const wide =
  /\p{Emoji_Presentation}|\uFE0F|[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFF00-\uFF60]/u;

/** Returns about how many columns of a terminal a text takes; fonts differ. */
export function widthOf(text: string): number {
  return [...graphemes.segment(text)].reduce((sum, { segment }) => sum + (wide.test(segment) ? 2 : 1), 0);
}

/** Returns one line of at most `width` columns of a terminal; a cut text ends with `…`. */
export function cut(text: string, width: number): string {
  const shown = plain(text);
  if (widthOf(shown) <= width) return shown;
  let kept = "";
  let left = width - 1;
  for (const { segment } of graphemes.segment(shown)) {
    left -= widthOf(segment);
    if (left < 0) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** Returns one line of exactly `width` columns of a terminal. */
export function padded(text: string, width: number): string {
  const shown = cut(text, width);
  return shown + " ".repeat(Math.max(width - widthOf(shown), 0));
}

/** Returns `45 s`, `12 min`, `5 h` or `3 d`. */
export function age(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
