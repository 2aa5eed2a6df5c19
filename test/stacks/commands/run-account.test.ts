// The account of a run, and its repair with the real assembler.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { assemblerService } from "../../../services/assembler/service.ts";
import { transform } from "../../../services/transformer/transform.ts";
import { outputColumns } from "../../../shared/dataset-schema.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import type { DeadLetter } from "../../../shared/dead-letter.ts";
import { keys } from "../../../shared/keys.ts";
import { partContentType } from "../../../shared/part.ts";
import { type RangeSplit, type Run, runResult } from "../../../shared/run.ts";
import { needsRows } from "../../../stacks/commands/runs/confirm.ts";
import { fileStateOf, liveRuns } from "../../../stacks/commands/runs/live.ts";
import { heldResult, publishHeld, resume } from "../../../stacks/commands/runs/repair.ts";
import { type AccountDeps, accountOf, accounts } from "../../../stacks/commands/runs/run-account.ts";
import { listText, showText } from "../../../stacks/commands/runs/runs-text.ts";
import { recordsOf } from "../../factories/libinsight-records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { resultOf } from "../../factories/results.ts";
import {
  capturedEvents,
  receive,
  runService,
  startLocal,
  type TestLocal,
  take,
  takeJson,
} from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";
import { ScriptedQueryEngine } from "../../support/scripted-query-engine.ts";
import {
  addressOf,
  putAttempt,
  putPage,
  putPages,
  putRecounts,
  putRun,
  putWindow,
} from "../../support/work-bucket.ts";

let local: TestLocal;
let work: AccountDeps["work"];
beforeAll(async () => {
  local = await startLocal();
  work = local.store();
});
afterAll(() => local.close());

const years: [string, string][] = [
  ["2022-01-01", "2022-12-31"],
  ["2023-01-01", "2023-12-31"],
];
const content = { window: 2, pages: [recordsOf(1, 3), recordsOf(4, 6), recordsOf(7, 7)] };
const inMinutes = (count: number) => () => new Date(Date.now() + count * 60_000);

function account({ runId }: Run, given: Partial<AccountDeps> = {}) {
  return accountOf(runId, deps(given));
}

function deps(given: Partial<AccountDeps> = {}): AccountDeps {
  return { work, now: inMinutes(0), stalledAfterSeconds: 900, deadLetters: [], ...given };
}

/** Puts a run of two years, of which the first is complete. */
async function halfway(requestId: string): Promise<Run> {
  const run = runOf(requestId, { windows: years });
  await putRun(run, work);
  await putWindow(run, { window: 1, pages: [[]] }, work);
  return run;
}

/** Resumes a run. @returns what it sent */
async function resumed(run: Run): Promise<unknown[]> {
  const queues = { fetcher: local.queue("fetcher"), assembler: local.queue("assembler") };
  await resume(await account(run), queues, new Date());
  return [...(await takeJson(queues.fetcher)), ...(await takeJson(queues.assembler))];
}

test("an account has the missing ranges and pages, and resuming the run enqueues them", async () => {
  const run = runOf("step by step", { windows: years });
  const step = async () => {
    const { state, windows } = await account(run);
    return { state, missing: windows.map(({ missing }) => missing), sent: await resumed(run) };
  };
  const [first, second] = [addressOf(run, { ...content, window: 1 }), addressOf(run, content)];

  await putRun(run, work);
  expect(await step()).toEqual({
    state: "requested",
    missing: [[first], [second]],
    sent: [taskOf(run), taskOf(run, { window: 2 })],
  });
  await putWindow(run, { window: 1, pages: [[]] }, work);
  expect(await step()).toEqual({
    state: "fetching",
    missing: [[], [second]],
    sent: [taskOf(run, { window: 2 })],
  });

  await putPages(run, content, work);
  const pages = [1, 2, 3].map((page) => addressOf(run, content, page));
  const tasks = [1, 2, 3].map((page) => taskOf(run, { window: 2, page, pages: 3 }));
  expect(await step()).toEqual({ state: "fetching", missing: [[], pages], sent: tasks });
  await putPage(run, content, 1, work);
  await putPage(run, content, 3, work);
  expect(await step()).toEqual({
    state: "fetching",
    missing: [[], pages.slice(1, 2)],
    sent: tasks.slice(1, 2),
  });
  expect(showText(await account(run), new Date())).toMatch(
    /^missing +window 2 \(2023-01-01 to 2023-12-31\): 2023-01-01 to 2023-12-31 page 2$/m,
  );
  await putPage(run, content, 2, work);
  expect(await step()).toEqual({
    state: "assembling",
    missing: [[], []],
    sent: [{ runId: run.runId, dataset: run.dataset, attempt: 1 }],
  });
});

