// Whether a plan ended as it has to: the published files are those of an undisturbed run, or nothing was published and
// the run says why; and every record is accounted for.
import * as z from "zod/mini";
import { transformPage } from "../../services/transformer/page.ts";
import { csvRows } from "../../shared/csv.ts";
import { outputColumns } from "../../shared/dataset.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { type Run, type RunResult, runResult, run as runSchema } from "../../shared/run.ts";
import type { LibInsightRecord } from "../../stacks/local/libinsight.ts";
import type { Shown } from "./source.ts";

export const busEvent = z.object({
  "detail-type": z.string(),
  detail: z.object({ runId: z.optional(z.string()) }),
});

export type Assessed = {
  runIds: string[];
  shown: Shown;
  /** How often LibInsight lied or changed. */
  disturbances: number;
  work: ObjectStore;
  data: ObjectStore;
  /** What was published before the plan began. */
  earlier: string | undefined;
  /** That the bus took. */
  events: z.infer<typeof busEvent>[];
};

/** @returns what is wrong, one sentence each; none where the plan ended well */
export async function assess(assessed: Assessed): Promise<string[]> {
  const { runIds, work, data, earlier, events, disturbances } = assessed;
  const { publish } = defaultDataset;
  const wrong: string[] = [];
  const ended: { run: Run; result: RunResult }[] = [];
  for (const runId of runIds) {
    const run = await work.getJson(keys.run(runId), runSchema);
    const result = await work.getJson(keys.result(runId), runResult);
    if (!run || !result) {
      wrong.push(`run ${runId} did not end (${run ? "no result" : "never begun"})`);
      continue;
    }
    ended.push({ run, result });
    wrong.push(...accountProblems(result));
    const { state, attempt, reason } = result;
    if (state !== "published" && !reason) wrong.push(`run ${runId} is ${state} without a reason`);
    if (disturbances < disturbancesNeeded(result)) {
      const ended = `run ${runId} is ${state} at attempt ${attempt}`;
      wrong.push(`${ended} although LibInsight lied or changed ${disturbances} times: ${reason ?? ""}`);
    }
    const isOwn = (event: z.infer<typeof busEvent>) =>
      event.detail.runId === runId && event["detail-type"] === `run.${state}`;
    if (!events.some(isOwn)) wrong.push(`run ${runId} ended as ${state} without its event`);
  }
  const csv = await data.getText(publish.csv);
  const jsonl = await data.getText(publish.jsonl);
  const info = await data.head(publish.csv);
  const of = info?.metadata["run-id"];
  const published = ended.filter(({ result }) => result.state === "published");
  if (published.length === 0) {
    if (csv !== earlier) wrong.push("no run was published, but the published file is another one");
    return wrong;
  }
  const newest = Math.max(...published.map(({ run }) => Date.parse(run.requestedAt)));
  const owner = published.find(({ run }) => run.runId === of);
  if (!owner) return [...wrong, `the published file is of ${of}, which is not among the published runs`];
  if (Date.parse(owner.run.requestedAt) !== newest)
    wrong.push("the file of an older run has replaced that of a newer one");
  if (owner.result.published?.csv.etag !== info?.etag)
    wrong.push(`the result of run ${of} names another file than the published one`);
  wrong.push(...fileProblems(csv ?? "", jsonl ?? "", owner, assessed));
  return wrong;
}

function accountProblems(result: RunResult): string[] {
  const { runId, records, rows, duplicates, rejects, windows, state } = result;
  const rejected = Object.values(rejects).reduce((sum, count) => sum + count, 0);
  const wrong: string[] = [];
  if (records !== rows + duplicates + rejected) {
    wrong.push(
      `run ${runId}: ${records} records are not ${rows} rows, ${duplicates} duplicates, ${rejected} rejects`,
    );
  }
  const announced = windows.reduce((sum, { totalRecords }) => sum + totalRecords, 0);
  // A superseded run publishes nothing, so its windows are not fetched again.
  if (state === "published" && announced !== records) {
    wrong.push(`run ${runId}: LibInsight announced ${announced} records, the run has ${records}`);
  }
  return wrong;
}

/** Returns how often LibInsight must have lied or changed to explain it: once for each attempt that does not agree. */
function disturbancesNeeded({ state, attempt, violations }: RunResult): number {
  const disagrees = violations.some(({ kind }) => kind === "disagreement");
  // An empty file is held without any disturbance.
  const isEmpty = violations.some(({ kind }) => kind === "empty");
  const isPublished = state === "published" || state === "superseded" || isEmpty;
  return Math.max(attempt - 1 + (disagrees ? 1 : 0), isPublished ? 0 : 1);
}

