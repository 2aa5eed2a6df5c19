// A run's account and its repair, over a real bucket and real queues; and each repair taken up by the real handlers.
import { afterAll, beforeAll, expect, test } from "vitest";
import { handler as assembler } from "../../../services/assembler/handler.ts";
import type { DeadLetter } from "../../../services/replay/letter.ts";
import { keys } from "../../../shared/keys.ts";
import { type Run, runResult } from "../../../shared/run.ts";
import { accountOf, accounts, type Looking } from "../../../stacks/commands/runs/account.ts";
import { publishHeld, resume } from "../../../stacks/commands/runs/repair.ts";
import { showText } from "../../../stacks/commands/runs/report.ts";
import { recordsOf } from "../../factories/records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import {
  type LocalAws,
  lambdaContext,
  sqsEvent,
  startLocalAws,
  take,
  takeJson,
} from "../../support/local-aws.ts";
import { putAttempt, putPage, putRun, putTotals, putWindow } from "../../support/work-bucket.ts";

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws.close());

const years: [string, string][] = [
  ["2022-01-01", "2022-12-31"],
  ["2023-01-01", "2023-12-31"],
];
const content = { window: 2, pages: [recordsOf(1, 3), recordsOf(4, 6), recordsOf(7, 7)] };
const minutes = (count: number) => () => new Date(Date.now() + count * 60_000);

function looking(given: Partial<Looking> = {}): Looking {
  return { work: aws.work, now: minutes(0), stalledAfterSeconds: 900, deadLetters: [], ...given };
}

/** A run of two years of which the first is complete. */
async function halfway(requestId: string): Promise<Run> {
  const run = runOf(requestId, { windows: years });
  await putRun(run, aws.work);
  await putWindow(run, { window: 1, pages: [[]] }, aws.work);
  return run;
}

async function queues() {
  return { fetch: await aws.queue(), assemble: await aws.queue({ fifo: true }) };
}

test("a run tells how far it came, page by page, and what resuming it sends", async () => {
  const run = runOf("step by step", { windows: years });
  const step = async () => {
    const account = await accountOf(run.runId, looking());
    const to = await queues();
    await resume(account, to, new Date());
    const sent = [...(await takeJson(to.fetch)), ...(await takeJson(to.assemble))];
    return { state: account.state, missing: account.windows.map(({ missing }) => missing), sent };
  };

  await putRun(run, aws.work);
  expect(await step()).toEqual({
    state: "requested",
    missing: [[1], [1]],
    sent: expect.arrayContaining([taskOf(run), taskOf(run, { window: 2 })]),
  });
  await putWindow(run, { window: 1, pages: [[]] }, aws.work);
  expect(await step()).toEqual({ state: "fetching", missing: [[], [1]], sent: [taskOf(run, { window: 2 })] });

  await putTotals(run, content, aws.work);
  expect(await step()).toEqual({
    state: "transforming",
    missing: [[], [1, 2, 3]],
    // Page 1 asks for the others.
    sent: [taskOf(run, { window: 2 })],
  });
  await putPage(run, content, 1, aws.work);
  await putPage(run, content, 3, aws.work);
  expect(await step()).toEqual({
    state: "transforming",
    missing: [[], [2]],
    sent: [taskOf(run, { window: 2, page: 2 })],
  });
  await putPage(run, content, 2, aws.work);
  expect(await step()).toEqual({
    state: "assembling",
    missing: [[], []],
    sent: [{ runId: run.runId, dataset: run.dataset, attempt: 1 }],
  });
});

test("of a window that is fetched again the new attempt's pages are missing", async () => {
  const run = await halfway("again");
  await putWindow(run, content, aws.work);
  await putAttempt(run, [1, 2], aws.work);
  const again = { ...content, attempt: 2 };
  await putTotals(run, again, aws.work);
  await putPage(run, again, 1, aws.work);

  const account = await accountOf(run.runId, looking());
  expect(account).toMatchObject({ attempt: 2, state: "transforming" });
  const to = await queues();
  await resume(account, to, new Date());
  expect(await takeJson(to.fetch)).toEqual([
    taskOf(run, { window: 2, attempt: 2, page: 2 }),
    taskOf(run, { window: 2, attempt: 2, page: 3 }),
  ]);
});

