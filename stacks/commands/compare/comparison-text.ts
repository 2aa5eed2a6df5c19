// What `npm run compare` prints.
import { quantity } from "../../../shared/quantity.ts";
import { cut, plain } from "../text-table.ts";
import { type Comparison, type CsvFile, type Finding, missingRow } from "./compare-files.ts";
import { anotherValue } from "./difference-rules.ts";

const lineWidth = 80;
const unexplained = [missingRow, anotherValue];

/** Returns whether a rule explains every difference. */
export function isExplained(comparison: Comparison): boolean {
  return findingsOf(comparison).every(({ rule }) => !unexplained.includes(rule));
}

/** Returns the comparison in lines of at most 80 characters. */
export function comparisonText(comparison: Comparison): string {
  const { rowsOnlyInOld, rowsOnlyInNew, cells, columnsOnlyInOld, columnsOnlyInNew } = comparison;
  const sections = [
    [fileLine("OLD", comparison.old), fileLine("NEW", comparison.new)],
    columnLines("Columns only in OLD", columnsOnlyInOld),
    columnLines("Columns only in NEW", columnsOnlyInNew),
    findingLines("Rows only in OLD", rowsOnlyInOld),
    findingLines("Rows only in NEW", rowsOnlyInNew),
    findingLines(
      "Cells that differ",
      cells.map(({ column, rule, ...rest }) => ({ ...rest, rule: `${column}: ${rule}` })),
    ),
    [conclusion(comparison)],
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => `${lines.join("\n")}\n`)
    .join("\n");
}

function fileLine(title: string, { path, rows, columns }: CsvFile): string {
  const counts = `${rows.toLocaleString("en-US")} rows, ${quantity(columns.length, "column")}`;
  return `${title}  ${counts}  ${cut(path, lineWidth - counts.length - 7)}`;
}

function columnLines(title: string, columns: readonly string[]): string[] {
  return columns.length === 0
    ? []
    : [`${title}: ${columns.length}`, ...columns.map((name) => `  ${plain(name)}`)];
}

/** Each finding has a line for its rule and one for its first records. */
function findingLines(title: string, findings: readonly Finding[]): string[] {
  if (findings.length === 0) return [];
  const total = findings.reduce((sum, { count }) => sum + count, 0);
  return [
    `${title}: ${total.toLocaleString("en-US")}`,
    ...findings.flatMap(({ rule, count, ids }) => [
      cut(`  ${count.toLocaleString("en-US").padStart(7)}  ${rule}`, lineWidth),
      ...(ids.length > 0 ? [`${" ".repeat(11)}_id ${firstOf(ids)}`] : []),
    ]),
  ];
}

function firstOf(ids: readonly string[]): string {
  const shown = ids.slice(0, 5);
  return `${shown.join(", ")}${ids.length > shown.length ? ", ..." : ""}`;
}

function conclusion(comparison: Comparison): string {
  const findings = findingsOf(comparison);
  if (findings.length === 0) return "No row and no cell differs.";
  if (isExplained(comparison)) return "A rule explains every difference.";
  const sum = (rule: string) =>
    findings.filter((finding) => finding.rule === rule).reduce((total, { count }) => total + count, 0);
  return `No rule explains ${quantity(sum(missingRow), "row")} and ${quantity(sum(anotherValue), "cell")}. Compare these records in LibInsight.`;
}

function findingsOf({ rowsOnlyInOld, rowsOnlyInNew, cells }: Comparison): Finding[] {
  return [...rowsOnlyInOld, ...rowsOnlyInNew, ...cells];
}
