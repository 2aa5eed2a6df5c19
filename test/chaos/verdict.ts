// Checks the end of a plan: every published object was at any moment the complete file of one run, made from LibInsight's
// responses to that run; every record is accounted for; each run is published, held or superseded for the reason that it
// gives; and no personal word is where it must not be.
import { text } from "node:stream/consumers";
import * as z from "zod/mini";
import { childTables } from "../../shared/child-tables.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { keys, type PageAddress } from "../../shared/keys.ts";
import type { DateRange } from "../../shared/kinds/kind.ts";
import type { LocalStore } from "../../shared/local/local-store.ts";
import { decodePart } from "../../shared/part.ts";
import type { Notification } from "../../shared/ports.ts";
import {
  periodRecount,
  type Run,
  type RunResult,
  rangeSplit,
  runAttempt,
  runIdOf,
  runResult,
  run as runSchema,
} from "../../shared/run.ts";
import type { LibInsightRecord } from "../../stacks/local/libinsight.ts";
import { changesProblems } from "./changes-problems.ts";
import { downstreamProblems } from "./downstream.ts";
import {
  type AttemptRead,
  announcedIn,
  type Baseline,
  type ExpectedRun,
  expectedRun,
  guardViolations,
  type PageRead,
  type PeriodRead,
  pagesOf,
  type RangeRead,
  type Violation,
  type WindowRead,
  windowsIn,
} from "./expected-run.ts";
import type { Plan } from "./fault-plan.ts";
import type { Ports } from "./faulty-ports.ts";
import type { Call, Counting, History, Recount, Write } from "./history.ts";
import type { Faults } from "./injected-faults.ts";
import { type Listed, listed, listedRanges } from "./listed-ranges.ts";
import {
  type Counts,
  declaredHeaders,
  difference,
  expectedPage,
  readCsv,
  readJsonLines,
  readRows,
  type Table,
} from "./oracle.ts";
import { leakProblems, type Outputs } from "./planted.ts";
import { amountOf, dateFields } from "./statistic-rows.ts";

const maxObjects = 10_000;
/** The reason with which an operator publishes a held run. */
export const approval = "chaos";

export const busEvent = z.object({
  "detail-type": z.string(),
  time: z.string(),
  detail: z.object({
    runId: z.optional(z.string()),
    reason: z.optional(z.string()),
    dataset: z.optional(z.string()),
    requestId: z.optional(z.string()),
  }),
});

/** The file that was published before the plan began, by an earlier run or by the predecessor. */
export type Earlier = { csv: string; rows: number; isOurs: boolean };

export type Evidence = {
  plan: Plan;
  runIds: string[];
  history: History;
  faults: Faults;
  ports: Ports;
  earlier: Earlier | undefined;
  /** The events that the bus accepted. */
  events: z.infer<typeof busEvent>[];
  /** Queues that still have messages. */
  nonEmptyQueues: string[];
  /** The time of the last replay. A request that was refused then came from the future. */
  refusedAt: number;
  notifications: readonly Notification[];
  outputs: Outputs;
};

/**
 * A run that ended, with the windows that each of its attempts read. `resultWrite` is the last write of its result; a run
 * that an operator published has two.
 */
export type EndedRun = {
  run: Run;
  result: RunResult;
  attempts: AttemptRead[];
  resultWrite: Write;
  resultWrites: Write[];
  wrong: string[];
};

export type Verdict = {
  /** The problems, one sentence each; none if the plan ended correctly. */
  wrong: string[];
  /** The number of windows whose rows are those of earlier runs. */
  reused: number;
  /** The number of records that published files lack because other changes compensate them in the count (`lost`). */
  excused: number;
};

