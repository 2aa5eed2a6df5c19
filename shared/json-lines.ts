// Writes rows as JSON lines: the same rows as the CSV, with the same names, numbers and nulls.
import type { Cell } from "./csv.ts";

/** Returns the rows as JSON lines. Builds the JSON by hand, because a column may be called `__proto__`. */
export function jsonLines(headers: readonly string[], rows: readonly Cell[][]): string {
  const names = headers.map((header, column) => `${column === 0 ? "{" : ","}${JSON.stringify(header)}:`);
  let lines = "";
  for (const row of rows) {
    for (let column = 0; column < names.length; column++) {
      lines += names[column];
      lines += jsonOf(row[column] ?? null);
    }
    lines += "}\n";
  }
  return lines;
}

/** Avoids JSON.stringify for null and plain text: calling it costs more than its work. */
function jsonOf(cell: Cell): string {
  if (cell === null) return "null";
  // In clean text (clean-text.ts), JSON escapes only these two characters.
  const isPlain = typeof cell === "string" && !cell.includes('"') && !cell.includes("\\");
  return isPlain ? `"${cell}"` : JSON.stringify(cell);
}