const jsonLine = z.record(z.string(), z.union([z.string(), z.number(), z.null()]));

function fileProblems(
  csv: string,
  jsonl: string,
  { run, result }: { run: Run; result: RunResult },
  { shown }: Assessed,
): string[] {
  const wrong: string[] = [];
  const [header = "", ...lines] = csv.split("\n").slice(0, -1);
  if (!csv.endsWith("\n")) wrong.push("the published file's last line has no end");
  if (lines.length !== result.rows) wrong.push(`the file has ${lines.length} rows, its run ${result.rows}`);
  const rowsOfLines = jsonl
    .split("\n")
    .slice(0, -1)
    .map((line) => csvRows([Object.values(jsonLine.parse(JSON.parse(line)))]));
  if (rowsOfLines.join("") !== lines.map((line) => `${line}\n`).join(""))
    wrong.push("the JSON lines are not the rows of the CSV");

  const versions = shown.versions.map((records) => withHeader(header, expectedOf(records)));
  if (!versions.some((version) => version.header === header)) wrong.push("the header is another one");
  const windows = run.windows.map(({ from, to }) => {
    const { least, most } = shown.byWindow.get(from) ?? { least: 0, most: 0 };
    return versions.slice(least, most + 1).map((version) => rowsBetween(version, from, to));
  });
  const declared = csvRows([outputColumns(defaultDataset.columns)]).trimEnd();
  if (header !== declared && lines.every((line) => line.endsWith(","))) {
    wrong.push("an undeclared column stands in the file that no row has");
  }
  if (!isMadeOf(lines, windows)) {
    const expected = windows.map((candidates) => candidates.at(-1)?.length ?? 0);
    wrong.push(
      `the published rows are not those of an undisturbed run (${lines.length} rows; expected by window ${expected.join(" + ")})`,
    );
  }
  return wrong;
}

type ExpectedRow = { id: number; date: string; line: string };
type Expected = { header: string; rows: ExpectedRow[] };

/** What an undisturbed run makes of the records, whatever its windows and pages. */
function expectedOf(records: LibInsightRecord[]): Expected {
  const { csv, summary } = transformPage(records, defaultDataset);
  const lines = csv.split("\n");
  const dates = new Map(records.map((record) => [record._id, String(record._start_date).slice(0, 10)]));
  return {
    header: csvRows([[...outputColumns(defaultDataset.columns), ...summary.appended]]).trimEnd(),
    rows: summary.ids.map((id, index) => ({ id, date: dates.get(id) ?? "", line: lines[index] ?? "" })),
  };
}

/**
 * The rows below the published header. Which undeclared columns there are depends on all windows together, so a window's
 * rows may have to be one column wider than its own state has, or narrower where that column is empty.
 */
function withHeader(header: string, { header: own, rows }: Expected): Expected {
  if (header.startsWith(`${own},`)) {
    return { header, rows: rows.map((row) => ({ ...row, line: `${row.line},` })) };
  }
  if (own.startsWith(`${header},`)) {
    return { header, rows: rows.map((row) => ({ ...row, line: row.line.replace(/,$/, "") })) };
  }
  return { header: own, rows };
}

function rowsBetween({ rows }: Expected, from: string, to: string): ExpectedRow[] {
  return rows.filter(({ date }) => date >= from && date <= to);
}

/**
 * Whether the lines are, window by window, the rows of one of the window's states while it was fetched. Where nothing
 * changed there is one state, and the lines are exactly its. A record that was edited meanwhile may show either text.
 */
function isMadeOf(
  lines: string[],
  windows: ExpectedRow[][][],
  seen: ReadonlySet<number> = new Set(),
): boolean {
  const [states, ...further] = windows;
  if (!states) return lines.length === 0;
  const texts = new Set(states.flat().map(({ line }) => line));
  return states.some((rows) => {
    const fresh = rows.filter(({ id }) => !seen.has(id));
    const own = lines.slice(0, fresh.length);
    const fits = own.length === fresh.length && own.every((line, n) => isRow(line, fresh[n], texts));
    return (
      fits && isMadeOf(lines.slice(fresh.length), further, new Set([...seen, ...rows.map(({ id }) => id)]))
    );
  });
}

function isRow(line: string, row: ExpectedRow | undefined, texts: ReadonlySet<string>): boolean {
  return row !== undefined && texts.has(line) && line.startsWith(`${row.id},`);
}