test("of a window that is split, only the missing pieces are enqueued again", async () => {
  const run = await halfway("split");
  const { page: _, pages: _one, ...whole } = addressOf(run, content);
  const pieces = [
    { from: "2023-01-01", to: "2023-06-30" },
    { from: "2023-07-01", to: "2023-12-31" },
  ];
  const totals = { totalPages: 2, totalRecords: 150 };
  await work.putOnce(keys.split(whole), { totals, pieces } satisfies RangeSplit);
  await work.create(keys.part({ ...whole, page: 1, pages: 1 }), "", partContentType);
  const tasks = pieces.map((range) => ({ ...taskOf(run, { window: 2 }), range }));
  expect(await resumed(run)).toEqual(tasks);

  const [first, second] = tasks;
  if (!first || !second) throw new Error("A window has two pieces.");
  const page = { totals: { totalPages: 1, totalRecords: 1 }, records: { inline: recordsOf(1, 1) } };
  await transform({ task: first, ...page }, { work, datasets });
  expect(await account(run)).toMatchObject({
    state: "fetching",
    windows: [{ pages: 1 }, { pages: 1, missing: [{ from: "2023-07-01", to: "2023-12-31", pages: 1 }] }],
  });
  expect(await resumed(run)).toEqual([second]);
  await transform({ task: second, ...page }, { work, datasets });
  expect(await account(run)).toMatchObject({ state: "assembling", windows: [{}, { pages: 2, missing: [] }] });
});

test("in a window that is fetched again, the pages of the new attempt are missing", async () => {
  const run = await halfway("again");
  await putWindow(run, content, work);
  await putAttempt(run, [1, 2], work);
  const again = { ...content, attempt: 2 };
  await putPages(run, again, work);
  await putPage(run, again, 1, work);

  expect(await account(run)).toMatchObject({ attempt: 2, state: "fetching" });
  expect(await resumed(run)).toEqual(
    [2, 3].map((page) => taskOf(run, { window: 2, attempt: 2, page, pages: 3 })),
  );
});

test("a run without progress is stalled, and its account says what is missing and what to do", async () => {
  const run = await halfway("stalled");
  const soon = await account(run, { now: inMinutes(14) });
  const later = await account(run, { now: inMinutes(16) });

  expect([soon.state, later.state]).toEqual(["fetching", "stalled"]);
  const text = showText(later, inMinutes(16)());
  expect(text).toMatch(/^state +stalled while fetching$/m);
  expect(text).toMatch(/^missing +window 2 \(2023-01-01 to 2023-12-31\): 2023-01-01 to 2023-12-31$/m);
  expect(text).toContain(`npm run runs -- resume ${run.runId}`);
});

const deadLetter: DeadLetter = {
  queue: "fetcher",
  messageId: "one",
  sentAt: "2024-01-01T00:00:00.000Z",
  receives: 1,
  bytes: 10,
  attributes: [],
  error: "LibInsightUnreachable",
};

test.each([
  { queue: "kickoff", state: "blocked" },
  { queue: "fetcher", state: "blocked" },
  { queue: "transformer", state: "blocked" },
  { queue: "assembler", state: "blocked" },
  // These queues work after the files or beside them.
  { queue: "reporter", state: "fetching" },
  { queue: "ec2", state: "fetching" },
] as const)("a run with a dead letter of the $queue queue is $state", async ({ queue, state }) => {
  const run = await halfway(`blocked by ${queue}`);
  const own = await account(run, { deadLetters: [{ ...deadLetter, queue, run: run.runId }] });
  const others = await account(run, { deadLetters: [{ ...deadLetter, queue, run: "another-run" }] });

  expect([own.state, others.state]).toEqual([state, "fetching"]);
  expect(showText(own, new Date())).toMatch(
    state === "blocked" ? /^state +blocked while fetching$/m : /^state +fetching$/m,
  );
});

test("a request that is a dead letter is listed as blocked, with what to do", async () => {
  const own = local.store();
  const begun = runOf("begun");
  const { runId } = runOf("not begun");
  await putRun(begun, own);
  const at = new Date();
  const deadLetters = [
    { ...deadLetter, queue: "kickoff" as const, run: runId, sentAt: at.toISOString() },
    // These do not block a run.
    { ...deadLetter, queue: "tableau" as const, run: "reference-transactions-ffffffffffff" },
    { ...deadLetter, queue: "athena" as const },
  ];

  const found = await accounts(deps({ work: own, deadLetters }));

  const next = expect.stringContaining(`npm run replay -- send --run ${runId}`);
  expect(found).toMatchObject([
    { run: { runId }, state: "blocked", next },
    { run: { runId: begun.runId }, state: "requested" },
  ]);
  expect(listText(found, at)).toMatch(new RegExp(`^${runId} +BLOCKED +1 +0 s$`, "m"));
  await expect(accountOf(runId, deps({ work: own, deadLetters }))).rejects.toMatchObject({
    name: "RequestBlocked",
    sentence: expect.stringContaining(`npm run replay -- send --run ${runId}`),
  });
});