export async function assess(evidence: Evidence): Promise<Verdict> {
  const { plan, runIds, history } = evidence;
  const { work } = evidence.ports;
  const wrong: string[] = [];
  const ended = new Map<string, EndedRun>();
  await correctEntries(evidence);
  const startOf = (runId: string) => history.writesOf(work.bucket, keys.run(runId))[0]?.moment ?? 0;
  // A run reuses parts of runs that began before it.
  for (const runId of runIds.toSorted((a, b) => startOf(a) - startOf(b))) {
    const run = await work.getJson(keys.run(runId), runSchema);
    const result = await work.getJson(keys.result(runId), runResult);
    const resultWrites = history.writesOf(work.bucket, keys.result(runId));
    const resultWrite = resultWrites.at(-1);
    if (!run && isFromTheFuture(runId, evidence)) continue;
    if (!run || !result || !resultWrite)
      wrong.push(`run ${runId} did not end (${run ? "no result" : "never started"})`);
    else ended.set(runId, await readRun({ run, result, resultWrite, resultWrites }, evidence, ended));
  }
  const published = await publications(evidence, ended);
  let [excused, reused] = [0, 0];
  for (const each of ended.values()) {
    const lost = lostRecords(each, evidence);
    excused += lost.excused;
    reused += (each.attempts.at(-1)?.windows ?? []).filter((window) => window.reused).length;
    const problems = [
      ...each.wrong,
      ...rangeProblems(each, evidence),
      ...countProblems(each, evidence),
      ...(await heldProblems(each, evidence)),
      ...lost.wrong,
      ...attemptProblems(each, evidence),
      ...outcomeProblems(each, published, evidence),
      ...eventProblems(each, evidence),
    ];
    wrong.push(...problems.map((problem) => `run ${each.run.runId}: ${problem}`));
  }
  wrong.push(...published.wrong, ...(await changesProblems(evidence, published)));
  if (evidence.nonEmptyQueues.length > 0) wrong.push(`messages remain in ${evidence.nonEmptyQueues.join()}`);
  if (plan.follows) wrong.push(...(await downstreamProblems(evidence, published)));
  wrong.push(...leakProblems(evidence.outputs));
  return { wrong, excused, reused };
}

/**
 * Corrects the entries of recorded writes: once an assembler has published the run's CSV, every later write of the run uses
 * the entry of that publication, whatever is deployed by then.
 */
async function correctEntries({ history, runIds, ports: { data, work } }: Evidence): Promise<void> {
  const { csv, jsonl } = history.entry.publish;
  const ownersOf = async (key: string) => {
    const writes = history.writesOf(data.bucket, key);
    const versions = (await data.listVersions(key, maxObjects)).reverse();
    return Promise.all(
      writes.map(async (write, n) => {
        const { versionId } = versions[versions.length - writes.length + n] ?? {};
        return { write, owner: (await data.head(key, versionId))?.metadata["run-id"] };
      }),
    );
  };
  const files = await ownersOf(csv);
  const results = runIds.flatMap((owner) =>
    history.writesOf(work.bucket, keys.result(owner)).map((write) => ({ write, owner })),
  );
  const all = [...files, ...(await ownersOf(jsonl)), ...results];
  for (const { write, owner } of all.sort((a, b) => a.write.moment - b.write.moment)) {
    const inPlace = files.findLast((file) => file.write.moment < write.call.begun);
    if (inPlace?.owner === owner && inPlace) write.call.entry = inPlace.write.call.entry;
  }
}

/** The tolerated difference between two clocks. */
const toleratedMs = 15 * 60_000;

/** Returns whether every request for a run is later than the clock. */
function isFromTheFuture(runId: string, { events, refusedAt }: Evidence): boolean {
  return events
    .filter(({ detail: { dataset = "", requestId } }) => requestId && runIdOf(dataset, requestId) === runId)
    .every(({ time }) => Date.parse(time) > refusedAt + toleratedMs);
}

