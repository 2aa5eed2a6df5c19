// How commands write for a person.

/** Columns as wide as their widest cell; numbers to the right. */
export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, index) => Math.max(...all.map((row) => String(row[index] ?? "").length)));
  return all
    .map((row) => {
      const cells = row.map((cell, index) =>
        typeof cell === "number"
          ? String(cell).padStart(widths[index] ?? 0)
          : plain(cell).padEnd(widths[index] ?? 0),
      );
      return `${cells.join("  ").trimEnd()}\n`;
    })
    .join("");
}

/** What comes from outside can't move the cursor or turn a line around. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu, " ");
}

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
/** Emoji, and the blocks of East Asian scripts. https://www.unicode.org/reports/tr11/ */
const wide =
  /\p{Emoji_Presentation}|\uFE0F|[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFF00-\uFF60]/u;

/** How many columns of a terminal a text takes, about: fonts differ. */
export function widthOf(text: string): number {
  return [...graphemes.segment(text)].reduce((sum, { segment }) => sum + (wide.test(segment) ? 2 : 1), 0);
}

/** At most so many columns of a terminal, on one line; what is cut ends with `…`. */
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

/** Exactly so many columns of a terminal. */
export function padded(text: string, width: number): string {
  const shown = cut(text, width);
  return shown + " ".repeat(Math.max(width - widthOf(shown), 0));
}

/** `45 s`, `12 min`, `5 h`, `3 d`. */
export function age(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** `1 dead letter`, `2 dead letters`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Sorted numbers as ranges: `2-5, 9`. The first ten ranges. */
export function ranges(numbers: readonly number[]): string {
  const found: [number, number][] = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else found.push([number, number]);
  }
  const shown = found.slice(0, 10).map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`));
  return [...shown, ...(found.length > 10 ? ["..."] : [])].join(", ");
}
