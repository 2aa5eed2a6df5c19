// Tests the workers: each receives from its queue, passes batches to its service, and deletes handled messages.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { PipelineError } from "../../../shared/errors.ts";
import { keys } from "../../../shared/keys.ts";
import type { Local } from "../../../shared/local/open-local.ts";
import { messageBody } from "../../../shared/ports.ts";
import { receiveLimit, services } from "../../../shared/topology.ts";
import { localSettings } from "../../../stacks/local/local-settings.ts";
import { startWorkers, type WorkerEvents, type Workers } from "../../../stacks/local/workers.ts";
import { eventMessage } from "../../factories/event-details.ts";
import { recordsOf } from "../../factories/libinsight-records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { firstResultOf } from "../../factories/results.ts";
import { intercepted } from "../../support/intercepted-ports.ts";
import { clientOf } from "../../support/libinsight-client.ts";
import { openLocalInMemory, take } from "../../support/local-adapters.ts";
import { addressOf, pageOf, putRun } from "../../support/work-bucket.ts";

const noLibInsight = clientOf(() => Promise.reject(new Error("Not in this test.")));

/** Starts the workers until the test has finished. */
function work(local: Local, libInsight = noLibInsight, events: WorkerEvents = {}): Workers {
  const settings = localSettings({ RETRY_BASE_SECONDS: "0" });
  const workers = startWorkers({ local, settings, libInsight, events });
  onTestFinished(workers.stop);
  return workers;
}

/** Lets pending work run, such as the database's commits. */
async function turns(): Promise<void> {
  for (let n = 0; n < 10; n++) await turn();
}

const until = (condition: () => boolean | Promise<boolean>) =>
  vi.waitUntil(condition, { timeout: 10_000, interval: 10 });

const run = runOf("workers");
const content = { window: 1, pages: Array.from({ length: 25 }, (_, n) => recordsOf(n + 1, n + 1)) };

test("a batch with failing messages retries one, dead-letters one, and completes the others", async () => {
  const local = await openLocalInMemory();
  const sizes: number[] = [];
  let refusals = 1;
  const machine = {
    ...local,
    queues: {
      ...local.queues,
      transformer: intercepted(local.queues.transformer, async (method, _args, act) => {
        const result = await act();
        if (method === "receive" && Array.isArray(result)) sizes.push(result.length);
        return result;
      }),
    },
    work: intercepted(local.work, (_method, [key], act) => {
      if (key === keys.part(addressOf(run, content, 2)) && refusals-- > 0)
        throw new Error("The disk is full.");
      return act();
    }),
  };
  await putRun(run, local.work);
  const pages = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
  const messages = pages.map((page) => messageBody(pageOf(run, content, page)));
  await local.queues.transformer.sendAll([...messages, "not JSON"]);
  const handled: unknown[] = [];
  let retried = 0;
  const dead: string[] = [];
  const workers = work(machine, noLibInsight, {
    onHandled: (_queue, { page }) => handled.push(page),
    onRetry: () => {
      retried += 1;
    },
    onDeadLetter: (queue, { body }) => dead.push(`${queue}: ${body}`),
  });
  await until(() => handled.length + dead.length === 13);
  await workers.stop();

  expect(handled.toSorted()).toEqual(pages.toSorted());
  expect([retried, dead]).toEqual([1, ["transformer: not JSON"]]);
  expect(Math.max(...sizes)).toBe(services.transformer.batchSize);
  expect(await local.queues.transformer.count()).toBe(0);
  expect(await take(local.deadLetters.transformer)).toMatchObject([
    { body: "not JSON", attributes: { Error: "MessageUnreadable" } },
  ]);
});