/** Reads the inputs of each attempt of a run, and compares every part and every list of rejects with the responses. */
async function readRun(
  { run, result, resultWrite, resultWrites }: Omit<EndedRun, "attempts" | "wrong">,
  { ports: { work }, history }: Evidence,
  earlier: ReadonlyMap<string, EndedRun>,
): Promise<EndedRun> {
  const wrong: string[] = [];
  const startedAt = history.writesOf(work.bucket, keys.run(run.runId))[0]?.moment ?? 0;
  const readReused = (window: Run["windows"][number]): WindowRead | undefined => {
    const { number, from, to, reused } = window;
    if (!reused) return undefined;
    const its = earlier.get(reused.runId);
    const read = its?.attempts.at(-1)?.windows.filter((each) => !each.reused) ?? [];
    const range = read.flatMap(({ ranges }) => ranges).find((each) => each.from === from && each.to === to);
    const names = reused.parts.map((name) => keys.kept(run.dataset, name));
    const isRight =
      its?.result.state === "published" &&
      its.run.requestedAt === reused.at &&
      range?.pages.length === names.length &&
      range.pages[0]?.totals.totalRecords === reused.records;
    if (!range || !isRight) wrong.push(`window ${number}: run ${reused.runId} has no such parts`);
    const pages = range?.pages.filter((_, n) => history.had(work, names[n] ?? "", startedAt)) ?? [];
    const lacksParts = pages.length < names.length;
    return {
      ...{ window, reused: { runId: reused.runId, at: reused.at, lacksParts } },
      ranges: pages.length > 0 ? [{ from, to, pages }] : [],
    };
  };
  const { runId } = run;
  const read = new Map<string, WindowRead>();
  const readWindow = async (window: Run["windows"][number], attempt: number): Promise<WindowRead> => {
    const address = { runId, window: window.number, attempt };
    const where = `window ${window.number}, attempt ${attempt}`;
    const ranges: RangeRead[] = [];
    const objects: Listed[] = [];
    for await (const object of work.objects(keys.parts(address), maxObjects)) objects.push(listed(object));
    try {
      for (const { pages, ...range } of listedRanges(window, objects)) {
        const read: PageRead[] = [];
        for (let page = 1; page <= pages; page++) {
          const found = await readPage(
            { ...address, ...range, page, pages },
            { work, history, assembledBy: resultWrite.call.entry },
          );
          if ("problem" in found)
            wrong.push(`${where}, ${range.from} to ${range.to}, page ${page}: ${found.problem}`);
          if (found.response) read.push(found.response);
        }
        ranges.push({ ...range, pages: read });
      }
    } catch (error) {
      wrong.push(`${where}: ${String(error)}`);
    }
    for (const { from, to, bytes } of objects) {
      if (bytes > 0) continue;
      const { totals } = (await work.getJson(keys.split({ ...address, from, to }), rangeSplit)) ?? {};
      const responses = history.responses({ ...address, from, to, page: 1, pages: 1 });
      const isAnnounced = responses.some((each) => isSame(each.totals, totals));
      const pages = objects.filter((each) => each.from === from && each.to === to).length - 1;
      const isRight = from === to ? totals?.totalPages === pages : (totals?.totalPages ?? 0) > 1;
      if (!isAnnounced || !isRight)
        wrong.push(`${where}: ${from} to ${to} is split by totals that LibInsight did not send`);
    }
    return { window, ranges };
  };
  const readRecount = async (period: Run["periods"][number], attempt: number): Promise<PeriodRead> => {
    const { spans: _, ...counted } =
      (await work.getJson(keys.recount(runId, attempt, period.number), periodRecount)) ?? {};
    // Without any days, the simulation's daily counts may have no map, which gives no second total.
    const isSaid = ({ recount }: Recount) =>
      isSame(recount, counted) || (recount.sum === 0 && isSame(counted, {}));
    const found = history.recounts({ runId, attempt, what: period.number }).find(isSaid);
    if (!found) wrong.push(`period ${period.number}, attempt ${attempt}: its recount is missing or wrong`);
    return { period, recount: found && { ...found, recount: counted } };
  };
  const attempts: AttemptRead[] = [];
  for (let attempt = 1; attempt <= result.attempt; attempt++) {
    const decided = attempt > 1 ? await work.getJson(keys.attempt(runId, attempt), runAttempt) : undefined;
    const windows: WindowRead[] = [];
    for (const [n, window] of run.windows.entries()) {
      const its = decided?.windows[n] ?? 1;
      const name = `${window.number} ${its}`;
      const known =
        read.get(name) ?? (its === 1 ? readReused(window) : undefined) ?? (await readWindow(window, its));
      read.set(name, known);
      windows.push(known);
    }
    const periods: PeriodRead[] = [];
    for (const period of run.periods) periods.push(await readRecount(period, attempt));
    attempts.push({ windows, periods });
  }
  return { run, result, attempts, resultWrite, resultWrites, wrong };
}

/** Finds the response that a part was made from, by its rows. */
async function readPage(
  address: PageAddress,
  { work, history, assembledBy }: Pick<Evidence, "history"> & { work: LocalStore; assembledBy: Dataset },
): Promise<{ response?: PageRead; problem?: string }> {
  const key = keys.part(address);
  const bytes = await work.getBytes(key);
  if (!bytes) return { problem: "there is no part" };
  const { summary, csv, jsonl } = decodePart(key, bytes);
  const rejects = (await work.getText(keys.rejects(address))) ?? "";
  const entry = history.writesOf(work.bucket, key).at(-1)?.call.entry ?? history.entry;
  const inCsv = readRows(Buffer.from(csv).toString());
  const inJsonLines = readJsonLines(Buffer.from(jsonl).toString());
  const noResponse = "LibInsight sent no response to it";
  const found: { response?: PageRead; problem: string } = { problem: noResponse };
  for (const response of history.responses(address)) {
    const { rows, ...page } = expectedPage(response.records, entry);
    const own = [...new Set(rows.flatMap(({ undeclared }) => [...undeclared.keys()]))].sort();
    const expected: Table = {
      header: [...declaredHeaders(entry), ...own],
      rows: rows.map(({ declared, undeclared }) => [
        ...declared,
        ...own.map((name) => undeclared.get(name) ?? null),
      ]),
    };
    const wrong =
      (!isSame(summary.totals, response.totals) && "its totals differ from the response's") ||
      (summary.records !== response.records.length && "its number of records differs from the response's") ||
      difference({ header: expected.header, rows: inCsv }, expected) ||
      inLines(difference(inJsonLines, expected));
    if (wrong && found.problem === noResponse)
      Object.assign(found, { response: { ...response, entry }, problem: wrong });
    if (wrong) continue;
    // A page of another entry is fetched again with its rejects, so its rejects are not checked.
    const problem = entry === assembledBy ? rejectsProblem(rejects, page.rejects) : undefined;
    if (problem === undefined) return { response: { ...response, entry } };
    Object.assign(found, { response: { ...response, entry }, problem });
  }
  return found;
}

