import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { enqueueCompleteRuns } from "../../../services/transformer/completion.ts";
import { s3 } from "../../../shared/aws/clients.ts";
import { keys } from "../../../shared/keys.ts";
import type { Run } from "../../../shared/run.ts";
import { recordsOf } from "../../factories/records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { capturedEvents, type LocalAws, startLocalAws, takeJson } from "../../support/local-aws.ts";
import {
  putAttempt,
  putPage,
  putRun,
  putTotals,
  putWindow,
  type WindowContent,
} from "../../support/work-bucket.ts";

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws?.close());

async function start() {
  const { events, publish } = capturedEvents();
  return { work: await aws.bucket(), assemblerQueue: await aws.queue({ fifo: true }), publish, events };
}

const twoWindows = (requestId: string) =>
  runOf(requestId, {
    windows: [
      ["2022-01-01", "2022-12-31"],
      ["2023-01-01", "2023-12-31"],
    ],
  });
const first: WindowContent = { window: 1, pages: [recordsOf(1, 2), recordsOf(3, 3)] };
const second: WindowContent = { window: 2, pages: [recordsOf(4, 5), recordsOf(6, 7)] };
const assembleTask = ({ runId, dataset }: Run, attempt = 1) => ({ runId, dataset, attempt });

describe("nothing is handed on", () => {
  test("while a page is missing", async () => {
    const deps = await start();
    const run = twoWindows("page missing");
    await putRun(run, deps.work);
    await putWindow(run, first, deps.work);
    await putTotals(run, second, deps.work);
    await putPage(run, second, 2, deps.work);
    await enqueueCompleteRuns([taskOf(run), taskOf(run, { window: 2, page: 2 })], deps);
    expect(await takeJson(deps.assemblerQueue)).toEqual([]);
    expect(deps.events).toEqual([]);
  });

  test("while a window has not begun", async () => {
    const deps = await start();
    const run = twoWindows("window missing");
    await putRun(run, deps.work);
    await putWindow(run, first, deps.work);
    await enqueueCompleteRuns([taskOf(run)], deps);
    expect(await takeJson(deps.assemblerQueue)).toEqual([]);
  });

  test("while page 1, and so the number of pages, is not known", async () => {
    const deps = await start();
    const run = runOf("totals missing");
    await putRun(run, deps.work);
    await putPage(run, first, 2, deps.work);
    await enqueueCompleteRuns([taskOf(run, { page: 2 })], deps);
    expect(await takeJson(deps.assemblerQueue)).toEqual([]);
  });

  test("while a page of an empty range is missing", async () => {
    const deps = await start();
    const run = twoWindows("empty range");
    const empty: WindowContent = { window: 2, pages: [[]] };
    await putRun(run, deps.work);
    await putWindow(run, first, deps.work);
    await putTotals(run, empty, deps.work);
    await enqueueCompleteRuns([taskOf(run), taskOf(run, { window: 2 })], deps);
    expect(await takeJson(deps.assemblerQueue)).toEqual([]);

    await putPage(run, empty, 1, deps.work);
    await enqueueCompleteRuns([taskOf(run, { window: 2 })], deps);
    expect(await takeJson(deps.assemblerQueue)).toEqual([assembleTask(run)]);
  });
});

test("a run all of whose windows are empty is handed on", async () => {
  const deps = await start();
  const run = twoWindows("all empty");
  await putRun(run, deps.work);
  for (const window of [1, 2]) await putWindow(run, { window, pages: [[]] }, deps.work);
  await enqueueCompleteRuns([taskOf(run)], deps);
  expect(await takeJson(deps.assemblerQueue)).toEqual([assembleTask(run)]);
});

test("two transformers that see a run complete at once hand it on once", async () => {
  const deps = await start();
  const run = twoWindows("at once");
  await putRun(run, deps.work);
  await putWindow(run, first, deps.work);
  await putWindow(run, second, deps.work);
  await Promise.all([
    enqueueCompleteRuns([taskOf(run, { page: 2 })], deps),
    enqueueCompleteRuns([taskOf(run, { window: 2, page: 2 })], deps),
  ]);
  // Both saw it.
  expect(deps.events).toEqual(
    [1, 2].map(() => ({
      type: "run.transformed",
      detail: { runId: run.runId, dataset: "reference-transactions", attempt: 1 },
    })),
  );
  expect(await takeJson(deps.assemblerQueue)).toEqual([assembleTask(run)]);
});

test("a batch with several pages of a window asks for it once", async () => {
  const deps = await start();
  const run = runOf("a batch");
  await putRun(run, deps.work);
  await putWindow(run, first, deps.work);
  await enqueueCompleteRuns([taskOf(run), taskOf(run, { page: 2 })], deps);
  expect(deps.events).toHaveLength(1);
});

test("runs of one batch are handed on apart from each other", async () => {
  const deps = await start();
  const runs = [runOf("one"), runOf("two"), twoWindows("three")];
  for (const run of runs) {
    await putRun(run, deps.work);
    await putWindow(run, first, deps.work);
  }
  await enqueueCompleteRuns(
    runs.map((run) => taskOf(run)),
    deps,
  );
  expect(await takeJson(deps.assemblerQueue)).toEqual(runs.slice(0, 2).map((run) => assembleTask(run)));
});

