// Runs as a person reads them.
import { age, counted, plain, ranges, table } from "../text.ts";
import type { RunAccount, WindowProgress } from "./account.ts";
import { publicationText, type Rollback, remaining } from "./rollback.ts";

export function listText(accounts: readonly RunAccount[], now: Date): string {
  if (accounts.length === 0) return "No runs in the last 30 days.\n";
  const rows = accounts.map(({ run, state, movedAt, windows, result, deadLetters }) => [
    run.runId,
    stateText(state),
    `${run.from} to ${run.to}`,
    pagesText(windows),
    result ? result.rows : "",
    deadLetters.length,
    ageOf(movedAt, now),
  ]);
  return table(["run", "state", "range", "pages", "rows", "dead letters", "moved"], rows);
}

export function showText(account: RunAccount, now: Date): string {
  const { run, state, stage, attempt, windows, result, deadLetters } = account;
  const rejected = Object.values(result?.rejects ?? {}).reduce((sum, count) => sum + count, 0);
  const known = windows.filter(({ totals }) => totals);
  const rows: [string, string][] = [
    ["run", run.runId],
    ["state", state === "stalled" ? `${state} while ${stage}` : state],
    ["requested", `${run.requestedAt}, because: ${run.reason}`],
    ["moved", `${ageOf(account.movedAt, now)} ago`],
    ["range", `${run.from} to ${run.to}`],
    ["windows", `${known.length} of ${windows.length} known${attempt > 1 ? `, attempt ${attempt}` : ""}`],
    ["pages", `${pagesText(windows)} transformed`],
    [
      "announced",
      counted(
        known.reduce((sum, { totals }) => sum + (totals?.totalRecords ?? 0), 0),
        "record",
      ),
    ],
    ...windows.flatMap(missingText),
  ];
  if (result) {
    rows.push(["records in", `${result.records}`]);
    rows.push([result.state === "published" ? "published" : "rows", `${result.rows}`]);
    rows.push(["duplicates", `${result.duplicates}`]);
    rows.push(["rejected", `${rejected}`]);
    if (result.reason !== undefined) rows.push(["reason", result.reason]);
    if (result.force !== undefined) rows.push(["forced", result.force]);
  }
  const errors = Map.groupBy(deadLetters, ({ queue, error }) => `${queue} ${error ?? "no reason given"}`);
  rows.push(["dead letters", deadLetters.length === 0 ? "none" : `${deadLetters.length}`]);
  for (const [what, letters] of errors) rows.push(["", `${what}: ${letters.length}`]);
  rows.push(["next", account.next]);
  return rows.map(([label, value]) => `${label.padEnd(13)} ${plain(value)}\n`).join("");
}

/** What a rollback does, to follow "put back". */
export function rollbackText(rollback: Rollback): string {
  const files = remaining(rollback);
  const [first] = files;
  const back = publicationText((first ?? rollback.csv).back);
  const inPlace = first?.inPlace ? ` in place of ${publicationText(first.inPlace)}` : "";
  return `${back}${inPlace}: ${files.map(({ key }) => key).join(" and ")}`;
}

function missingText({ number, from, to, totals, missing }: WindowProgress): [string, string][] {
  if (missing.length === 0) return [];
  const what = totals ? `pages ${ranges(missing)}` : "its first page, which tells how many there are";
  return [["missing", `window ${number} (${from} to ${to}): ${what}`]];
}

/** What one has to look for in a list. */
function stateText(state: RunAccount["state"]): string {
  return state === "stalled" || state === "held" || state === "failed" ? state.toUpperCase() : state;
}

function pagesText(windows: readonly WindowProgress[]): string {
  const done = windows.reduce((sum, { pages }) => sum + pages, 0);
  const all = windows.reduce((sum, { pages, missing }) => sum + pages + missing.length, 0);
  return `${done}/${all}${windows.every(({ totals }) => totals) ? "" : "+"}`;
}

function ageOf(date: string, now: Date): string {
  return age(Math.max(now.getTime() - Date.parse(date), 0) / 1000);
}
