// The benchmarks' results as tables for a terminal or a README. Pure.

export type Table = { headers: readonly string[]; rows: readonly (readonly string[])[] };

export type Row = {
  case: string;
  /** What was measured, with its unit. */
  measured: string;
  /** Beside what, measured in the same run; empty where there is nothing. */
  floor: string;
  /** Measured against the floor; missing where the figure itself is what counts. */
  ratio?: number;
  /** Missing where there is none. */
  target?: { text: string; reached: boolean };
};

/** Returns figures beside what they can't go below. */
export function besideFloors(rows: readonly Row[]): Table {
  return {
    headers: ["Case", "Measured", "Beside", "Ratio", "Target", "Reached"],
    rows: rows.map((row) => [
      row.case,
      row.measured,
      row.floor,
      row.ratio === undefined ? "" : `${row.ratio.toFixed(2)} x`,
      row.target?.text ?? "",
      row.target === undefined ? "" : yesOrNo(row.target.reached),
    ]),
  };
}

export function yesOrNo(is: boolean): string {
  return is ? "yes" : "no";
}

/** Returns tables with the same headers as one. */
export function joined(tables: readonly Table[]): Table[] {
  const byHeaders = Map.groupBy(tables, ({ headers }) => headers.join());
  return [...byHeaders.values()].flatMap((same) => {
    const [first] = same;
    return first ? [{ headers: first.headers, rows: same.flatMap(({ rows }) => rows) }] : [];
  });
}

/** Returns Markdown with columns that line up. */
export function markdown({ headers, rows }: Table): string {
  const widths = headers.map((header, column) =>
    Math.max(header.length, 3, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, n) => cell.padEnd(widths[n] ?? 0)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [line(headers), rule, ...rows.map(line), ""].join("\n");
}