test("a run in which nothing moved for a while is named, with what it waits for and what to do", async () => {
  const run = await halfway("stalled");
  const soon = await accountOf(run.runId, looking({ now: minutes(14) }));
  const later = await accountOf(run.runId, looking({ now: minutes(16) }));

  expect([soon.state, later.state]).toEqual(["fetching", "stalled"]);
  const text = showText(later, minutes(16)());
  expect(text).toMatch(/^state +stalled while fetching$/m);
  expect(text).toMatch(/^missing +window 2 \(2023-01-01 to 2023-12-31\): its first page/m);
  expect(text).toContain(`npm run runs -- resume ${run.runId}`);
});

test("a run with dead letters is to be repaired by sending them back", async () => {
  const run = await halfway("with dead letters");
  const letter: DeadLetter = {
    queue: "fetcher",
    messageId: "one",
    sentAt: "2024-01-01T00:00:00.000Z",
    receives: 1,
    bytes: 10,
    attributes: [],
    error: "LibInsightUnreachable",
  };
  const deadLetters = [
    { ...letter, run: run.runId },
    { ...letter, run: "another-run" },
  ];
  const account = await accountOf(run.runId, looking({ deadLetters, now: minutes(60) }));

  expect(account).toMatchObject({ state: "stalled", deadLetters: [{ run: run.runId }] });
  const text = showText(account, minutes(60)());
  expect(text).toMatch(/^dead letters +1\n +fetch LibInsightUnreachable: 1$/m);
  expect(text).toContain(`npm run replay -- send --run ${run.runId}`);
});

test("the list has every run, the newest request first", async () => {
  const work = await aws.bucket();
  const requested = ["2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z", "2024-01-01T00:00:00Z"];
  const runs = requested.map((requestedAt, n) => runOf(`listed ${n}`, { requestedAt }));
  for (const run of runs) await putRun(run, work);

  const found = await accounts(looking({ work }));

  expect(found.map(({ run }) => run.requestedAt)).toEqual(requested.toSorted().toReversed());
});

test("a run that nobody knows is an error that says where to look", async () => {
  await expect(accountOf("reference-transactions-000000000000", looking())).rejects.toMatchObject({
    name: "RunUnknown",
    sentence: expect.stringContaining("npm run runs -- list"),
  });
});

/** The assembler takes what the queue holds. */
async function assembleAll(): Promise<void> {
  const messages = await take(aws.serviceQueue("assembler"), 5);
  const { batchItemFailures, deadLetters } = await assembler(sqsEvent(messages), lambdaContext);
  expect({ batchItemFailures, deadLetters }).toEqual({ batchItemFailures: [], deadLetters: [] });
}

test("a complete run whose task was lost is resumed; held, it is published by a reason that its result keeps", async () => {
  const run = await halfway("held");
  // The source still disagrees at the last attempt, so the run is held.
  await putAttempt(run, [2, 2], aws.work);
  await putAttempt(run, [3, 3], aws.work);
  await putWindow(run, { window: 1, attempt: 3, pages: [[]] }, aws.work);
  await putWindow(run, { ...content, attempt: 3, totals: { totalRecords: 9 } }, aws.work);
  const assemble = aws.serviceQueue("assembler");
  const fetch = aws.serviceQueue("fetcher");

  expect(await resume(await accountOf(run.runId, looking()), { fetch, assemble }, new Date())).toEqual({
    pages: 0,
    assemble: true,
  });
  await assembleAll();
  const held = await accountOf(run.runId, looking());
  expect(held).toMatchObject({
    state: "held",
    next: expect.stringContaining(`publish ${run.runId} --force`),
  });
  await expect(resume(held, { fetch, assemble }, new Date())).rejects.toMatchObject({ name: "RunEnded" });

  await publishHeld(held, "counted by hand", assemble);
  // Repeated at once it is the same wish.
  await publishHeld(held, "counted by hand", assemble);
  await assembleAll();
  expect(await aws.work.getJson(keys.result(run.runId), runResult)).toMatchObject({
    state: "published",
    force: "counted by hand",
    rows: 7,
  });
  const published = await accountOf(run.runId, looking());
  await expect(publishHeld(published, "again", assemble)).rejects.toMatchObject({
    name: "RunNotHeld",
    sentence: expect.stringContaining("this one is published"),
  });
  expect(await take(assemble)).toEqual([]);
  expect(showText(published, new Date())).not.toContain("asked the way");
});
