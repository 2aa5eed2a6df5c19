// What a person reads of a run: short, plain, and made of counts, dates and columns' names alone. Pure functions.
import { type Dataset, outputColumns } from "../../shared/dataset-schema.ts";
import type { EventDetail } from "../../shared/events.ts";
import type { Notification } from "../../shared/ports.ts";
import { type RunResult, rejectedCount } from "../../shared/run.ts";

/**
 * "Published 10,412 rows (+132 since 16 November), 3 rejected, 2 duplicates, in 41 s. Athena and Tableau follow."
 * @param hasTableau whether there is a Tableau to refresh
 */
export function publishedText(
  result: RunResult,
  { timeZone, tableau }: Pick<Dataset, "timeZone" | "tableau">,
  hasTableau: boolean,
): string {
  const { rows, duplicates, violations, force, requestedAt, finishedAt } = result;
  const rejected = rejectedCount(result);
  const counts = [
    `Published ${counted(rows, "row")}${changeText(result, timeZone)}`,
    rejected === 0 ? "nothing rejected" : `${count(rejected)} rejected`,
    duplicates === 0 ? "no duplicates" : counted(duplicates, "duplicate"),
    `in ${durationText((Date.parse(finishedAt) - Date.parse(requestedAt)) / 1000)}`,
  ];
  return [
    `${counts.join(", ")}.`,
    ...(force === undefined ? [] : [`By force: ${violations.map(({ text }) => text).join("; ")}.`]),
    tableau && hasTableau ? "Athena and Tableau follow." : "Athena follows.",
  ].join(" ");
}

/** Why a run is held, and what a person needs to decide. @param reason a sentence */
export function heldText(result: RunResult, reason: string, columns: Dataset["columns"]): string {
  return [reason, "", countsText(result), ...columnNotes(result, columns)].join("\n");
}

/** "LibInsight announced 450 records and sent 100: 96 rows, 1 duplicate, 3 rejected (missing _start_date: 3)." */
export function countsText(result: RunResult): string {
  const { records, rows, duplicates, rejects } = result;
  const rejected = rejectedCount(result);
  const reasons = rejected === 0 ? "" : ` (${listed(rejects)})`;
  const outcomes = [
    counted(rows, "row"),
    counted(duplicates, "duplicate"),
    `${count(rejected)} rejected${reasons}`,
  ];
  return `LibInsight announced ${counted(announcedOf(result), "record")} and sent ${count(records)}: ${outcomes.join(", ")}.`;
}

export function announcedOf({ windows }: Pick<RunResult, "windows">): number {
  return windows.reduce((sum, { totalRecords }) => sum + totalRecords, 0);
}

/** Returns what the counts say about the columns: values of another type, and columns without values. */
export function columnNotes(result: RunResult, columns: Dataset["columns"]): string[] {
  const mistyped = mistypedText(result);
  const empty = emptyColumns(result, columns);
  return [
    ...(mistyped === "" ? [] : [`Not of the column's type and kept as text: ${mistyped}.`]),
    ...(empty.length === 0
      ? []
      : [
          `No row has a value in ${quoted(empty)}. Check the ${empty.length === 1 ? "label" : "labels"} in shared/datasets.ts.`,
        ]),
  ];
}

/** The same as lines of a table. */
export function columnRows(result: RunResult, columns: Dataset["columns"]): [label: string, text: string][] {
  const rows: [string, string][] = [];
  const mistyped = mistypedText(result);
  if (mistyped !== "") rows.push(["kept as text", `not of the column's type: ${mistyped}`]);
  const empty = emptyColumns(result, columns);
  if (empty.length > 0) rows.push(["no values", `${quoted(empty)}; check the labels in shared/datasets.ts`]);
  return rows;
}

/** "Start Time: 714 of 714, Duration: 3 of 10,412": of a column's values, how many are not of its type. */
function mistypedText({ mistyped, filled }: Pick<RunResult, "mistyped" | "filled">): string {
  return Object.entries(mistyped)
    .sort(byName)
    .map(([column, n]) => `${column}: ${count(n)} of ${count(filled[column] ?? n)}`)
    .join(", ");
}

/** Declared columns without any value, as after a typo in a label; none where there is no row. */
function emptyColumns(
  { rows, filled }: Pick<RunResult, "rows" | "filled">,
  columns: Dataset["columns"],
): string[] {
  return rows === 0 ? [] : outputColumns(columns).filter((column) => !Object.hasOwn(filled, column));
}

/** "invalid _start_date: 1, missing _start_date: 2" */
export function listed(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .sort(byName)
    .map(([what, n]) => `${what}: ${count(n)}`)
    .join(", ");
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}

function byName([a]: [string, number], [b]: [string, number]): number {
  return a < b ? -1 : 1;
}

/** Nothing where it is not known what was published before. */
function changeText({ rows, previous, finishedAt }: RunResult, timeZone: string): string {
  if (!previous) return "";
  const then = dateText(previous.requestedAt, finishedAt, timeZone);
  const change = rows - previous.rows;
  if (change === 0) return ` (as many as on ${then})`;
  return ` (${change > 0 ? "+" : "-"}${count(Math.abs(change))} since ${then})`;
}

/** "16 November", and the year too where it is not this one. */
function dateText(date: string, today: string, timeZone: string): string {
  const format = (text: string, options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat("en-GB", { timeZone, ...options }).format(new Date(text));
  const isThisYear = format(date, { year: "numeric" }) === format(today, { year: "numeric" });
  return format(date, { day: "numeric", month: "long", ...(!isThisYear && { year: "numeric" }) });
}

function durationText(seconds: number): string {
  const whole = Math.max(Math.round(seconds), 0);
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  if (whole < 60) return `${whole} s`;
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export type Mail = {
  /** For the subject. */
  what: string;
  /** What happened and, where that is needed, what to do. */
  text: string;
  /** The command that tells more. */
  more: string;
};

/** @param instanceId missing where none could be found */
export function instanceMail({ instanceId, reason }: EventDetail<"instance.failed">): Mail {
  const what = instanceId === undefined ? "EC2 instances" : `EC2 instance ${instanceId}`;
  return { what: `${what} failed`, text: `${what}: ${reason}`, more: "npm run instances -- status" };
}

/** The message as it is mailed: its commands are those of the stage. */
export function mailOf({ what, text, more }: Mail, stage: string): Notification {
  const body = `${text}\n\nMore about it: ${more}\n`;
  return {
    subject: `LibInsight ${stage}: ${what}`.replace(/[^ -~]/g, "?").slice(0, 99),
    body: body.replaceAll("npm run", `npx sst shell --stage ${stage} -- npm run`),
  };
}

export function counted(n: number, what: string): string {
  return `${count(n)} ${what}${n === 1 ? "" : "s"}`;
}

export function count(n: number): string {
  return n.toLocaleString("en-US");
}
