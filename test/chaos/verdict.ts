// Whether a plan ended as it has to. Every object that a reader could see, at any moment, is the whole file of one run,
// made of what LibInsight answered to that run; every record is accounted for; and each run is published, held or
// superseded for the reason that it gives.
import { text } from "node:stream/consumers";
import * as z from "zod/mini";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { keys, type PageAddress } from "../../shared/keys.ts";
import type { LocalStore } from "../../shared/local/local-store.ts";
import { decodePart } from "../../shared/part.ts";
import type { Notification } from "../../shared/ports.ts";
import {
  pageCount,
  type Run,
  type RunResult,
  runAttempt,
  runIdOf,
  runResult,
  run as runSchema,
  windowTotals,
} from "../../shared/run.ts";
import {
  type Account,
  type AttemptRead,
  accountOf,
  type Baseline,
  guardViolations,
  type PageRead,
  type Violation,
  type WindowRead,
} from "./account.ts";
import type { Plan } from "./fault-plan.ts";
import type { Ports } from "./faulty-ports.ts";
import { followerProblems } from "./followers.ts";
import type { Faults } from "./injected-faults.ts";
import {
  type Counts,
  declaredHeaders,
  difference,
  judge,
  readCsv,
  readJsonLines,
  readRows,
  type Table,
} from "./oracle.ts";
import type { Call, Recount, Witness, Write } from "./witness.ts";

/** A run's third attempt is its last. */
const maxAttempts = 3;
const maxObjects = 10_000;
/** Why a person publishes a held run. */
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

/** What was published before the plan began, by an earlier run of ours or by the predecessor. */
export type Earlier = { csv: string; rows: number; isOurs: boolean };

export type Assessed = {
  plan: Plan;
  runIds: string[];
  witness: Witness;
  faults: Faults;
  ports: Ports;
  earlier: Earlier | undefined;
  /** That the bus took. */
  events: z.infer<typeof busEvent>[];
  /** Queues that still have messages. */
  left: string[];
  /** When dead letters were last sent back: what was refused then came from the future. */
  refusedAt: number;
  /** That people got. */
  notifications: readonly Notification[];
};

/**
 * A run that ended, as it read its windows in each of its attempts.
 * @property by the last write of its result; a run that a person published has one more
 */
export type Ended = {
  run: Run;
  result: RunResult;
  attempts: AttemptRead[];
  by: Write;
  judgedBy: Write[];
  wrong: string[];
};

/** @returns what is wrong, one sentence each; none where the plan ended well */
export async function assess(assessed: Assessed): Promise<string[]> {
  const { plan, runIds, witness } = assessed;
  const { work } = assessed.ports;
  const wrong: string[] = [];
  const ended = new Map<string, Ended>();
  await settleEntries(assessed);
  for (const runId of runIds) {
    const run = await work.getJson(keys.run(runId), runSchema);
    const result = await work.getJson(keys.result(runId), runResult);
    const judgedBy = witness.writesOf(work.bucket, keys.result(runId));
    const by = judgedBy.at(-1);
    if (!run && isFromTheFuture(runId, assessed)) continue;
    if (!run || !result || !by) wrong.push(`run ${runId} did not end (${run ? "no result" : "never begun"})`);
    else ended.set(runId, await readRun({ run, result, by, judgedBy }, assessed));
  }
  const published = await publications(assessed, ended);
  for (const each of ended.values()) {
    const problems = [
      ...each.wrong,
      ...rangeProblems(each),
      ...accountProblems(each),
      ...(await heldProblems(each, assessed)),
      ...lossProblems(each, assessed),
      ...attemptProblems(each, assessed),
      ...outcomeProblems(each, published, assessed),
      ...eventProblems(each, assessed),
    ];
    wrong.push(...problems.map((problem) => `run ${each.run.runId}: ${problem}`));
  }
  wrong.push(...published.wrong);
  if (assessed.left.length > 0) wrong.push(`messages are left in ${assessed.left.join()}`);
  if (plan.follows) wrong.push(...(await followerProblems(assessed, published)));
  return wrong;
}

