import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { kickoff } from "../../../services/kickoff/kickoff.ts";
import { planRun } from "../../../services/kickoff/plan.ts";
import { busPublisher } from "../../../shared/aws/bus.ts";
import { eventBridge } from "../../../shared/aws/clients.ts";
import { config } from "../../../shared/config.ts";
import { findDataset } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import { fetchTask } from "../../../shared/messages.ts";
import { run as runSchema } from "../../../shared/run.ts";
import { requestOf, taskOf } from "../../factories/requests.ts";
import {
  capturedEvents,
  type LocalAws,
  lambdaContext,
  sqsEvent,
  startLocalAws,
  take,
  takeJson,
} from "../../support/local-aws.ts";

let aws: LocalAws;
beforeAll(async () => {
  aws = await startLocalAws();
});
afterAll(() => aws?.close());

const dataset = findDataset("reference-transactions");

async function start() {
  const { events, publish } = capturedEvents();
  return { work: await aws.bucket(), fetcherQueue: await aws.queue(), publish, events };
}

/** In the order of their windows; SQS promises none. */
async function tasksIn(queue: Awaited<ReturnType<typeof start>>["fetcherQueue"]) {
  const tasks = z.array(fetchTask).parse(await takeJson(queue));
  return tasks.sort((a, b) => a.window.number - b.window.number);
}

test("a request becomes a run: run.json, page 1 of each window, run.started", async () => {
  const deps = await start();
  const request = requestOf();
  await kickoff(request, deps);

  const planned = planRun(request, dataset);
  expect(planned.windows).toHaveLength(3);
  expect(await deps.work.getJson(keys.run(planned.runId), runSchema)).toEqual(planned);
  expect(await tasksIn(deps.fetcherQueue)).toEqual([
    taskOf(planned, { window: 1 }),
    taskOf(planned, { window: 2 }),
    taskOf(planned, { window: 3 }),
  ]);
  expect(deps.events).toEqual([
    {
      type: "run.started",
      detail: {
        runId: planned.runId,
        dataset: "reference-transactions",
        from: "2021-12-02",
        to: "2024-03-14",
        windows: 3,
      },
    },
  ]);
});

test("a request of many windows asks for each of them", async () => {
  const deps = await start();
  await kickoff(requestOf({ detail: { from: "2000-02-29", to: "2024-02-29" } }), deps);
  const numbers = (await tasksIn(deps.fetcherQueue)).map(({ window }) => window.number);
  expect(numbers).toEqual(Array.from({ length: 25 }, (_, index) => index + 1));
});

test.each([
  { how: "one after the other", concurrently: false },
  { how: "at the same time", concurrently: true },
])("a request delivered three times, $how, is one run with the same tasks", async ({ concurrently }) => {
  const deps = await start();
  const request = requestOf();
  if (concurrently) await Promise.all([1, 2, 3].map(() => kickoff(request, deps)));
  else for (let delivery = 1; delivery <= 3; delivery++) await kickoff(request, deps);

  const { runId } = planRun(request, dataset);
  expect(await deps.work.list("", 10)).toEqual([keys.run(runId)]);
  const tasks = await tasksIn(deps.fetcherQueue);
  expect(tasks).toHaveLength(9);
  expect(new Set(tasks.map((task) => JSON.stringify(task))).size).toBe(3);
  expect(new Set(deps.events.map((event) => JSON.stringify(event))).size).toBe(1);
});

test("what was written first holds: the same request with another end leads to the first one's tasks", async () => {
  const deps = await start();
  const first = requestOf({ detail: { requestId: "same", to: "2022-01-31" } });
  await kickoff(first, deps);
  const planned = planRun(first, dataset);
  expect(await tasksIn(deps.fetcherQueue)).toEqual([taskOf(planned)]);

  await kickoff(requestOf({ id: "other", detail: { requestId: "same", to: "2024-01-31" } }), deps);
  expect(await tasksIn(deps.fetcherQueue)).toEqual([taskOf(planned)]);
  expect(await deps.work.getJson(keys.run(planned.runId), runSchema)).toEqual(planned);
  expect(deps.events[1]).toEqual(deps.events[0]);
});

test("a request whose run has ended repeats nothing", async () => {
  const deps = await start();
  const request = requestOf();
  await kickoff(request, deps);
  await tasksIn(deps.fetcherQueue);
  await deps.work.put(keys.result(planRun(request, dataset).runId), "{}", "application/json");

  await kickoff(request, deps);
  expect(await tasksIn(deps.fetcherQueue)).toEqual([]);
  expect(deps.events).toHaveLength(1);
});

test.each([
  { what: "an unknown dataset", detail: { dataset: "nonexistent" }, name: "UnknownDataset" },
  { what: "an impossible range", detail: { from: "2024-02-02", to: "2024-02-01" }, name: "RangeImpossible" },
])("$what leaves nothing behind", async ({ detail, name }) => {
  const deps = await start();
  await expect(kickoff(requestOf({ detail }), deps)).rejects.toMatchObject({ name, kind: "terminal" });
  expect(await deps.work.list("", 10)).toEqual([]);
  expect(await tasksIn(deps.fetcherQueue)).toEqual([]);
  expect(deps.events).toEqual([]);
});

test("the handler takes a request from the bus and leaves tasks in the fetch queue", async () => {
  const { handler } = await import("../../../services/kickoff/handler.ts");
  const publish = busPublisher(eventBridge(), config.busName());
  await publish("run.requested", {
    dataset: "reference-transactions",
    from: "2022-01-01",
    to: "2022-01-31",
    reason: "test",
  });
  const messages = await take(aws.serviceQueue("kickoff"), 5);
  expect(messages).toHaveLength(1);

  expect(await handler(sqsEvent(messages), lambdaContext)).toMatchObject({ batchItemFailures: [] });
  const [task, ...others] = await tasksIn(aws.serviceQueue("fetcher"));
  expect(others).toEqual([]);
  expect(task).toMatchObject({
    window: { number: 1, from: "2022-01-01", to: "2022-01-31" },
    attempt: 1,
    page: 1,
  });
  expect(await aws.work.getJson(keys.run(task?.runId ?? ""), runSchema)).toMatchObject({ to: "2022-01-31" });
});
