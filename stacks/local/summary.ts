// The report of a finished run: the summary for a person, and run.json.
import { columnRows, count, countList, publishedText } from "../../services/reporter/message.ts";
import { findDataset } from "../../shared/datasets.ts";
import { type RunResult, rejectedCount } from "../../shared/run.ts";

export type RunReport = RunResult & {
  /** Where the run's intermediate objects are. */
  work: { bucket: string; prefix: string };
  query: { queryExecutionId: string; bucket: string; key: string };
  /** What analysts find in Athena. */
  athena: { database: string; table: string; typed: string; analysis: string };
  /** Where the files are on this machine. */
  files: Record<"csv" | "jsonl" | "results" | "dictionary" | "run", string>;
  /** From the request to the result. */
  seconds: number;
};

/** Returns the last lines of `npm start`: the message that a stage emails, and every count. */
export function summary(report: RunReport): string {
  const { rejects, furtherAnswers, undeclared } = report;
  const dataset = findDataset(report.dataset);
  const rejected = rejectedCount(report);
  const windows = report.windows.length;
  const again = report.windows.filter(({ attempt }) => attempt > 1).length;
  const rows: [string, string][] = [
    ["run", report.runId],
    ["range", `${report.from} to ${report.to}, ${windows} ${windows === 1 ? "window" : "windows"}`],
    ["records in", count(report.records)],
    ["published", `${count(report.rows)} rows`],
    ["duplicates", count(report.duplicates)],
    ["rejected", rejected === 0 ? "0" : `${count(rejected)} (${countList(rejects)})`],
  ];
  if (report.force)
    rows.push(["by force", `${report.violations.map(({ text }) => text).join("; ")} (${report.force})`]);
  if (again > 0)
    rows.push(["fetched again", `${again} of ${windows} windows, whose numbers did not agree at first`]);
  if (filled(furtherAnswers))
    rows.push(["more answers", `not kept beyond the first: ${countList(furtherAnswers)}`]);
  rows.push(...columnRows(report, dataset.columns));
  if (filled(undeclared))
    rows.push(["undeclared", `${countList(undeclared)}; declare them in shared/datasets.ts`]);
  rows.push(["columns", `${report.columns.length}: ${report.columns.join(", ")}`]);
  rows.push(["time", `${report.seconds.toFixed(1)} s`]);
  const { csv, jsonl, results, dictionary, run } = report.files;
  rows.push(["files", csv]);
  for (const file of [jsonl, results, dictionary, run]) rows.push(["", file]);
  const message = publishedText(report, dataset);
  return `${message}\n\n${rows.map(([label, value]) => `  ${label.padEnd(13)} ${value}`).join("\n")}`;
}

function filled(counts: Record<string, number>): boolean {
  return Object.keys(counts).length > 0;
}