test("a message that always fails is dead-lettered after the receive limit", async () => {
  const local = await openLocalInMemory();
  let calls = 0;
  const dead: string[] = [];
  const fetchPage = async () => {
    calls += 1;
    throw new PipelineError("LibInsightUnreachable", { message: "Down.", advice: "", kind: "transient" });
  };
  await local.queues.fetcher.send(messageBody(taskOf(run)));
  work(local, clientOf(fetchPage), { onDeadLetter: (queue) => dead.push(queue) });
  await until(() => dead.length > 0);
  expect([calls, dead]).toEqual([receiveLimit, ["fetcher"]]);
  expect(await take(local.deadLetters.fetcher)).toMatchObject([
    { attributes: { Error: "LibInsightUnreachable" } },
  ]);
});

test("a handler that exceeds its timeout frees its slot, and its message is dead-lettered after the receive limit", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  onTestFinished(() => void vi.useRealTimers());
  const local = await openLocalInMemory();
  let calls = 0;
  const fetchPage = () => {
    calls += 1;
    return new Promise<never>(() => {});
  };
  await local.queues.fetcher.send(messageBody(taskOf(run)));
  work(local, clientOf(fetchPage));
  const seconds = receiveLimit * (services.fetcher.timeoutSeconds + 10);
  for (let passed = 0; passed <= seconds; passed += 10) {
    await vi.advanceTimersByTimeAsync(10_000);
    await turns();
  }
  expect(calls).toBe(receiveLimit);
  expect(await take(local.queues.fetcher)).toEqual([]);
  expect(await take(local.deadLetters.fetcher)).toMatchObject([{ attributes: {} }]);
});

test("eight pages are fetched at a time, and stop waits for them", async () => {
  const local = await openLocalInMemory();
  const page = { totals: { totalPages: 25, totalRecords: 25 }, records: recordsOf(1, 1) };
  const waiting: (() => void)[] = [];
  const fetchPage = () => new Promise<typeof page>((resolve) => waiting.push(() => resolve(page)));
  const release = () => {
    for (const respond of waiting.splice(0)) respond();
  };
  const tasks = Array.from({ length: 12 }, (_, n) => taskOf(run, { page: n + 2, pages: 25 }));
  await local.queues.fetcher.sendAll(tasks.map(messageBody));
  const workers = work(local, clientOf(fetchPage));
  await until(() => waiting.length > 0);
  await turns();
  expect(waiting).toHaveLength(8);
  release();
  await until(() => waiting.length === 4);

  let hasStopped = false;
  const stopped = workers.stop().then(() => {
    hasStopped = true;
  });
  await turns();
  expect(hasStopped).toBe(false);
  release();
  await stopped;
  expect(await local.queues.fetcher.count()).toBe(0);
});

test("messages of a group are handled in order, and a failed read of a queue is retried", async () => {
  const local = await openLocalInMemory();
  const bodies = ["1", "2", "3", "4"].map((id) =>
    messageBody({ runId: `unknown-${id}`, dataset: run.dataset, attempt: 1 }),
  );
  for (const body of bodies) {
    await local.queues.assembler.send(body, { group: run.dataset, deduplicationId: body });
  }
  let failures = 1;
  const assembler = intercepted(local.queues.assembler, (method, _args, act) => {
    if (method === "receive" && failures-- > 0) throw new Error("The database is busy.");
    return act();
  });
  const dead: string[] = [];
  work({ ...local, queues: { ...local.queues, assembler } }, noLibInsight, {
    onDeadLetter: (_queue, { body }) => dead.push(body),
  });
  await until(() => dead.length === bodies.length);
  expect(dead).toEqual(bodies);
});

test("work that a killed process had claimed is done by the next process", async () => {
  const local = await openLocalInMemory();
  const { runId, dataset } = run;
  await local.work.putOnce(keys.result(runId), firstResultOf({ runId, state: "failed", reason: "Broken." }));
  const claim = keys.report(runId, "run.failed");
  await local.work.putOnce(claim, { state: "claimed", at: new Date().toISOString() });
  await local.queues.reporter.send(eventMessage("run.failed", { runId, dataset, reason: "Broken." }));
  work(local);
  await until(async () => (await local.work.getText(claim))?.includes("done") === true);
  expect(await readFile(join(local.folder, "messages.txt"), "utf8")).toContain("Broken.");
});
