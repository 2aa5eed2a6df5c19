// Texts about runs for emails and the terminal. They contain counts, dates and column names, and never a record's text.
import { changedMonthText } from "../../shared/changed-months.ts";
import { type Dataset, filledColumns } from "../../shared/dataset-schema.ts";
import type { EventDetail } from "../../shared/events.ts";
import { nounsOf } from "../../shared/kinds/kinds.ts";
import type { Notification } from "../../shared/ports.ts";
import { count, quantity } from "../../shared/quantity.ts";
import { refreshTexts } from "../../shared/refresh-text.ts";
import {
  type ExpectationOutcome,
  type RunResult,
  rejectedCount,
  unreconciledText,
} from "../../shared/run.ts";

type Columns = Dataset["columns"];

/** Returns, for example, "Published 10,412 rows (+132 since November 16), 3 rejected, 2 duplicates, in 41 s." */
export function publishedText(result: RunResult, { timeZone }: Pick<Dataset, "timeZone">): string {
  const { rows, duplicates, violations, force, requestedAt, finishedAt } = result;
  const rejected = rejectedCount(result);
  const counts = [
    `Published ${quantity(rows, "row")}${changeText(result, timeZone)}`,
    rejected === 0 ? "nothing rejected" : `${count(rejected)} rejected`,
    duplicates === 0 ? "no duplicates" : quantity(duplicates, "duplicate"),
    `in ${durationText((Date.parse(finishedAt) - Date.parse(requestedAt)) / 1000)}`,
  ];
  const despite = `Published despite guard violations: ${violations.map(({ text }) => text).join("; ")}.`;
  return `${counts.join(", ")}.${changesText(result)}${force === undefined ? "" : ` ${despite}`}`;
}

/**
 * Returns the body of the email about a published run.
 * @param hasTableau whether the stage has a Tableau to refresh
 */
export function publishedMail(
  result: RunResult,
  dataset: Pick<Dataset, "timeZone" | "tableau" | "columns">,
  hasTableau: boolean,
): string {
  const next = dataset.tableau && hasTableau ? "Athena and Tableau update" : "Athena updates";
  const notes = [
    ...(rejectedCount(result) === 0 ? [] : [`Rejected records: ${countList(result.rejects)}.`]),
    ...refreshTexts(result, dataset.timeZone),
    ...resultNotes(result, dataset.columns),
  ];
  return [
    publishedText(result, dataset),
    `${next} next. You receive another email only if that fails.`,
    ...(notes.length === 0 ? [] : ["", ...notes]),
  ].join("\n");
}

/** Returns why a run is held and the counts that a person needs to decide. @param reason a sentence */
export function heldText(
  result: RunResult,
  reason: string,
  dataset: Pick<Dataset, "columns" | "kind" | "roles">,
): string {
  const counts = countsText(result, nounsOf(dataset).row);
  return [reason, "", counts, ...resultNotes(result, dataset.columns)].join("\n");
}

/** Returns how many records were not kept, because they are on the forgotten list, as rows of a table. */
export function forgottenRows({ forgotten }: Pick<RunResult, "forgotten">): [string, string][] {
  return forgotten === undefined ? [] : [["forgotten", count(forgotten)]];
}

/** "LibInsight announced 450 records and sent 100: 96 rows, 1 duplicate, 3 rejected (missing _start_date: 3)." */
export function countsText(result: RunResult, noun = "record"): string {
  const { records, rows, duplicates, rejects, forgotten } = result;
  const rejected = rejectedCount(result);
  const reasons = rejected === 0 ? "" : ` (${countList(rejects)})`;
  const outcomes = [
    quantity(rows, "row"),
    quantity(duplicates, "duplicate"),
    `${count(rejected)} rejected${reasons}`,
    ...(forgotten === undefined ? [] : [`${count(forgotten)} forgotten`]),
  ];
  // Statistics come without a total.
  const sent =
    noun === "record"
      ? `announced ${quantity(announcedOf(result), noun)} and sent ${count(records)}`
      : `sent ${quantity(records, noun)}`;
  return `LibInsight ${sent}: ${outcomes.join(", ")}.`;
}

