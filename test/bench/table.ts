// Formats the results of benchmarks as Markdown tables.

export type Table = { headers: readonly string[]; rows: readonly (readonly string[])[] };

export type Row = {
  case: string;
  /** The figure with its unit. */
  measured: string;
  /** The baseline, measured in the same run; empty if there is none. */
  baseline: string;
  /** The ratio to the baseline; missing if only the figure itself matters. */
  ratio?: number;
  target?: { text: string; reached: boolean };
};

/** Returns figures with their baselines. */
export function baselineTable(rows: readonly Row[]): Table {
  return {
    headers: ["Case", "Measured", "Baseline", "Ratio", "Target", "Reached"],
    rows: rows.map((row) => [
      row.case,
      row.measured,
      row.baseline,
      row.ratio === undefined ? "" : `${row.ratio.toFixed(2)} x`,
      row.target?.text ?? "",
      row.target === undefined ? "" : yesOrNo(row.target.reached),
    ]),
  };
}

export function yesOrNo(is: boolean): string {
  return is ? "yes" : "no";
}

/** Merges tables with the same headers. */
export function mergeTables(tables: readonly Table[]): Table[] {
  const byHeaders = Map.groupBy(tables, ({ headers }) => headers.join());
  return [...byHeaders.values()].flatMap((same) => {
    const [first] = same;
    return first ? [{ headers: first.headers, rows: same.flatMap(({ rows }) => rows) }] : [];
  });
}

/** Returns a Markdown table with aligned columns. */
export function markdown({ headers, rows }: Table): string {
  const widths = headers.map((header, column) =>
    Math.max(header.length, 3, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, n) => cell.padEnd(widths[n] ?? 0)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [line(headers), rule, ...rows.map(line), ""].join("\n");
}
