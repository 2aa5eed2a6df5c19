// Formats runs for a person.
import {
  announcedOf,
  countList,
  forgottenRows,
  noteRows,
  refreshRows,
} from "../../../services/reporter/message.ts";
import { datasets } from "../../../shared/datasets.ts";
import { count, quantity } from "../../../shared/quantity.ts";
import { type Deidentification, type RunResult, rejectedCount } from "../../../shared/run.ts";
import { age, plain, table } from "../text-table.ts";
import type { FileInPlace } from "./live.ts";
import { publicationText, type Rollback, remaining } from "./rollback.ts";
import type { BlockedRequest, RunAccount, WindowProgress } from "./run-account.ts";

/** @param width columns of the terminal; undefined for no limit */
export function listText(
  accounts: readonly (RunAccount | BlockedRequest)[],
  now: Date,
  width?: number,
): string {
  if (accounts.length === 0) return "No runs in the last 30 days.\n";
  const rows = accounts.map((account) => {
    const { run, deadLetters, movedAt } = account;
    const known =
      "windows" in account
        ? [`${account.run.from} to ${account.run.to}`, pagesText(account.windows), account.result?.rows ?? ""]
        : ["", "", ""];
    return [run.runId, stateText(account), ...known, deadLetters.length, ageOf(movedAt, now)];
  });
  const isBlocked = accounts.some(({ deadLetters }) => deadLetters.length > 0);
  return table(["run", "state", "range", "pages", "rows", "dead letters", "updated"], rows, {
    width,
    optional: [...(isBlocked ? [] : ["dead letters"]), "range", "pages", "rows"],
  });
}

/** Returns what the rules of each column did for the de-identified file. */
function deidentifiedRows({ rows, counts }: Deidentification): [string, string][] {
  const columns = Object.entries(counts).map(([column, { redacted, ...others }]): [string, string] => {
    const done = Object.entries({ ...others, ...redacted }).filter(([, n]) => n > 0);
    return ["", `${column}: ${countList(Object.fromEntries(done))}`];
  });
  return [["de-identified", quantity(rows, "row")], ...columns];
}

export function showText(account: RunAccount, now: Date, deidentified?: Deidentification): string {
  const { run, state, stage, attempt, windows, result, deadLetters } = account;
  const complete = windows.filter(({ missing }) => missing.length === 0);
  const rows: [string, string][] = [
    ["run", run.runId],
    ["state", state === "stalled" || state === "blocked" ? `${state} while ${stage}` : stateText(account)],
    ["requested", `${run.requestedAt}, reason: ${run.reason}`],
    ["updated", `${ageOf(account.movedAt, now)} ago`],
    ["range", `${run.from} to ${run.to}`],
    [
      "windows",
      `${complete.length} of ${windows.length} complete${attempt > 1 ? `, attempt ${attempt}` : ""}`,
    ],
    ["pages", `${pagesText(windows)} transformed`],
    ...missingRows(windows),
  ];
  if (result) {
    rows.push(...countRows(result));
    if (result.reason !== undefined) rows.push(["reason", result.reason]);
    if (result.force !== undefined) rows.push(["forced", result.force]);
  }
  if (deidentified) rows.push(...deidentifiedRows(deidentified));
  const errors = Map.groupBy(deadLetters, ({ queue, error }) => `${queue} ${error ?? "no reason given"}`);
  rows.push(["dead letters", deadLetters.length === 0 ? "none" : count(deadLetters.length)]);
  for (const [what, own] of errors) rows.push(["", `${what}: ${count(own.length)}`]);
  rows.push(["next", account.next]);
  return lines(rows);
}

/** Returns the counts that a person reviews before a held run is published. */
export function reviewText(result: RunResult, inPlace: FileInPlace | undefined): string {
  return lines([
    ["held run", result.runId],
    ["range", `${result.from} to ${result.to}`],
    ["announced", quantity(announcedOf(result), "record")],
    ...countRows(result),
    ["in place", inPlace ? publicationText(inPlace) : "no file"],
    ...result.violations.map(({ text }): [string, string] => ["violation", text]),
  ]);
}

function countRows(result: RunResult): [string, string][] {
  const rejected = rejectedCount(result);
  const dataset = datasets.find(({ name }) => name === result.dataset);
  return [
    ["records in", count(result.records)],
    [result.state === "published" ? "published" : "rows", count(result.rows)],
    ["duplicates", count(result.duplicates)],
    ["rejected", rejected === 0 ? "0" : `${count(rejected)} (${countList(result.rejects)})`],
    ...forgottenRows(result),
    ...(dataset ? refreshRows(result, dataset) : []),
    ...noteRows(result, dataset?.columns ?? []),
  ];
}

function lines(rows: readonly (readonly [string, string])[]): string {
  return rows.map(([label, value]) => `${label.padEnd(13)} ${plain(value)}\n`).join("");
}

/** Returns what a rollback does, to follow "restore". */
export function rollbackText(rollback: Rollback): string {
  const files = remaining(rollback);
  const [first] = files;
  const back = publicationText((first ?? rollback.csv).back);
  const inPlace = first?.inPlace ? ` in place of ${publicationText(first.inPlace)}` : "";
  return `${back}${inPlace}: ${files.map(({ key }) => key).join(" and ")}`;
}

/** Longer lists are not read. */
const maxMissing = 10;

function missingRows(windows: readonly WindowProgress[]): [string, string][] {
  const incomplete = windows.filter(({ missing }) => missing.length > 0);
  const rows = incomplete.slice(0, maxMissing).map(({ number, from, to, missing }): [string, string] => {
    return ["missing", `window ${number} (${from} to ${to}): ${missingText(missing)}`];
  });
  const others = incomplete.length - rows.length;
  return others > 0 ? [...rows, ["", `and ${quantity(others, "other window")}`]] : rows;
}

/** Returns, for example, "2024-01-05 to 2024-01-09, 2024-01-12 page 2 and 3 others". */
export function missingText(missing: WindowProgress["missing"]): string {
  const others = missing.length - maxMissing;
  const texts = missing.slice(0, maxMissing).map(({ from, to, page, pages }) => {
    const days = from === to ? from : `${from} to ${to}`;
    return pages > 1 ? `${days} page ${page}` : days;
  });
  return `${texts.join(", ")}${others > 0 ? ` and ${count(others)} others` : ""}`;
}

const alarming: readonly RunAccount["state"][] = ["blocked", "stalled", "held", "failed"];

/** Returns the state, in capitals if a person must act. */
function stateText(account: RunAccount | BlockedRequest): string {
  const { state } = account;
  if ("file" in account && account.file === "live") return `${state}, live`;
  if ("file" in account && account.file === "rolled back") return account.file;
  return alarming.includes(state) ? state.toUpperCase() : state;
}

/** Returns one line for a run that is followed. */
export function progressText({ run, state, windows }: RunAccount): string {
  return `${run.runId} is ${state}: ${pagesText(windows)} pages transformed`;
}

function pagesText(windows: readonly WindowProgress[]): string {
  const done = windows.reduce((sum, { pages }) => sum + pages, 0);
  const all = windows.reduce((sum, { pages, missing }) => sum + pages + missing.length, 0);
  return `${count(done)}/${count(all)}${done === all ? "" : "+"}`;
}

function ageOf(date: string, now: Date): string {
  return age(Math.max(now.getTime() - Date.parse(date), 0) / 1000);
}
