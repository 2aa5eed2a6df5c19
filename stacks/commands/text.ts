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

/** What comes from outside can't move the cursor. */
export function plain(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
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