function rejectsProblem(lines: string, expected: { reason: string; record: unknown }[]): string | undefined {
  const right = expected.map((each) => JSON.stringify(each));
  const found = lines.split("\n").slice(0, -1);
  const isRight =
    found.length === right.length && found.every((line, n) => isSame(JSON.parse(line), expected[n]));
  return isRight
    ? undefined
    : `its rejects are ${found.join() || "none"}, expected ${right.join() || "none"}`;
}

const noAttempt: AttemptRead = { windows: [], periods: [] };

function expectedOf({ attempts, resultWrite }: Pick<EndedRun, "attempts" | "resultWrite">): ExpectedRun {
  return expectedRun(attempts.at(-1) ?? noAttempt, resultWrite.call.entry);
}

/** Checks every count of a run's result. */
function countProblems(ended: EndedRun, { history }: Evidence): string[] {
  const { result } = ended;
  const expected = expectedOf(ended);
  const found: [string, unknown, unknown][] = [
    ["records", result.records, expected.records],
    ["rows", result.rows, expected.file.rows.length],
    ["duplicates", result.duplicates, expected.duplicates],
    ["columns", result.columns, expected.file.header],
  ];
  for (const name of ["rejects", "furtherAnswers", "mistyped", "undeclared", "filled"] as const)
    found.push([name, sorted(new Map(Object.entries(result[name]))), sorted(expected[name])]);
  // An assembler with another entry completes a publication without its child files, which are written already.
  if (["published", "held"].includes(result.state) && (result.children || history.entries.length === 1)) {
    const its = result.children?.map(({ column, rows, records }) => ({ column, rows, records })) ?? [];
    const right = [...expected.children].map(([column, { rows }]) => {
      return { column, rows: rows.length, records: new Set(rows.map(([id]) => id)).size };
    });
    found.push(["children", its, right]);
  }
  const { windows, periods } = ended.attempts.at(-1) ?? noAttempt;
  const isUncounted = ({ recount }: PeriodRead) =>
    recount?.recount.totalRecords === undefined && recount?.recount.sum === undefined;
  const unreconciled = periods.filter(isUncounted).flatMap((period) => windowsIn(period, windows));
  found.push([
    "windows",
    result.windows.map(({ from, to, pages, totalRecords, unreconciled = false, reused }) => {
      return { from, to, pages, totalRecords, unreconciled, reused: reused?.runId, at: reused?.at };
    }),
    windows.map((window) => {
      const { from, to } = window.window;
      const { totalRecords } = announcedIn(window);
      const { runId: reused, at } = window.reused ?? {};
      return {
        from,
        to,
        pages: pagesOf(window).length,
        totalRecords,
        unreconciled: unreconciled.includes(window),
        reused,
        at,
      };
    }),
  ]);
  return found.flatMap(([what, is, right]) =>
    isSame(is, right) ? [] : `its ${what} are ${JSON.stringify(is)}, expected ${JSON.stringify(right)}`,
  );
}

function sorted(counts: Counts): [string, number][] {
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}

/**
 * Requires the periods, and the windows, to cover each day once, from the dataset's first date to the day before the
 * request, and each window to be in one period. E-resources are collected in whole months that have ended. Windows that
 * end before the lookback may be reused.
 */
function rangeProblems({ run, resultWrite }: EndedRun, { history }: Evidence): string[] {
  const dayOf = (time: Date) =>
    new Intl.DateTimeFormat("en-CA", { timeZone: resultWrite.call.entry.timeZone }).format(time);
  const next = (day: string, days = 1) =>
    new Date(Date.parse(day) + days * 24 * 3600_000).toISOString().slice(0, 10);
  const to = next(dayOf(new Date(run.requestedAt)), -1);
  const { firstDate, kind } = resultWrite.call.entry;
  const lookback = history.entry.refresh?.lookbackDays;
  const isFresh = ({ to: end }: Run["windows"][number]) =>
    lookback === undefined || end >= next(to, -lookback);
  if (run.windows.some((window) => window.reused && isFresh(window)))
    return ["it reuses windows that end within the lookback"];
  const last = kind === "e-resources" ? next(`${next(to).slice(0, 7)}-01`, -1) : to;
  const isWhole = (ranges: Run["periods"]) =>
    ranges[0]?.from === firstDate &&
    ranges.at(-1)?.to === last &&
    ranges.every(
      ({ from, number }, n) => number === n + 1 && (n === 0 || from === next(ranges[n - 1]?.to ?? "")),
    );
  const inPeriods = run.periods.flatMap((period) =>
    windowsIn(
      { period },
      run.windows.map((window) => ({ window })),
    ),
  );
  if (isWhole(run.periods) && isWhole(run.windows) && inPeriods.length === run.windows.length) return [];
  const ranges = run.windows.map((window) => `${window.from} ${window.to}`).join();
  return [`its windows ${ranges} do not cover all days up to ${to}, each in one period`];
}