export function announcedOf({ windows }: Pick<RunResult, "windows">): number {
  return windows.reduce((sum, { totalRecords }) => sum + totalRecords, 0);
}

/**
 * Returns sentences about windows without a second total, unmet expectations, another writer of the file, mistyped values
 * and columns without values, if there are any.
 */
export function resultNotes(result: RunResult, columns: Columns): string[] {
  const foreign = foreignText(result);
  const mistyped = mistypedText(result);
  const empty = emptyColumns(result, columns);
  const unreconciled = unreconciledText(result);
  return [
    ...(unreconciled === "" ? [] : [unreconciled]),
    ...unmetTexts(result).map((text) => `Expectation not met: ${text}.`),
    ...(foreign === "" ? [] : [foreign]),
    ...(mistyped === ""
      ? []
      : [`Kept as text, because the values do not match the column's type: ${mistyped}.`]),
    ...(empty.length === 0
      ? []
      : [
          `No row has a value in ${quoted(empty)}. Check the ${empty.length === 1 ? "label" : "labels"} in shared/library.ts.`,
        ]),
  ];
}

/** Returns what was collected and reused, as rows of a table. */
export function refreshRows(
  result: RunResult,
  { timeZone }: Pick<Dataset, "timeZone">,
): [label: string, text: string][] {
  if (!result.refresh) return [];
  const { full, reason } = result.refresh;
  const texts = refreshTexts(result, timeZone);
  return [...(full ? [`everything was collected, because ${reason}`] : []), ...texts].map((text) => [
    "refresh",
    text,
  ]);
}

/** Returns the same notes as rows of a table. */
export function noteRows(result: RunResult, columns: Columns): [label: string, text: string][] {
  const rows: [string, string][] = [];
  const unreconciled = unreconciledText(result);
  if (unreconciled !== "") rows.push(["unreconciled", unreconciled]);
  if (result.expectations?.length) rows.push(["expectations", expectationsText(result.expectations)]);
  for (const text of unmetTexts(result)) rows.push(["not met", text]);
  const foreign = foreignText(result);
  if (foreign !== "") rows.push(["other writer", foreign]);
  const mistyped = mistypedText(result);
  if (mistyped !== "") rows.push(["kept as text", `not of the column's type: ${mistyped}`]);
  const empty = emptyColumns(result, columns);
  if (empty.length > 0) rows.push(["no values", `${quoted(empty)}; check the labels in shared/library.ts`]);
  return rows;
}

/** Returns why expectations are not met. Those that are violations are part of the run's reason. */
function unmetTexts({ expectations = [], violations }: RunResult): string[] {
  return expectations
    .filter(({ state, text }) => state === "unmet" && !violations.some((found) => found.text === text))
    .map(({ text }) => text);
}

/** Returns, for example, "8 met, 1 not met, 2 unknown: no file was published before". */
function expectationsText(expectations: readonly ExpectationOutcome[]): string {
  const having = (wanted: ExpectationOutcome["state"]) =>
    expectations.filter(({ state }) => state === wanted);
  const [unmet, unknown] = [having("unmet").length, having("unknown")];
  const reasons = new Set(unknown.map(({ text }) => text));
  return [
    `${having("met").length} met`,
    ...(unmet === 0 ? [] : [`${unmet} not met`]),
    ...(unknown.length === 0 ? [] : [`${unknown.length} unknown: ${[...reasons].join("; ")}`]),
  ].join(", ");
}

/** Returns that another writer replaced the published file and what to do, or an empty text. */
function foreignText({ foreignFile, state }: RunResult): string {
  if (!foreignFile) return "";
  const { at, replaced } = foreignFile;
  const now = state === "published" ? "This run replaced that file" : "That file is still the published one";
  return `Another program replaced the file of ${replaced} at ${at.slice(0, 16).replace("T", " ")} UTC. ${now}. Find the program and stop it, or it will replace the file again (docs/cutover.md).`;
}