test("the list marks the live run and those that were rolled back", async () => {
  const own = local.store();
  const data = local.store();
  const days = ["2024-01-01", "2024-01-08", "2024-01-15"];
  const runs = days.map((day) => runOf(day, { requestedAt: `${day}T00:00:00Z` }));
  const [first, second, third] = runs.map(({ runId }) => runId);
  for (const run of runs) {
    await putRun(run, own);
    await own.putOnce(keys.result(run.runId), resultOf({ runId: run.runId, requestedAt: run.requestedAt }));
  }
  const marks = async () => {
    const found = await accounts(deps({ work: own, live: await liveRuns({ work: own, data }) }));
    const lines = listText(found, new Date()).split("\n");
    return runs.map(({ runId }) => {
      const line = lines.find((text) => text.startsWith(runId)) ?? "";
      return line.slice(runId.length).trim().split(/ {2,}/)[0];
    });
  };
  const put = (runId: string | undefined, more: Record<string, string> = {}) =>
    overwrite(data, defaultDataset.publish.csv, "rows", {
      ...(runId !== undefined && { "run-id": runId, "requested-at": "2024-02-01T00:00:00Z" }),
      ...more,
    });

  expect(await marks()).toEqual(["published", "published", "published"]);
  await put(third);
  expect(await marks()).toEqual(["published", "published", "published, live"]);
  await put(first, { "rolled-back-at": "2024-02-01T00:00:00Z" });
  expect(await marks()).toEqual(["published, live", "rolled back", "rolled back"]);
  await put(second, { "rolled-back-at": "2024-02-01T00:00:00Z" });
  expect(await marks()).toEqual(["published", "published, live", "rolled back"]);
  // The work bucket does not have this run, so it is older than all of them.
  await put("reference-transactions-000000000000", { "rolled-back-at": "2024-02-01T00:00:00Z" });
  expect(await marks()).toEqual(["rolled back", "rolled back", "rolled back"]);
  // No run wrote this file.
  await put(undefined);
  expect(await marks()).toEqual(["published", "published", "published"]);
});

test("published runs before the live one are replaced, and those after it rolled back", () => {
  const minutes = fc.uniqueArray(fc.nat(10_000), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(minutes, fc.nat(), fc.boolean(), (times, index, isForgotten) => {
      const runs = times
        .toSorted((a, b) => a - b)
        .map((time) => runOf(`${time}`, { requestedAt: new Date(time * 60_000).toISOString() }));
      const place = index % runs.length;
      const { dataset, runId = "", requestedAt = "" } = runs[place] ?? {};
      const live = { dataset: dataset ?? "", runId, ...(!isForgotten && { requestedAt }) };
      expect(runs.map((run) => fileStateOf(run, [{ ...live, dataset: "another" }]))).toEqual(
        runs.map(() => undefined),
      );
      const states = runs.map((run) => fileStateOf(run, [live]));
      expect(states[place]).toBe("live");
      const before = isForgotten ? "rolled back" : "replaced";
      expect(states.slice(0, place)).toEqual(runs.slice(0, place).map(() => before));
      expect(states.slice(place + 1)).toEqual(runs.slice(place + 1).map(() => "rolled back"));
    }),
  );
});

