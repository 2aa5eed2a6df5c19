// Detects complete runs from the batches of pages that the transformer receives.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { transformerService } from "../../../services/transformer/service.ts";
import { datasets } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import type { PageMessage } from "../../../shared/messages.ts";
import { messageBody } from "../../../shared/ports.ts";
import type { Run } from "../../../shared/run.ts";
import { recordsOf } from "../../factories/libinsight-records.ts";
import { runOf } from "../../factories/requests.ts";
import { recorded } from "../../support/intercepted-ports.ts";
import { capturedEvents, receive, runService, takeJson, useLocal } from "../../support/local-adapters.ts";
import {
  addressOf,
  pageOf,
  putAttempt,
  putPages,
  putRun,
  putWindow,
  type WindowContent,
} from "../../support/work-bucket.ts";

const local = useLocal();

function start() {
  const { port: work, calls } = recorded(local.store());
  return { work, calls, datasets, assemblerQueue: local.queue("assembler"), ...capturedEvents() };
}
type Deps = ReturnType<typeof start>;

/** Runs the transformer on one batch. @returns the assembler tasks, dead letters and retried messages */
async function transformBatch(deps: Deps, ...pages: PageMessage[]) {
  const queuePair = local.queuePair("transformer");
  for (const page of pages) await queuePair.source.send(messageBody(page));
  const { retried } = await runService(transformerService, deps, queuePair, await receive(queuePair.source));
  const tasks = await takeJson(deps.assemblerQueue);
  return { tasks, deadLetters: await receive(queuePair.deadLetters), retried };
}

const runOfWindows = (count: number, requestId = "run") =>
  runOf(requestId, {
    windows: Array.from({ length: count }, (_, index) => [`202${index}-01-01`, `202${index}-12-31`]),
  });
const first: WindowContent = { window: 1, pages: [recordsOf(1, 2), recordsOf(3, 3)] };
const second: WindowContent = { window: 2, pages: [recordsOf(4, 5), recordsOf(6, 7)] };
const assembleTask = ({ runId, dataset }: Run, attempt = 1) => ({ runId, dataset, attempt });

/** Stores the run, and marks its windows as paged. */
async function begin(run: Run, deps: Deps, ...contents: WindowContent[]): Promise<void> {
  await putRun(run, deps.work);
  for (const content of contents) await putPages(run, content, deps.work);
}

test("enqueues the run after its last page, in whatever order the pages arrive", async () => {
  const pages = [first, second].flatMap((content) =>
    content.pages.map((_, index) => ({ content, page: index + 1 })),
  );
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(pages, { minLength: pages.length }), async (order) => {
      const deps = start();
      const run = runOfWindows(2);
      await putRun(run, deps.work);
      for (const [index, { content, page }] of order.entries()) {
        // The first window is marked before its pages are sent.
        await putPages(run, content, deps.work);
        const enqueued = index === order.length - 1 ? [assembleTask(run)] : [];
        expect(await transformBatch(deps, pageOf(run, content, page))).toMatchObject({ tasks: enqueued });
        expect(deps.events).toEqual(enqueued.map((detail) => ({ type: "run.transformed", detail })));
      }
    }),
    { numRuns: 12 },
  );
});

test("enqueues a run once if two transformers find it complete at the same time", async () => {
  const deps = start();
  const run = runOfWindows(2);
  await begin(run, deps, first, second);
  await putWindow(run, first, deps.work);
  await putWindow(run, second, deps.work);
  const last = [first, second].map((content) => transformBatch(deps, pageOf(run, content, 2)));
  const enqueued = (await Promise.all(last)).flatMap(({ tasks }) => tasks);
  expect(deps.events).toHaveLength(2);
  expect(enqueued).toEqual([assembleTask(run)]);
});

test("enqueues each complete run of a batch, and no run with a window that has no totals yet", async () => {
  const deps = start();
  const runs = [runOfWindows(1, "one"), runOfWindows(1, "two"), runOfWindows(2, "three")];
  for (const run of runs) await begin(run, deps, first);
  const pages = runs.flatMap((run) => [pageOf(run, first, 1), pageOf(run, first, 2)]);
  const { tasks, retried } = await transformBatch(deps, ...pages);
  expect(retried).toEqual([]);
  expect(tasks).toEqual(runs.slice(0, 2).map((run) => assembleTask(run)));
});

test("lists the parts of a run only if the last window was fetched", async () => {
  const deps = start();
  const run = runOfWindows(2);
  const [one, two] = [1, 2].map((window) => ({ window, pages: [recordsOf(window, window)] }));
  if (!one || !two) throw new Error("A run has two windows.");
  await putRun(run, deps.work);
  deps.calls.length = 0;
  const checks = () => deps.calls.filter((call) => /^(head|objects) /.test(call));
  const head = `head ${keys.part(addressOf(run, two))}`;
  expect(await transformBatch(deps, pageOf(run, one, 1))).toMatchObject({ tasks: [] });
  expect(checks()).toEqual([head]);
  expect(await transformBatch(deps, pageOf(run, two, 1))).toMatchObject({ tasks: [assembleTask(run)] });
  expect(checks()).toEqual([head, head, `objects ${keys.allParts(run.runId)}`]);
});

describe("the second attempt at a run", () => {
  const again = (content: WindowContent): WindowContent => ({ ...content, attempt: 2 });

  test("enqueues the second attempt when every refetched window is complete", async () => {
    const deps = start();
    const run = runOfWindows(3);
    const third: WindowContent = { window: 3, pages: [recordsOf(8, 9)] };
    await begin(run, deps, again(second), again(third));
    await putWindow(run, first, deps.work);
    await putAttempt(run, [1, 2, 2], deps.work);
    const [one, two] = [pageOf(run, again(second), 1), pageOf(run, again(second), 2)];
    expect(await transformBatch(deps, pageOf(run, again(third), 1))).toMatchObject({ tasks: [] });
    expect(await transformBatch(deps, one)).toMatchObject({ tasks: [] });
    expect(await transformBatch(deps, two)).toMatchObject({ tasks: [assembleTask(run, 2)] });
  });

  test("enqueues the second attempt, although SQS drops duplicates of the first for five minutes", async () => {
    const deps = start();
    const run = runOfWindows(1);
    await begin(run, deps, first, again(first));
    const pages = (content: WindowContent) => [pageOf(run, content, 1), pageOf(run, content, 2)];
    expect((await transformBatch(deps, ...pages(first))).tasks).toEqual([assembleTask(run, 1)]);
    await putAttempt(run, [2], deps.work);
    expect((await transformBatch(deps, ...pages(again(first)))).tasks).toEqual([assembleTask(run, 2)]);
  });
});

test.each([
  { what: "run has expired", attempt: 1, error: "RunMissing" },
  { what: "attempt was never begun", attempt: 2, error: "AttemptMissing" },
])("dead-letters pages whose $what and names the run", async ({ attempt, error }) => {
  const deps = start();
  const run = runOfWindows(1);
  if (attempt > 1) await putRun(run, deps.work);
  const content = { window: 1, attempt, pages: [recordsOf(1, 1)] };
  expect(await transformBatch(deps, pageOf(run, content, 1))).toMatchObject({
    tasks: [],
    deadLetters: [{ attributes: { Error: error, ErrorText: expect.stringContaining(run.runId) } }],
  });
});