/** Requires a held run to keep the files that it would publish. */
async function heldProblems(ended: EndedRun, { ports: { work } }: Evidence): Promise<string[]> {
  const { run, result } = ended;
  if (result.state !== "held") return [];
  const { file, children } = expectedOf(ended);
  const childProblems: (string | undefined)[] = [];
  for (const { column, name } of childTables(ended.resultWrite.call.entry)) {
    const found = readCsv((await work.getText(keys.heldChild(run.runId, name))) ?? "");
    childProblems.push(difference(found, children.get(column) ?? { header: [], rows: [] }));
  }
  const csv = (await work.getText(keys.held(run.runId))) ?? "";
  const lines = (await work.getText(keys.heldLines(run.runId))) ?? "";
  const problems = [difference(readCsv(csv), file), inLines(difference(readJsonLines(lines), file))];
  return [...problems, ...childProblems].flatMap((problem) =>
    problem === undefined ? [] : [`its held file: ${problem}`],
  );
}

/** Returns how much each record adds to LibInsight's count of a period, by its id. */
function amountsIn(records: readonly LibInsightRecord[], { kind }: Dataset): Map<string, number> {
  const amounts = new Map<string, number>();
  for (const record of records) {
    const id = String(record._id);
    amounts.set(id, (amounts.get(id) ?? 0) + (kind === "gate-count" ? amountOf(record) : 1));
  }
  return amounts;
}

function dated(
  records: readonly LibInsightRecord[],
  { from, to }: DateRange,
  { kind }: Dataset,
): LibInsightRecord[] {
  const dayOf = (record: LibInsightRecord) => String(record[dateFields[kind]]).slice(0, 10);
  return records.filter((record) => dayOf(record) >= from && dayOf(record) <= to);
}

/**
 * Returns whether the count of a period cannot show what its windows lack: they have as much of other records that the
 * period did not have any more when it was counted, or have it twice.
 */
function isCompensated(
  read: PeriodRead,
  windows: readonly WindowRead[],
  { states }: History,
  entry: Dataset,
): boolean {
  const { recount, state } = read.recount ?? { recount: {}, state: -1 };
  const said = recount.totalRecords ?? recount.sum;
  if (said === undefined) return false;
  const right = amountsIn(dated(states[state] ?? [], read.period, entry), entry);
  const found = amountsIn(
    windowsIn(read, windows)
      .flatMap(pagesOf)
      .flatMap(({ records }) => records),
    entry,
  );
  const above = (some: Map<string, number>, others: Map<string, number>) =>
    [...some].reduce((sum, [id, n]) => sum + Math.max(n - (others.get(id) ?? 0), 0), 0);
  const uncounted = [...right.values()].reduce((sum, n) => sum + n, 0) - said;
  return above(right, found) <= above(found, right) + Math.max(uncounted, 0);
}

/**
 * Requires a published run to contain every record that LibInsight had during the whole run. The only excuse for a lost
 * record is that it moved between windows while they were fetched, and that the count of its period is compensated by
 * other changes, or that it moved again, from a period that was not yet counted to one that was.
 */