/**
 * A publication that an assembler began is completed by the entry that began it, whatever is deployed when another one
 * finds the run's own CSV in place.
 */
async function settleEntries({ witness, runIds, ports: { data, work } }: Assessed): Promise<void> {
  const { csv, jsonl } = witness.entry.publish;
  const ownersOf = async (key: string) => {
    const writes = witness.writesOf(data.bucket, key);
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
    witness.writesOf(work.bucket, keys.result(owner)).map((write) => ({ write, owner })),
  );
  const all = [...files, ...(await ownersOf(jsonl)), ...results];
  for (const { write, owner } of all.sort((a, b) => a.write.moment - b.write.moment)) {
    const inPlace = files.findLast((file) => file.write.moment < write.by.begun);
    if (inPlace?.owner === owner && inPlace) write.by.entry = inPlace.write.by.entry;
  }
}

/** Clocks may differ by so much. */
const toleratedMs = 15 * 60_000;

/** Whether every request for a run is later than the clock. */
function isFromTheFuture(runId: string, { events, refusedAt }: Assessed): boolean {
  return events
    .filter(({ detail: { dataset = "", requestId } }) => requestId && runIdOf(dataset, requestId) === runId)
    .every(({ time }) => Date.parse(time) > refusedAt + toleratedMs);
}

/** Reads what each attempt at a run was made of, and compares every part and every list of rejects with the answers. */
async function readRun(
  { run, result, by, judgedBy }: Omit<Ended, "attempts" | "wrong">,
  { ports: { work }, witness }: Assessed,
): Promise<Ended> {
  const wrong: string[] = [];
  const { runId } = run;
  const read = new Map<string, WindowRead>();
  const readWindow = async (window: Run["windows"][number], attempt: number): Promise<WindowRead> => {
    const address = { runId, window: window.number, attempt };
    const totals = await work.getJson(keys.window(address), windowTotals);
    const announced = witness.answers({ ...address, page: 1 }).map((answer) => answer.totals);
    if (!totals || !announced.some((each) => isSame(each, totals))) {
      wrong.push(`window ${window.number}, attempt ${attempt}: its totals are not what LibInsight announced`);
      return { window, totals: { totalPages: 0, totalRecords: 0 }, pages: [] };
    }
    const pages: PageRead[] = [];
    for (let page = 1; page <= pageCount(totals); page++) {
      const found = await readPage({ ...address, page }, { work, witness, assembledBy: by.by.entry });
      if ("problem" in found)
        wrong.push(`window ${window.number}, attempt ${attempt}, page ${page}: ${found.problem}`);
      if (found.answer) pages.push(found.answer);
    }
    return { window, totals, pages };
  };
  const readRecount = async (window: number, attempt: number): Promise<Recount | undefined> => {
    const address = { runId, window, attempt };
    const totals = await work.getJson(keys.recount(address), windowTotals);
    const found = witness.recounts(address).find((each) => isSame(each.totals, totals));
    if (!found) wrong.push(`window ${window}, attempt ${attempt}: it was not counted again, or wrongly`);
    return found;
  };
  const attempts: AttemptRead[] = [];
  for (let attempt = 1; attempt <= result.attempt; attempt++) {
    const decided = attempt > 1 ? await work.getJson(keys.attempt(runId, attempt), runAttempt) : undefined;
    const windows: WindowRead[] = [];
    const recounts: (Recount | undefined)[] = [];
    for (const [n, window] of run.windows.entries()) {
      const its = decided?.windows[n] ?? 1;
      const name = `${window.number} ${its}`;
      const known = read.get(name) ?? (await readWindow(window, its));
      read.set(name, known);
      windows.push(known);
      recounts.push(await readRecount(window.number, attempt));
    }
    attempts.push({ windows, recounts });
  }
  return { run, result, attempts, by, judgedBy, wrong };
}

