// Describes a finished run: the summary for a person, and run.json.
import { dirname } from "node:path";
import {
  countList,
  forgottenRows,
  noteRows,
  publishedText,
  refreshRows,
} from "../../services/reporter/message.ts";
import { findDataset } from "../../shared/datasets.ts";
import { count, quantity } from "../../shared/quantity.ts";
import { type RunResult, rejectedCount } from "../../shared/run.ts";

export type RunReport = RunResult & {
  /** The run's intermediate objects. */
  work: { bucket: string; prefix: string };
  query: { queryExecutionId: string; bucket: string; key: string };
  /** What analysts query in Athena. */
  athena: { database: string; table: string; parquet: string; typed: string; analysis: string };
  /** Paths on this machine. */
  files: Record<
    "csv" | "jsonl" | "parquet" | "deidentified" | "results" | "report" | "dictionary" | "run",
    string
  > & {
    children?: string[];
  };
  /** Duration in seconds, from the start to the query's result. */
  seconds: number;
};

/** Returns the summary of `npm start`: the message that a stage emails, and every count. */
export function summary(report: RunReport): string {
  const { rejects, furtherAnswers, undeclared } = report;
  const dataset = findDataset(report.dataset);
  const rejected = rejectedCount(report);
  const windows = report.windows.length;
  const fetchedAgain = report.windows.filter(({ attempt }) => attempt > 1).length;
  const rows: [string, string][] = [
    ["run", report.runId],
    ["range", `${report.from} to ${report.to}, ${quantity(windows, "window")}`],
    ["records in", count(report.records)],
    ["published", quantity(report.rows, "row")],
    ["duplicates", count(report.duplicates)],
    ["rejected", rejected === 0 ? "0" : `${count(rejected)} (${countList(rejects)})`],
    ...forgottenRows(report),
  ];
  if (report.force)
    rows.push(["forced", `${report.violations.map(({ text }) => text).join("; ")} (${report.force})`]);
  if (fetchedAgain > 0)
    rows.push([
      "fetched again",
      `${fetchedAgain} of ${quantity(windows, "window")}: the totals did not match`,
    ]);
  rows.push(...refreshRows(report, dataset));
  if (filled(furtherAnswers))
    rows.push(["extra answers", `${countList(furtherAnswers)} (only the first is kept)`]);
  for (const { column, rows: answers, records } of report.children ?? [])
    rows.push(["answers", `${column}: ${quantity(answers, "answer")} of ${quantity(records, "record")}`]);
  rows.push(...noteRows(report, dataset.columns));
  if (filled(undeclared))
    rows.push(["undeclared", `${countList(undeclared)}; declare them in shared/library.ts`]);
  rows.push(["columns", `${report.columns.length}: ${report.columns.join(", ")}`]);
  const { csv, jsonl, parquet, children = [], deidentified, results, dictionary, run } = report.files;
  rows.push(["files", csv]);
  for (const file of [jsonl, parquet, ...children, deidentified, results, dictionary, run])
    rows.push(["", file]);
  const message = publishedText(report, dataset);
  return `${message}\n\n${rows.map(([label, value]) => `  ${label.padEnd(13)}  ${value}`).join("\n")}`;
}

/** How the collection of a dataset ended. `failed` says why nothing was published. */
export type DatasetEnd = { report: RunReport } | { dataset: string; failed: string };

/** Returns a line for each dataset of --all. */
export function endsText(ends: readonly DatasetEnd[]): string {
  const lines = ends.map((end) =>
    "failed" in end
      ? [end.dataset, "failed, see above"]
      : [
          end.report.dataset,
          `published ${quantity(end.report.rows, "row")}, ${dirname(end.report.files.run)}`,
        ],
  );
  const width = Math.max(...lines.map(([name = ""]) => name.length));
  const failed = ends.filter((end) => "failed" in end).length;
  const title = `Collected ${ends.length - failed} of ${quantity(ends.length, "dataset")}`;
  return [title, "", ...lines.map(([name = "", text]) => `  ${name.padEnd(width)}  ${text}`)].join("\n");
}

function filled(counts: Record<string, number>): boolean {
  return Object.keys(counts).length > 0;
}