function lostRecords(
  { run, result, attempts, resultWrite }: EndedRun,
  { history }: Evidence,
): Pick<Verdict, "wrong" | "excused"> {
  const { windows, periods } = attempts.at(-1) ?? noAttempt;
  const { entry } = resultWrite.call;
  if (result.state !== "published" || result.force === approval) return { wrong: [], excused: 0 };
  const fetched = windows.filter(({ reused }) => !reused);
  const read = [...fetched.flatMap(pagesOf), ...periods.flatMap(({ recount }) => recount ?? [])];
  const first = Math.min(...read.map(({ state }) => state));
  const last = Math.max(...read.map(({ state }) => state));
  const whole = { from: run.windows[0]?.from ?? "", to: run.windows.at(-1)?.to ?? "" };
  const seen = history.states.slice(first, last + 1).map((records) => {
    // A sum does not show that an hour without people is missing.
    const counted = dated(records, whole, entry).filter(
      (record) => entry.kind !== "gate-count" || amountOf(record) > 0,
    );
    return new Set(expectedPage(counted, entry).rows.map(({ id }) => id));
  });
  const published = new Set(expectedRun({ windows, periods }, entry).file.rows.map(([id]) => id));
  const always = [...(seen[0] ?? [])].filter((id) => seen.every((ids) => ids.has(id)));
  const lost = always.filter((id) => !published.has(id));
  const counts = (id: number, { period, recount }: PeriodRead) =>
    !recount || dated(history.states[recount.state] ?? [], period, entry).some(({ _id }) => _id === id);
  const inexcusable = lost.filter((id) =>
    periods.some((period) => counts(id, period) && !isCompensated(period, windows, history, entry)),
  );
  const wrong = inexcusable.length === 0 ? [] : [`it lost the records ${inexcusable.join()}`];
  return { wrong, excused: lost.length - inexcusable.length };
}

/** A reused window was not fetched in the first attempt. */
function maxAttemptsOf({ windows }: Run): number {
  return windows.some(({ reused }) => reused) ? 4 : 3;
}

/**
 * Requires each attempt before the last to fetch again exactly the windows whose own counts disagree, and in each period
 * whose recount disagrees some windows that have changed.
 */
function attemptProblems({ run, result, attempts, resultWrite }: EndedRun, evidence: Evidence): string[] {
  const wrong: string[] = [];
  const { history } = evidence;
  const { bucket } = evidence.ports.work;
  for (const [n, attempt] of attempts.entries()) {
    const next = attempts[n + 1]?.windows;
    // Another assembler may have decided on a further attempt before the run ended with this one.
    const [decided = resultWrite] = next
      ? [keys.search, keys.attempt].flatMap((key) => history.writesOf(bucket, key(run.runId, n + 2)))
      : [];
    const { entry } = decided.call;
    const { disagreements, recounts } = expectedRun(attempt, entry);
    const again = next && attempt.windows.filter((read, w) => next[w] !== read);
    const isLast = n + 1 === maxAttemptsOf(run) || result.state === "superseded";
    if (!again) {
      const names = [
        ...[...disagreements.keys()].map((window) => `window ${window}`),
        ...[...recounts.keys()].map((period) => `the recount of period ${period}`),
      ];
      if (names.length > 0 && !isLast)
        wrong.push(`it ended at attempt ${n + 1} although there are disagreements: ${names.join()}`);
      continue;
    }
    const left = new Set(again.filter(({ window }) => !disagreements.has(window.number)));
    if (again.length - left.size < disagreements.size)
      wrong.push(`attempt ${n + 1} did not fetch all disagreeing windows ${[...disagreements.keys()]} again`);
    // From the third attempt on, all windows that are still reused are fetched before any others are searched.
    const reused = n > 0 ? attempt.windows.filter((window) => window.reused) : [];
    for (const window of reused) left.delete(window);
    if (reused.some((window) => !again.includes(window)))
      wrong.push(`attempt ${n + 1} did not fetch all reused windows again`);
    for (const read of attempt.periods) {
      if (!recounts.has(read.period.number)) continue;
      const own = windowsIn(read, attempt.windows);
      if (reused.length === 0 && !own.some((window) => again.includes(window)))
        wrong.push(
          `attempt ${n + 1} fetched no window of the disagreeing period ${read.period.number} again`,
        );
      const unchanged = new Set(
        unchangedWindows(own, read, { runId: run.runId, attempt: n + 2 }, entry, history),
      );
      for (const window of own) if (!unchanged.has(window)) left.delete(window);
    }
    if (left.size > 0)
      wrong.push(
        `attempt ${n + 1} fetched windows ${[...left].map(({ window }) => window.number)} again without a cause`,
      );
  }
  return wrong;
}

/** Returns the windows that a search must not find. If LibInsight's records changed during the search, it may find any. */
function unchangedWindows(
  windows: readonly WindowRead[],
  { recount }: PeriodRead,
  search: Omit<Counting, "what">,
  entry: Dataset,
  history: History,
): WindowRead[] {
  const state = history.states[recount?.state ?? -1] ?? [];
  const isSteady = [recount, ...history.recounts({ ...search, what: "search" })].every(
    (each) => each?.state === recount?.state && !each?.isMiscounted,
  );
  if (!isSteady || entry.kind !== "records") return [];
  return windows.filter(
    (window) => dated(state, window.window, entry).length === announcedIn(window).totalRecords,
  );
}