test("whatever the order of the pages, the last one hands the run on, and no other", async () => {
  const deps = await start();
  const pages = [first, second].flatMap((content) =>
    content.pages.map((_, index) => ({ content, page: index + 1 })),
  );
  let made = 0;
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(pages, { minLength: pages.length }), async (order) => {
      made += 1;
      const run = twoWindows(`order ${made}`);
      await putRun(run, deps.work);
      for (const [index, { content, page }] of order.entries()) {
        // A page comes after page 1 was fetched, but may be transformed before it.
        await putTotals(run, content, deps.work);
        await putPage(run, content, page, deps.work);
        await enqueueCompleteRuns([taskOf(run, { window: content.window, page })], deps);
        const isLast = index === order.length - 1;
        expect(await takeJson(deps.assemblerQueue)).toEqual(isLast ? [assembleTask(run)] : []);
      }
    }),
    { numRuns: 12 },
  );
});

test("a window is not listed while its last page is missing, because each batch would pay for it", async () => {
  const deps = await start();
  const run = runOf("not listed");
  await putRun(run, deps.work);
  await putTotals(run, first, deps.work);
  let lists = 0;
  const name = "count lists";
  s3().middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        if (commandName === "ListObjectsV2Command") lists += 1;
        return next(args);
      },
    { step: "initialize", name },
  );
  onTestFinished(() => {
    s3().middlewareStack.remove(name);
  });
  await putPage(run, first, 1, deps.work);
  await enqueueCompleteRuns([taskOf(run)], deps);
  expect(lists).toBe(0);
  await putPage(run, first, 2, deps.work);
  await enqueueCompleteRuns([taskOf(run, { page: 2 })], deps);
  expect(lists).toBe(1);
});

describe("a second attempt", () => {
  test("is complete with the second attempt of the window that was fetched again", async () => {
    const deps = await start();
    const run = twoWindows("second attempt");
    await putRun(run, deps.work);
    await putWindow(run, first, deps.work);
    await putWindow(run, second, deps.work);
    await putAttempt(run, [1, 2], deps.work);
    const again: WindowContent = { ...second, attempt: 2 };
    await putTotals(run, again, deps.work);
    await putPage(run, again, 1, deps.work);
    await enqueueCompleteRuns([taskOf(run, { window: 2, attempt: 2 })], deps);
    expect(await takeJson(deps.assemblerQueue)).toEqual([]);

    await putPage(run, again, 2, deps.work);
    await enqueueCompleteRuns([taskOf(run, { window: 2, attempt: 2, page: 2 })], deps);
    expect(await takeJson(deps.assemblerQueue)).toEqual([assembleTask(run, 2)]);
  });

  test("is another task than the first, also within SQS's five minutes of deduplication", async () => {
    const deps = await start();
    const run = runOf("both attempts");
    await putRun(run, deps.work);
    await putWindow(run, first, deps.work);
    await enqueueCompleteRuns([taskOf(run)], deps);
    await putAttempt(run, [2], deps.work);
    await putWindow(run, { ...first, attempt: 2 }, deps.work);
    await enqueueCompleteRuns([taskOf(run, { attempt: 2 })], deps);
    expect(await takeJson(deps.assemblerQueue)).toEqual([assembleTask(run, 1), assembleTask(run, 2)]);
  });

  test("waits for every window that was fetched again", async () => {
    const deps = await start();
    const run = twoWindows("two again");
    await putRun(run, deps.work);
    await putWindow(run, first, deps.work);
    await putWindow(run, second, deps.work);
    await putAttempt(run, [2, 2], deps.work);
    await putWindow(run, { ...first, attempt: 2 }, deps.work);
    await enqueueCompleteRuns([taskOf(run, { window: 1, attempt: 2 })], deps);
    expect(await takeJson(deps.assemblerQueue)).toEqual([]);
    await putWindow(run, { ...second, attempt: 2 }, deps.work);
    await enqueueCompleteRuns([taskOf(run, { window: 2, attempt: 2 })], deps);
    expect(await takeJson(deps.assemblerQueue)).toEqual([assembleTask(run, 2)]);
  });

  test("that nobody began is an error that names it", async () => {
    const deps = await start();
    const run = runOf("never begun");
    await putRun(run, deps.work);
    await putWindow(run, { ...first, attempt: 2 }, deps.work);
    await expect(enqueueCompleteRuns([taskOf(run, { attempt: 2 })], deps)).rejects.toMatchObject({
      name: "AttemptMissing",
      ids: { run: run.runId, attempt: 2 },
    });
  });
});

test("pages of a run that is no longer in the work bucket are an error that names it", async () => {
  const deps = await start();
  const run = runOf("forgotten");
  await putWindow(run, first, deps.work);
  expect(await deps.work.head(keys.run(run.runId))).toBeUndefined();
  await expect(enqueueCompleteRuns([taskOf(run)], deps)).rejects.toMatchObject({
    name: "RunMissing",
    kind: "terminal",
    ids: { run: run.runId },
  });
});