/** "Duration: 3 of 10,412, Start Time: 714 of 714": mistyped values of all values, by column. */
function mistypedText({ mistyped, filled }: Pick<RunResult, "mistyped" | "filled">): string {
  return Object.entries(mistyped)
    .sort(byName)
    .map(([column, n]) => `${column}: ${count(n)} of ${count(filled[column] ?? n)}`)
    .join(", ");
}

/** Returns the declared columns without any value, often caused by a wrong label; none if the file has no rows. */
function emptyColumns({ rows, filled }: Pick<RunResult, "rows" | "filled">, columns: Columns): string[] {
  return rows === 0 ? [] : filledColumns(columns).filter((column) => !Object.hasOwn(filled, column));
}

/** "invalid _start_date: 1, missing _start_date: 2" */
export function countList(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .sort(byName)
    .map(([name, n]) => `${name}: ${count(n)}`)
    .join(", ");
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}

function byName([a]: [string, number], [b]: [string, number]): number {
  return a < b ? -1 : 1;
}

/** " Changes: +132 rows, 14 edited, 2 deleted, mostly in October.", or an empty text if nothing was compared. */
function changesText({ changes, previous, finishedAt }: RunResult): string {
  if (changes?.snapshot !== undefined && previous)
    return ` Changes are unknown, because ${changes.snapshot}.`;
  if (!changes?.since) return "";
  const { added, edited, deleted, moved } = changes;
  const parts = [
    ...(added > 0 ? [`+${quantity(added, "row")}`] : []),
    ...(edited > 0 ? [`${count(edited)} edited`] : []),
    ...(deleted > 0 ? [`${count(deleted)} deleted`] : []),
    ...(moved > 0 ? [`${count(moved)} moved to another date`] : []),
  ];
  const what = parts.length === 0 ? "none" : `${parts.join(", ")}${changedMonthText(changes, finishedAt)}`;
  return ` Changes: ${what}.`;
}

/** Returns an empty text if the previously published rows are unknown. */
function changeText({ rows, previous, finishedAt }: RunResult, timeZone: string): string {
  if (!previous) return "";
  const since = dateText(previous.requestedAt, finishedAt, timeZone);
  const change = rows - previous.rows;
  return ` (${change < 0 ? "-" : "+"}${count(Math.abs(change))} since ${since})`;
}

/** "November 16", or "November 16, 2025" in another year than `today`. */
function dateText(date: string, today: string, timeZone: string): string {
  const format = (text: string, options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat("en-US", { timeZone, ...options }).format(new Date(text));
  const isThisYear = format(date, { year: "numeric" }) === format(today, { year: "numeric" });
  return format(date, { day: "numeric", month: "long", ...(!isThisYear && { year: "numeric" }) });
}

export function durationText(seconds: number): string {
  const whole = Math.max(Math.round(seconds), 0);
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  if (whole < 60) return `${whole} s`;
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Returns where the report of a run is and how to open it. @param label says when, because the report follows the email */
export function whereReport(label: string, url: string): string {
  return `${label}: ${url}\nTo open it, download it and open the file in a browser: aws s3 cp ${url} .`;
}

export type Mail = {
  subject: string;
  /** What happened and, if a person must act, what to do. */
  text: string;
  /** The command that shows details. */
  details: string;
};

/** @param instanceId missing if no instance was found */
export function instanceMail({ instanceId, reason }: EventDetail<"instance.failed">): Mail {
  const instance = instanceId === undefined ? "EC2 instances" : `EC2 instance ${instanceId}`;
  return {
    subject: `${instance} did not start or stop`,
    text: `${instance}: ${reason}`,
    details: "npm run instances -- status",
  };
}

/** Returns the email with commands that run on the stage. */
export function notificationOf({ subject, text, details }: Mail, stage: string): Notification {
  const body = `${text}\n\nDetails: ${details}\n`;
  return {
    subject: `LibInsight ${stage}: ${subject}`.replace(/[^ -~]/g, "?").slice(0, 99),
    body: body.replaceAll("npm run", `npx sst shell --stage ${stage} -- npm run`),
  };
}
