// The benchmarks' results as a table for a terminal or a README. Pure.

export type Row = {
  case: string;
  /** What was measured, with its unit. */
  measured: string;
  /** Beside what, measured in the same run; empty where there is nothing. */
  floor: string;
  /** Measured against the floor; missing where the figure itself is what counts. */
  ratio?: number;
  /** Missing where nothing is to be reached. */
  toReach?: { text: string; reached: boolean };
};

const headers = ["Case", "Measured", "Beside", "Ratio", "To reach", ""];

/** As Markdown, with columns that line up. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.case,
    row.measured,
    row.floor,
    row.ratio === undefined ? "" : `${row.ratio.toFixed(2)} x`,
    row.toReach?.text ?? "",
    row.toReach === undefined ? "" : row.toReach.reached ? "yes" : "no",
  ]);
  const widths = headers.map((header, column) =>
    Math.max(header.length, 3, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, n) => cell.padEnd(widths[n] ?? 0)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [line(headers), rule, ...cells.map(line), ""].join("\n");
}