test("an account has the reject reasons, values of another type, and columns without values", async () => {
  const run = runOf("with notes");
  await putRun(run, work);
  const filled = Object.fromEntries(outputColumns(defaultDataset.columns).map((name) => [name, 714]));
  const { mode: _empty, ...others } = filled;
  const given = { filled: others, mistyped: { "Duration (in minutes)": 714 } };
  await work.putOnce(keys.result(run.runId), resultOf({ runId: run.runId, state: "held", ...given }));

  const text = showText(await account(run), new Date());

  expect(text).toMatch(/^rejected +3 \(invalid _start_date: 1, missing _start_date: 2\)$/m);
  expect(text).toMatch(/^kept as text +not of the column's type: Duration \(in minutes\): 714 of 714$/m);
  expect(text).toMatch(/^no values +"mode"; check the labels in shared\/library\.ts$/m);
});

test("the account of a run with dead letters has the command that replays them", async () => {
  const run = await halfway("with dead letters");
  const deadLetters = [run.runId, "another-run"].map((run) => ({ ...deadLetter, run }));
  const found = await account(run, { deadLetters, now: inMinutes(60) });

  expect(found).toMatchObject({ state: "blocked", deadLetters: [{ run: run.runId }] });
  const text = showText(found, inMinutes(60)());
  expect(text).toMatch(/^dead letters +1\n +fetcher LibInsightUnreachable: 1$/m);
  expect(text).toContain(`npm run replay -- send --run ${run.runId}`);
});

test("the list has every run, newest request first", async () => {
  const own = local.store();
  const requested = ["2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z", "2024-01-01T00:00:00Z"];
  for (const [n, requestedAt] of requested.entries())
    await putRun(runOf(`listed ${n}`, { requestedAt }), own);

  const found = await accounts(deps({ work: own }));

  expect(found).toMatchObject(
    requested
      .toSorted()
      .toReversed()
      .map((requestedAt) => ({ run: { requestedAt } })),
  );
});

test("the list has runs of a version before periods", async () => {
  const own = local.store();
  const { periods: _none, ...older } = runOf("older", { windows: years });
  await own.putOnce(keys.run(older.runId), older);
  await own.putOnce(keys.result(older.runId), resultOf({ runId: older.runId }));
  expect(await accounts(deps({ work: own }))).toMatchObject([
    { run: { runId: older.runId }, state: "published" },
  ]);
});

test("an unknown run is an error that names the command that lists runs", async () => {
  await expect(account(runOf("unknown"))).rejects.toMatchObject({
    name: "RunUnknown",
    sentence: expect.stringContaining("npm run runs -- list"),
  });
});

test("resumes a complete run whose task was lost; once held, publishes it with a reason that its result keeps", async () => {
  const run = await halfway("held");
  // The counts still disagree at the last attempt, so the run is held.
  await putAttempt(run, [2, 2], work);
  await putAttempt(run, [3, 3], work);
  await putWindow(run, { window: 1, attempt: 3, pages: [[]] }, work);
  await putWindow(run, { ...content, attempt: 3, totals: { totalRecords: 9 } }, work);
  await putRecounts(run, 3, work);
  const queuePair = local.queuePair("assembler");
  const queues = { fetcher: local.queue("fetcher"), assembler: queuePair.source };
  const assemblerDeps = {
    work,
    data: local.store(),
    results: local.store(),
    datasets,
    tables: new ScriptedQueryEngine(),
    fetcherQueue: queues.fetcher,
    ...capturedEvents(),
    now: () => new Date(),
  };
  const assembleAll = async () => {
    const messages = await receive(queuePair.source);
    const { done } = await runService(assemblerService, assemblerDeps, queuePair, messages);
    expect([messages.length, done.length]).toEqual([1, 1]);
  };

  expect(await resume(await account(run), queues, new Date())).toEqual({ pages: 0, assemble: true });
  await assembleAll();
  const held = await account(run);
  expect(held).toMatchObject({
    state: "held",
    next: expect.stringContaining(`publish ${run.runId} --force`),
  });
  expect(needsRows(heldResult(held))).toBe(true);
  await expect(resume(held, queues, new Date())).rejects.toMatchObject({ name: "RunEnded" });

  await publishHeld(held, "counted by hand", queuePair.source);
  // The queue drops this one as a duplicate.
  await publishHeld(held, "counted by hand", queuePair.source);
  await assembleAll();
  expect(await work.getJson(keys.result(run.runId), runResult)).toMatchObject({
    state: "published",
    force: "counted by hand",
    rows: 7,
  });
  const published = await account(run);
  await expect(publishHeld(published, "again", queuePair.source)).rejects.toMatchObject({
    name: "RunNotHeld",
    sentence: expect.stringContaining("this one is published"),
  });
  expect(await take(queuePair.source)).toEqual([]);
  // No words of a patron.
  expect(showText(published, new Date())).not.toContain("asked the way");
});

test("what the rules of the columns did for the de-identified file is shown in counts", async () => {
  const redacted = { email: 68, phone: 56, name: 0 };
  const none = { dropped: 0, hashed: 0, generalized: 0, expired: 0 };
  const text = showText(await account(await halfway("de-identified")), new Date(), {
    dataset: "desk-deidentified",
    rows: 1_020,
    counts: {
      Notes: { ...none, expired: 3, redacted },
      By: { ...none, hashed: 9_691, redacted: {} },
    },
  });
  expect(text).toMatch(
    /de-identified +1,020 rows\n +Notes: email: 68, expired: 3, phone: 56\n +By: hashed: 9,691\n/,
  );
});