export type Publication = {
  write: Write;
  owner: string;
  requestedAt: number;
  etag: string;
  text: string;
};
export type Publications = {
  csv: Publication[];
  all: Publication[];
  ended: Map<string, EndedRun>;
  baselines: Baselines;
  wrong: string[];
};
type Baselines = (since: number, until: number) => (Baseline | undefined)[];

/** Reads every version of both files. Each must be the complete file of its run, and none older than the one before. */
async function publications(
  { history, ports: { data }, earlier }: Evidence,
  ended: Map<string, EndedRun>,
): Promise<Publications> {
  const { csv, jsonl } = history.entry.publish;
  const wrong: string[] = [];
  const read = async (key: string, parse: (text: string) => Table): Promise<Publication[]> => {
    const versions = (await data.listVersions(key, maxObjects)).reverse();
    const writes = history.writesOf(data.bucket, key);
    const found: Publication[] = [];
    for (const [n, write] of writes.entries()) {
      const { versionId } = versions[versions.length - writes.length + n] ?? {};
      const { etag = "", metadata = {} } = (await data.head(key, versionId)) ?? {};
      const { "run-id": owner = "", "requested-at": at = "" } = metadata;
      const file = await text(await data.stream(key, versionId));
      const problem = fileProblem(file, parse, write, ended.get(owner));
      if (problem) wrong.push(`version ${n + 1} of ${key}, of run ${owner}: ${problem}`);
      const before = found.at(-1);
      const publication = { write, owner, requestedAt: Date.parse(at), etag, text: file };
      const isOlder = before !== undefined && before.requestedAt > publication.requestedAt;
      // A condition on an ETag also matches other objects with the same bytes. If a newer run publishes the same bytes
      // between two assemblers of one run, the second one replaces them under the older run's name.
      if (isOlder && before.etag === etag && found.some((each) => each.owner === owner && each.etag === etag))
        continue;
      if (isOlder) wrong.push(`version ${n + 1} of ${key}: an older run has replaced a newer one`);
      found.push(publication);
    }
    return found;
  };
  const files = { csv: await read(csv, readCsv), jsonl: await read(jsonl, readJsonLines) };
  for (const { owner, write } of files.csv) {
    for (const { column, keyOf } of childTables(write.call.entry)) {
      const problem = await childProblem(column, keyOf(owner), write, ended.get(owner), data);
      if (problem) wrong.push(`the child file of ${column}, of run ${owner}: ${problem}`);
    }
  }
  const [last, lines] = [files.csv.at(-1), files.jsonl.at(-1)];
  if (last?.owner !== lines?.owner)
    wrong.push(`the CSV belongs to run ${last?.owner}, the JSON lines to ${lines?.owner}`);
  const newest = [...ended.values()]
    .filter(({ result }) => result.state === "published")
    .reduce((most, { run }) => Math.max(most, Date.parse(run.requestedAt)), 0);
  if (last && last.requestedAt !== newest)
    wrong.push("the published file does not belong to the newest published run");
  if (earlier && !last && (await data.getText(csv)) !== earlier.csv)
    wrong.push("the earlier file has changed");

  /** Returns the possible published files for a call that began at `since` and ended at `until`. */
  const baselines: Baselines = (since, until) => {
    const first = files.csv.findLastIndex(({ write }) => write.moment <= since);
    const versions = files.csv.slice(Math.max(first, 0)).filter(({ write }) => write.moment <= until);
    const before = first < 0 ? [earlier && { rows: earlier.rows }] : [];
    const known = versions.flatMap(({ owner }): Baseline[] => {
      const its = ended.get(owner);
      if (!its) return [];
      const rows = its.result.rows;
      // Until its result is written, only its rows are known.
      const unknown = its.resultWrite.moment > since ? [{ rows }] : [];
      return its.resultWrite.moment <= until ? [...unknown, { rows, filled: its.result.filled }] : unknown;
    });
    return [...before, ...known];
  };
  return { csv: files.csv, all: [...files.csv, ...files.jsonl], ended, baselines, wrong };
}

function fileProblem(
  file: string,
  parse: (text: string) => Table,
  { call }: Write,
  ended: EndedRun | undefined,
): string | undefined {
  if (!ended) return "its run does not exist or did not end";
  try {
    const found = parse(file);
    const problems = filesOf(ended, call).map((right) => difference(found, right));
    return problems.includes(undefined) ? undefined : problems.at(-1);
  } catch (error) {
    return `it cannot be read (${error instanceof Error ? error.message : String(error)})`;
  }
}

async function childProblem(
  column: string,
  key: string,
  { call }: Write,
  ended: EndedRun | undefined,
  data: LocalStore,
): Promise<string | undefined> {
  const found = await data.getText(key);
  if (!ended || found === undefined) return "it does not exist";
  const problems = expectedFiles(ended, call).map(({ children }) =>
    difference(readCsv(found), children.get(column) ?? { header: [], rows: [] }),
  );
  return problems.includes(undefined) ? undefined : problems.at(-1);
}

