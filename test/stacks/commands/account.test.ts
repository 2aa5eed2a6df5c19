// A run's account and its repair, with the real assembler taking up what the repair sends.

import { afterAll, beforeAll, expect, test } from "vitest";
import { assemblerService } from "../../../services/assembler/service.ts";
import type { DeadLetter } from "../../../services/replay/dead-letter.ts";
import { datasets } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import { type Run, runResult } from "../../../shared/run.ts";
import { type AccountDeps, accountOf, accounts } from "../../../stacks/commands/runs/account.ts";
import { publishHeld, resume } from "../../../stacks/commands/runs/repair.ts";
import { showText } from "../../../stacks/commands/runs/report.ts";
import { recordsOf } from "../../factories/records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import {
  capturedEvents,
  receive,
  runService,
  startLocal,
  type TestLocal,
  take,
  takeJson,
} from "../../support/local.ts";
import { putAttempt, putPage, putRecounts, putRun, putTotals, putWindow } from "../../support/work-bucket.ts";

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

/** A run of two years of which the first is complete. */
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

test("an account says which pages are missing, and resuming the run enqueues those", async () => {
  const run = runOf("step by step", { windows: years });
  const step = async () => {
    const { state, windows } = await account(run);
    return { state, missing: windows.map(({ missing }) => missing), sent: await resumed(run) };
  };

  await putRun(run, work);
  expect(await step()).toEqual({
    state: "requested",
    missing: [[1], [1]],
    sent: [taskOf(run), taskOf(run, { window: 2 })],
  });
  await putWindow(run, { window: 1, pages: [[]] }, work);
  expect(await step()).toEqual({ state: "fetching", missing: [[], [1]], sent: [taskOf(run, { window: 2 })] });

  await putTotals(run, content, work);
  // Page 1 enqueues the others.
  const sent = [taskOf(run, { window: 2 })];
  expect(await step()).toEqual({ state: "transforming", missing: [[], [1, 2, 3]], sent });
  await putPage(run, content, 1, work);
  await putPage(run, content, 3, work);
  expect(await step()).toEqual({
    state: "transforming",
    missing: [[], [2]],
    sent: [taskOf(run, { window: 2, page: 2, pages: 3 })],
  });
  await putPage(run, content, 2, work);
  expect(await step()).toEqual({
    state: "assembling",
    missing: [[], []],
    sent: [{ runId: run.runId, dataset: run.dataset, attempt: 1 }],
  });
});

test("of a window that is fetched again, the pages of the new attempt are missing", async () => {
  const run = await halfway("again");
  await putWindow(run, content, work);
  await putAttempt(run, [1, 2], work);
  const again = { ...content, attempt: 2 };
  await putTotals(run, again, work);
  await putPage(run, again, 1, work);

  expect(await account(run)).toMatchObject({ attempt: 2, state: "transforming" });
  expect(await resumed(run)).toEqual(
    [2, 3].map((page) => taskOf(run, { window: 2, attempt: 2, page, pages: 3 })),
  );
});

test("a run without progress is stalled, and its account says what it waits for and what to do", async () => {
  const run = await halfway("stalled");
  const soon = await account(run, { now: inMinutes(14) });
  const later = await account(run, { now: inMinutes(16) });

  expect([soon.state, later.state]).toEqual(["fetching", "stalled"]);
  const text = showText(later, inMinutes(16)());
  expect(text).toMatch(/^state +stalled while fetching$/m);
  expect(text).toMatch(/^missing +window 2 \(2023-01-01 to 2023-12-31\): its first page/m);
  expect(text).toContain(`npm run runs -- resume ${run.runId}`);
});

test("the account of a run with dead letters advises to send them back", async () => {
  const run = await halfway("with dead letters");
  const deadLetter: DeadLetter = {
    queue: "fetcher",
    messageId: "one",
    sentAt: "2024-01-01T00:00:00.000Z",
    receives: 1,
    bytes: 10,
    attributes: [],
    error: "LibInsightUnreachable",
  };
  const deadLetters = [run.runId, "another-run"].map((run) => ({ ...deadLetter, run }));
  const found = await account(run, { deadLetters, now: inMinutes(60) });

  expect(found).toMatchObject({ state: "stalled", deadLetters: [{ run: run.runId }] });
  const text = showText(found, inMinutes(60)());
  expect(text).toMatch(/^dead letters +1\n +fetcher LibInsightUnreachable: 1$/m);
  expect(text).toContain(`npm run replay -- send --run ${run.runId}`);
});

test("the list has every run, the newest request first", async () => {
  const own = local.store();
  const requested = ["2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z", "2024-01-01T00:00:00Z"];
  for (const [n, requestedAt] of requested.entries())
    await putRun(runOf(`listed ${n}`, { requestedAt }), own);

  const found = await accounts(deps({ work: own }));

  expect(found.map(({ run }) => run.requestedAt)).toEqual(requested.toSorted().toReversed());
});

test("an unknown run is an error that names the command that lists runs", async () => {
  await expect(account(runOf("unknown"))).rejects.toMatchObject({
    name: "RunUnknown",
    sentence: expect.stringContaining("npm run runs -- list"),
  });
});

test("a complete run whose task was lost is resumed; held, it is published for a reason that its result keeps", async () => {
  const run = await halfway("held");
  // The source still disagrees at the last attempt, so the run is held.
  await putAttempt(run, [2, 2], work);
  await putAttempt(run, [3, 3], work);
  await putWindow(run, { window: 1, attempt: 3, pages: [[]] }, work);
  await putWindow(run, { ...content, attempt: 3, totals: { totalRecords: 9 } }, work);
  await putRecounts(run, 3, work);
  const mailbox = local.mailbox("assembler");
  const queues = { fetcher: local.queue("fetcher"), assembler: mailbox.source };
  const assemblerDeps = {
    work,
    data: local.store(),
    datasets,
    fetcherQueue: queues.fetcher,
    ...capturedEvents(),
    now: () => new Date(),
  };
  const assembleAll = async () => {
    const messages = await receive(mailbox.source);
    const { done } = await runService(assemblerService, assemblerDeps, mailbox, messages);
    expect([messages.length, done.length]).toEqual([1, 1]);
  };

  expect(await resume(await account(run), queues, new Date())).toEqual({ pages: 0, assemble: true });
  await assembleAll();
  const held = await account(run);
  expect(held).toMatchObject({
    state: "held",
    next: expect.stringContaining(`publish ${run.runId} --force`),
  });
  await expect(resume(held, queues, new Date())).rejects.toMatchObject({ name: "RunEnded" });

  await publishHeld(held, "counted by hand", mailbox.source);
  // Repeated at once it is the same request.
  await publishHeld(held, "counted by hand", mailbox.source);
  await assembleAll();
  expect(await work.getJson(keys.result(run.runId), runResult)).toMatchObject({
    state: "published",
    force: "counted by hand",
    rows: 7,
  });
  const published = await account(run);
  await expect(publishHeld(published, "again", mailbox.source)).rejects.toMatchObject({
    name: "RunNotHeld",
    sentence: expect.stringContaining("this one is published"),
  });
  expect(await take(mailbox.source)).toEqual([]);
  // A patron's words.
  expect(showText(published, new Date())).not.toContain("asked the way");
});