/** Finds the answer that a part was made of, by its rows. */
async function readPage(
  address: PageAddress,
  { work, witness, assembledBy }: Pick<Assessed, "witness"> & { work: LocalStore; assembledBy: Dataset },
): Promise<{ answer?: PageRead; problem?: string }> {
  const key = keys.part(address);
  const bytes = await work.getBytes(key);
  if (!bytes) return { problem: "there is no part" };
  const { summary, csv, jsonl } = decodePart(key, bytes);
  const rejects = (await work.getText(keys.rejects(address))) ?? "";
  const entry = witness.writesOf(work.bucket, key).at(-1)?.by.entry ?? witness.entry;
  const nothing = "LibInsight answered nothing to it";
  const found: { answer?: PageRead; problem: string } = { problem: nothing };
  for (const answer of witness.answers(address)) {
    const { rows, ...judged } = judge(answer.records, entry);
    const own = [...new Set(rows.flatMap(({ undeclared }) => [...undeclared.keys()]))].sort();
    const expected: Table = {
      header: [...declaredHeaders(entry), ...own],
      rows: rows.map(({ declared, undeclared }) => [
        ...declared,
        ...own.map((name) => undeclared.get(name) ?? null),
      ]),
    };
    const part = { header: expected.header, rows: readRows(Buffer.from(csv).toString()) };
    const wrong =
      (!isSame(summary.totals, answer.totals) && "its totals are other ones") ||
      (summary.records !== answer.records.length && "its number of records is another one") ||
      difference(part, expected) ||
      inLines(difference(readJsonLines(Buffer.from(jsonl).toString()), expected));
    if (wrong && found.problem === nothing)
      Object.assign(found, { answer: { ...answer, entry }, problem: wrong });
    if (wrong) continue;
    // A page that another entry made is fetched again, rejects and all.
    const problem = entry === assembledBy ? rejectsProblem(rejects, judged.rejects) : undefined;
    if (problem === undefined) return { answer: { ...answer, entry } };
    Object.assign(found, { answer: { ...answer, entry }, problem });
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
    : `its rejects are ${found.join() || "not written"} where ${right.join() || "none"} are right`;
}

const noAttempt: AttemptRead = { windows: [], recounts: [] };

function lastOf({ attempts, by }: Pick<Ended, "attempts" | "by">): Account {
  return accountOf(attempts.at(-1) ?? noAttempt, by.by.entry);
}

/** Every count of a run's result. */
function accountProblems(ended: Ended): string[] {
  const { result } = ended;
  const account = lastOf(ended);
  const found: [string, unknown, unknown][] = [
    ["records", result.records, account.records],
    ["rows", result.rows, account.file.rows.length],
    ["duplicates", result.duplicates, account.duplicates],
    ["columns", result.columns, account.file.header],
  ];
  for (const name of ["rejects", "furtherAnswers", "mistyped", "undeclared", "filled"] as const)
    found.push([name, sorted(new Map(Object.entries(result[name]))), sorted(account[name])]);
  const announced = result.windows.reduce((sum, { totalRecords }) => sum + totalRecords, 0);
  if (result.state === "published" && account.disagreements.size === 0)
    found.push(["announced records", announced, account.records]);
  return found.flatMap(([what, is, right]) =>
    isSame(is, right) ? [] : `its ${what} are ${JSON.stringify(is)} where ${JSON.stringify(right)} are right`,
  );
}

function sorted(counts: Counts): [string, number][] {
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The windows are all days from the dataset's first to the day before the request, each once. */
function rangeProblems({ run, by }: Ended): string[] {
  const dayOf = (time: Date) =>
    new Intl.DateTimeFormat("en-CA", { timeZone: by.by.entry.timeZone }).format(time);
  const next = (day: string, days = 1) =>
    new Date(Date.parse(day) + days * 24 * 3600_000).toISOString().slice(0, 10);
  const to = next(dayOf(new Date(run.requestedAt)), -1);
  const ranges = run.windows.map((window) => `${window.from} ${window.to}`).join();
  const isWhole =
    run.windows[0]?.from === by.by.entry.firstDate &&
    run.windows.at(-1)?.to === to &&
    run.windows.every((window, n) => n === 0 || window.from === next(run.windows[n - 1]?.to ?? ""));
  return isWhole ? [] : [`its windows are ${ranges}, up to ${to}`];
}

/** What a held run would publish is kept as the person will see it. */
async function heldProblems(ended: Ended, { ports: { work } }: Assessed): Promise<string[]> {
  const { run, result } = ended;
  if (result.state !== "held") return [];
  const { file } = lastOf(ended);
  const csv = (await work.getText(keys.held(run.runId))) ?? "";
  const lines = (await work.getText(keys.heldLines(run.runId))) ?? "";
  return [difference(readCsv(csv), file), inLines(difference(readJsonLines(lines), file))].flatMap(
    (problem) => (problem === undefined ? [] : [`what it holds: ${problem}`]),
  );
}

/**
 * A published run has every record that LibInsight had all the time while it was read. Two changes at once may hide each
 * other from every count (one removed before a page, one added behind it), so only one is judged.
 */
function lossProblems(ended: Ended, { witness }: Assessed): string[] {
  const { run, result, attempts, by } = ended;
  const { windows, recounts } = attempts.at(-1) ?? noAttempt;
  const read = [...windows.flatMap(({ pages }) => pages), ...recounts.flatMap((each) => each ?? [])];
  const first = Math.min(...read.map(({ state }) => state));
  const last = Math.max(...read.map(({ state }) => state));
  if (result.state !== "published" || result.force === approval || last - first > 1) return [];
  const seen = witness.states.slice(first, last + 1).map((records) => {
    const inRange = records.filter(({ _start_date: at }) => String(at).slice(0, 10) <= run.to);
    return new Set(judge(inRange, by.by.entry).rows.map(({ id }) => id));
  });
  const published = new Set(lastOf(ended).file.rows.map(([id]) => id));
  const always = [...(seen[0] ?? [])].filter((id) => seen.every((ids) => ids.has(id)));
  const lost = always.filter((id) => !published.has(id));
  return lost.length === 0 ? [] : [`it lost the records ${lost.join()}`];
}

/** A window whose numbers do not agree is fetched again, and no other, until the last attempt. */
function attemptProblems(
  { run, result, attempts, by }: Ended,
  { witness, ports: { work } }: Assessed,
): string[] {
  const wrong: string[] = [];
  for (const [n, attempt] of attempts.entries()) {
    const decided = witness.writesOf(work.bucket, keys.attempt(run.runId, n + 2)).at(0) ?? by;
    const disagreeing = [...accountOf(attempt, decided.by.entry).disagreements.keys()];
    const next = attempts[n + 1]?.windows;
    const again = next && attempt.windows.flatMap((read, w) => (next[w] === read ? [] : read.window.number));
    const isLast = n + 1 === maxAttempts || result.state === "superseded";
    if (again && !isSame(again, disagreeing))
      wrong.push(`attempt ${n + 1} fetched windows ${again} again where ${disagreeing} do not agree`);
    if (!again && disagreeing.length > 0 && !isLast)
      wrong.push(`it ended at attempt ${n + 1} although windows ${disagreeing} do not agree`);
  }
  return wrong;
}

type Publication = { write: Write; owner: string; requestedAt: number; etag: string };
export type Publications = {
  csv: Publication[];
  all: Publication[];
  ended: Map<string, Ended>;
  baselines: Baselines;
  wrong: string[];
};
type Baselines = (since: number, until: number) => (Baseline | undefined)[];

/** Reads every version of both files: each has to be whole and its run's, and none older than the one before it. */
async function publications(
  { witness, ports: { data }, earlier }: Assessed,
  ended: Map<string, Ended>,
): Promise<Publications> {
  const { csv, jsonl } = witness.entry.publish;
  const wrong: string[] = [];
  const read = async (key: string, parse: (text: string) => Table): Promise<Publication[]> => {
    const versions = (await data.listVersions(key, maxObjects)).reverse();
    const writes = witness.writesOf(data.bucket, key);
    const found: Publication[] = [];
    for (const [n, write] of writes.entries()) {
      const { versionId } = versions[versions.length - writes.length + n] ?? {};
      const { etag = "", metadata = {} } = (await data.head(key, versionId)) ?? {};
      const { "run-id": owner = "", "requested-at": at = "" } = metadata;
      const file = await text(await data.stream(key, versionId));
      const problem = fileProblem(file, parse, write, ended.get(owner));
      if (problem) wrong.push(`version ${n + 1} of ${key}, of run ${owner}: ${problem}`);
      const before = found.at(-1);
      const publication = { write, owner, requestedAt: Date.parse(at), etag };
      const isOlder = before !== undefined && before.requestedAt > publication.requestedAt;
      // A condition on an ETag holds for the same bytes too. Two assemblers of one run, with a newer run of the same bytes
      // between them, leave those bytes under the older run's name.
      if (isOlder && before.etag === etag && found.some((each) => each.owner === owner && each.etag === etag))
        continue;
      if (isOlder) wrong.push(`version ${n + 1} of ${key}: an older run has replaced a newer one`);
      found.push(publication);
    }
    return found;
  };
  const files = { csv: await read(csv, readCsv), jsonl: await read(jsonl, readJsonLines) };
  const [last, lines] = [files.csv.at(-1), files.jsonl.at(-1)];
  if (last?.owner !== lines?.owner)
    wrong.push(`the CSV is of run ${last?.owner}, the JSON lines are of ${lines?.owner}`);
  const newest = [...ended.values()]
    .filter(({ result }) => result.state === "published")
    .reduce((most, { run }) => Math.max(most, Date.parse(run.requestedAt)), 0);
  if (last && last.requestedAt !== newest)
    wrong.push("the published file is not of the newest run that was published");
  if (earlier && !last && (await data.getText(csv)) !== earlier.csv)
    wrong.push("the earlier file is another one");

  /** What may have been published for a call that began and ended then. */
  const baselines: Baselines = (since, until) => {
    const first = files.csv.findLastIndex(({ write }) => write.moment <= since);
    const versions = files.csv.slice(Math.max(first, 0)).filter(({ write }) => write.moment <= until);
    const before = first < 0 ? [earlier && { rows: earlier.rows }] : [];
    const known = versions.flatMap(({ owner }): Baseline[] => {
      const its = ended.get(owner);
      if (!its) return [];
      const rows = its.result.rows;
      // Until its result is written, only its rows are known.
      const unknown = its.by.moment > since ? [{ rows }] : [];
      return its.by.moment <= until ? [...unknown, { rows, filled: its.result.filled }] : unknown;
    });
    return [...before, ...known];
  };
  return { csv: files.csv, all: [...files.csv, ...files.jsonl], ended, baselines, wrong };
}

function fileProblem(
  file: string,
  parse: (text: string) => Table,
  { by }: Write,
  ended: Ended | undefined,
): string | undefined {
  if (!ended) return "there is no such run, or it did not end";
  try {
    const found = parse(file);
    const problems = filesOf(ended, by).map((right) => difference(found, right));
    return problems.includes(undefined) ? undefined : problems.at(-1);
  } catch (error) {
    return `it cannot be read (${error instanceof Error ? error.message : String(error)})`;
  }
}

/** The files that a call may have published: where a deploy followed, those of an earlier attempt too. */
export function filesOf({ attempts }: Ended, { entry }: Call): Table[] {
  const accounts = attempts.map((attempt) => accountOf(attempt, entry));
  const isAgreed = (account: Account) => account.disagreements.size === 0;
  return accounts.filter((each) => each === accounts.at(-1) || isAgreed(each)).map(({ file }) => file);
}

/** Why a run ended as it did: each state has its conditions, and each sentence its cause. */
function outcomeProblems(
  ended: Ended,
  { csv, all, baselines }: Publications,
  { plan, witness }: Assessed,
): string[] {
  const { run, result, attempts, by, judgedBy } = ended;
  const { state, reason = "", violations } = result;
  const isApproved = state === "published" && plan.approves && result.force === approval;
  if (state === "held" && plan.approves && witness.entries.length === 1)
    return ["it is held although a person published it"];
  const entry = by.by.entry;
  if (state !== "published" && !reason) return ["it gives no reason"];
  if (state === "failed") {
    const isMixed = attempts.at(-1)?.windows.some(({ pages }) => pages.some((page) => page.entry !== entry));
    return isMixed && attempts.length === maxAttempts ? [] : [`it failed: ${reason}`];
  }
  if (state === "superseded") {
    const newer = all.filter(
      ({ write, requestedAt }) => write.moment < by.moment && requestedAt > Date.parse(run.requestedAt),
    );
    return newer.some(({ owner }) => reason.includes(owner)) ? [] : [`no newer run supersedes it: ${reason}`];
  }
  const own = csv.filter(({ owner, write }) => owner === run.runId && write.moment < by.moment);
  if (state === "published" && own.length === 0) return ["it is published without a file"];
  const account = lastOf(ended);
  const disagreements = [...account.disagreements.values()];
  const possible = judgedBy
    .flatMap((each) => baselines(each.by.begun, each.moment))
    .map((baseline) => {
      const guard = guardViolations(account, entry, baseline);
      return violationProblems(violations, [...guard.map((each) => [each]), ...disagreements]);
    });
  const isHeld = violations.some(({ kind }) => kind !== "comparison" || run.skipComparison === undefined);
  const problems = possible.find((each) => each.length === 0) ?? possible[0] ?? [];
  return (state === "held" || isApproved) === isHeld
    ? problems
    : [...problems, `it is ${state} with the violations ${JSON.stringify(violations)}`];
}

/** Each violation needs a cause, and of each group of causes at least one has to be named. */
function violationProblems(named: RunResult["violations"], causes: readonly Violation[][]): string[] {
  const explains = (violation: Violation, { kind, text }: RunResult["violations"][number]) =>
    kind === violation.kind && violation.quotes.every((quote) => text.includes(quote));
  const without = named.filter((each) => !causes.flat().some((cause) => explains(cause, each)));
  const unnamed = causes.filter(
    (group) => !group.some((cause) => named.some((each) => explains(cause, each))),
  );
  return [
    ...without.map(({ kind, text }) => `nothing that it saw explains its ${kind} "${text}"`),
    ...unnamed.map(
      (group) => `it does not say: ${group.map(({ quotes }) => quotes.join(", ")).join(", or: ")}`,
    ),
  ];
}

function eventProblems({ run, result }: Ended, { plan, events }: Assessed): string[] {
  const ends = ["run.published", "run.held", "run.failed", "run.superseded"];
  const own = events.filter(
    ({ detail, "detail-type": type }) => detail.runId === run.runId && ends.includes(type),
  );
  const types = new Set(own.map((event) => event["detail-type"]));
  // After it was held, a person decided.
  if (plan.approves && result.state !== "held" && result.violations.length > 0) types.delete("run.held");
  const right = `run.${result.state}`;
  const isRight = types.size === 1 && types.has(right);
  return isRight ? [] : [`its events are ${[...types].join()} where ${right} is right`];
}

function inLines(problem: string | undefined): string | undefined {
  return problem && `JSON lines: ${problem}`;
}

function isSame(some: unknown, others: unknown): boolean {
  return JSON.stringify(some) === JSON.stringify(others);
}