/** Returns the files that a call may have published. */
export function filesOf(ended: EndedRun, call: Call): Table[] {
  return expectedFiles(ended, call).map(({ file }) => file);
}

/** After a deployment, the files of an earlier attempt are possible too. */
function expectedFiles({ attempts }: EndedRun, { entry }: Call): ExpectedRun[] {
  const expectedRuns = attempts.map((attempt) => expectedRun(attempt, entry));
  const isAgreed = ({ disagreements, recounts }: ExpectedRun) => disagreements.size + recounts.size === 0;
  return expectedRuns.filter((each) => each === expectedRuns.at(-1) || isAgreed(each));
}

/** Checks the state of a run and its reason: each state has its conditions, and each sentence its cause. */
function outcomeProblems(
  ended: EndedRun,
  { csv, all, baselines }: Publications,
  { plan, history }: Evidence,
): string[] {
  const { run, result, attempts, resultWrite, resultWrites } = ended;
  const { state, reason = "", violations } = result;
  const isApproved = state === "published" && plan.approves && result.force === approval;
  if (state === "held" && plan.approves && history.entries.length === 1)
    return ["it is held although an operator published it"];
  const entry = resultWrite.call.entry;
  if (state !== "published" && !reason) return ["it gives no reason"];
  if (state === "failed") {
    const isMixed = attempts
      .at(-1)
      ?.windows.some((window) => pagesOf(window).some((page) => page.entry !== entry));
    return isMixed && attempts.length === maxAttemptsOf(run) ? [] : [`it failed: ${reason}`];
  }
  if (state === "superseded") {
    const newer = all.filter(
      ({ write, requestedAt }) =>
        write.moment < resultWrite.moment && requestedAt > Date.parse(run.requestedAt),
    );
    return newer.some(({ owner }) => reason.includes(owner)) ? [] : [`no newer run supersedes it: ${reason}`];
  }
  const own = csv.filter(({ owner, write }) => owner === run.runId && write.moment < resultWrite.moment);
  if (state === "published" && own.length === 0) return ["it is published without a file"];
  const expected = expectedOf(ended);
  const disagreements = [...expected.disagreements.values(), ...expected.recounts.values()];
  const possible = resultWrites
    .flatMap((each) => baselines(each.call.begun, each.moment))
    .map((baseline) => {
      const guard = guardViolations(expected, entry, baseline);
      return violationProblems(violations, [...guard.map((each) => [each]), ...disagreements]);
    });
  const isHeld = violations.some(({ kind }) => kind !== "comparison" || run.skipComparison === undefined);
  const problems = possible.find((each) => each.length === 0) ?? possible[0] ?? [];
  return (state === "held" || isApproved) === isHeld
    ? problems
    : [...problems, `it is ${state} with the violations ${JSON.stringify(violations)}`];
}

/** Requires a cause for each violation, and at least one violation for each group of causes. */
function violationProblems(named: RunResult["violations"], causes: readonly Violation[][]): string[] {
  const explains = (violation: Violation, { kind, text }: RunResult["violations"][number]) =>
    kind === violation.kind && violation.quotes.every((quote) => text.includes(quote));
  const without = named.filter((each) => !causes.flat().some((cause) => explains(cause, each)));
  const unnamed = causes.filter(
    (group) => !group.some((cause) => named.some((each) => explains(cause, each))),
  );
  return [
    ...without.map(({ kind, text }) => `no cause explains its ${kind} violation "${text}"`),
    ...unnamed.map(
      (group) => `it does not report: ${group.map(({ quotes }) => quotes.join(", ")).join(", or: ")}`,
    ),
  ];
}

function eventProblems({ run, result }: EndedRun, { plan, events }: Evidence): string[] {
  const ends = ["run.published", "run.held", "run.failed", "run.superseded"];
  const own = events.filter(
    ({ detail, "detail-type": type }) => detail.runId === run.runId && ends.includes(type),
  );
  const types = new Set(own.map((event) => event["detail-type"]));
  // An operator published the run after it was held.
  if (plan.approves && result.state !== "held" && result.violations.length > 0) types.delete("run.held");
  const right = `run.${result.state}`;
  const isRight = types.size === 1 && types.has(right);
  return isRight ? [] : [`its events are ${[...types].join()}, expected ${right}`];
}

function inLines(problem: string | undefined): string | undefined {
  return problem && `JSON lines: ${problem}`;
}

function isSame(some: unknown, others: unknown): boolean {
  return JSON.stringify(some) === JSON.stringify(others);
}
