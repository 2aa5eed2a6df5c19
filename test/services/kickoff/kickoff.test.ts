import { expect, test } from "vitest";
import { kickoff } from "../../../services/kickoff/kickoff.ts";
import { planRun } from "../../../services/kickoff/plan.ts";
import { kickoffService } from "../../../services/kickoff/service.ts";
import { datasets, findDataset } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import { messageBody } from "../../../shared/ports.ts";
import { run as runSchema } from "../../../shared/run.ts";
import { anyProfiles } from "../../factories/profiles.ts";
import { requestOf, taskOf } from "../../factories/requests.ts";
import { failing } from "../../support/intercepted-ports.ts";
import { capturedEvents, receive, runService, takeTasks, useLocal } from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";

const local = useLocal();

const dataset = findDataset("reference-transactions");

const now = () => new Date("2024-03-15T12:00:30Z");

function start() {
  const stores = { work: local.store(), data: local.store() };
  return { ...stores, datasets, now, fetcherQueue: local.queue("fetcher"), ...capturedEvents() };
}
type Deps = ReturnType<typeof start>;

const tasksIn = ({ fetcherQueue }: Deps) => takeTasks(fetcherQueue);

test("writes run.json, enqueues page 1 of each window, and emits run.started", async () => {
  const deps = start();
  const request = requestOf();
  await kickoff(request, deps);
  const planned = planRun(request, dataset, undefined);
  expect(await deps.work.getJson(keys.run(planned.runId), runSchema)).toEqual(planned);
  expect(await tasksIn(deps)).toEqual([1, 2, 3].map((window) => taskOf(planned, { window })));
  const { runId, from, to } = planned;
  expect(deps.events).toEqual([
    { type: "run.started", detail: { runId, dataset: dataset.name, from, to, windows: 3 } },
  ]);
});

test("plans windows by the profile of the published file", async () => {
  const deps = start();
  await overwrite(deps.data, dataset.publish.csv, "rows", {
    "run-id": "reference-transactions-0123456789ab",
  });
  const [published] = anyProfiles(1);
  await deps.work.putOnce(keys.profile("reference-transactions-0123456789ab"), published);
  const request = requestOf();
  const { windows } = await kickoff(request, deps);
  const planned = planRun(request, dataset, published);
  expect(await deps.work.getJson(keys.run(planned.runId), runSchema)).toEqual(planned);
  expect(planned.windows.length).toBeGreaterThan(planned.periods.length);
  expect(windows).toBe(planned.windows.length);
  const tasks = await tasksIn(deps);
  expect(tasks).toEqual(planned.windows.map(({ number }) => taskOf(planned, { window: number })));
});

test.each([
  { what: "no run wrote the published file", metadata: {} },
  { what: "the profile has expired", metadata: { "run-id": "reference-transactions-0123456789ab" } },
])("plans a window for each period if $what", async ({ metadata }) => {
  const deps = start();
  await overwrite(deps.data, dataset.publish.csv, "rows", metadata);
  expect(await kickoff(requestOf(), deps)).toMatchObject({ windows: 3 });
});

test("a repeated request keeps its windows if another file was published meanwhile", async () => {
  const deps = start();
  const request = requestOf();
  await kickoff(request, deps);
  const before = await tasksIn(deps);
  const runId = "reference-transactions-0123456789ab";
  await overwrite(deps.data, dataset.publish.csv, "rows", { "run-id": runId });
  await deps.work.putOnce(keys.profile(runId), anyProfiles(1)[0]);
  await kickoff(request, deps);
  expect(await tasksIn(deps)).toEqual(before);
});

test.each([
  { how: "in sequence", concurrently: false },
  { how: "concurrently", concurrently: true },
])("plans one run with the same tasks for a request delivered three times $how", async ({ concurrently }) => {
  const deps = start();
  const request = requestOf();
  if (concurrently) await Promise.all([1, 2, 3].map(() => kickoff(request, deps)));
  else for (let delivery = 1; delivery <= 3; delivery++) await kickoff(request, deps);
  const { runId } = planRun(request, dataset, undefined);
  expect(await deps.work.list("", 10)).toEqual([keys.run(runId)]);
  const tasks = await tasksIn(deps);
  expect(tasks).toHaveLength(9);
  expect(new Set(tasks.map((task) => JSON.stringify(task))).size).toBe(3);
  expect(new Set(deps.events.map((event) => JSON.stringify(event))).size).toBe(1);
});

test("enqueues the tasks at the second delivery if the first one died before it did", async () => {
  const deps = start();
  const request = requestOf();
  const fetcherQueue = failing(deps.fetcherQueue, "sendAll", { effect: false });
  await expect(kickoff(request, { ...deps, fetcherQueue })).rejects.toThrow("sendAll failed");
  await kickoff(request, deps);
  expect(await tasksIn(deps)).toHaveLength(3);
  expect(deps.events).toHaveLength(1);
});

test("keeps the dates of the first run.json if a request is repeated with another end date", async () => {
  const deps = start();
  const first = requestOf({ detail: { requestId: "same", to: "2022-01-31" } });
  await kickoff(first, deps);
  const planned = planRun(first, dataset, undefined);
  expect(await tasksIn(deps)).toEqual([taskOf(planned)]);
  await kickoff(requestOf({ id: "other", detail: { requestId: "same", to: "2024-01-31" } }), deps);
  expect(await tasksIn(deps)).toEqual([taskOf(planned)]);
  expect(await deps.work.getJson(keys.run(planned.runId), runSchema)).toEqual(planned);
  expect(deps.events[1]).toEqual(deps.events[0]);
});

test("sends nothing for a request whose run has ended", async () => {
  const deps = start();
  const request = requestOf();
  await kickoff(request, deps);
  await tasksIn(deps);
  await deps.work.put(keys.result(planRun(request, dataset, undefined).runId), "{}", "application/json");
  await kickoff(request, deps);
  expect(await tasksIn(deps)).toEqual([]);
  expect(deps.events).toHaveLength(1);
});

test.each([
  { what: "an unknown dataset", detail: { dataset: "nonexistent" }, name: "UnknownDataset" },
  { what: "an empty date range", detail: { from: "2024-02-02", to: "2024-02-01" }, name: "RangeImpossible" },
])("dead-letters a request with $what and writes nothing", async ({ detail, name }) => {
  const deps = start();
  const queuePair = local.queuePair("kickoff");
  await queuePair.source.send(messageBody(requestOf({ detail })));
  await runService(kickoffService, deps, queuePair, await receive(queuePair.source));
  expect(await receive(queuePair.deadLetters)).toMatchObject([{ attributes: { Error: name } }]);
  expect(await deps.work.list("", 10)).toEqual([]);
  expect(await tasksIn(deps)).toEqual([]);
  expect(deps.events).toEqual([]);
});

test("starts the run of an event in the envelope that EventBridge delivers", async () => {
  const deps = start();
  const queuePair = local.queuePair("kickoff");
  const request = requestOf({ detail: { from: "2022-01-01", to: "2022-01-31" } });
  const delivered = { version: "0", account: "000000000000", region: "us-east-1", resources: [], ...request };
  await queuePair.source.send(messageBody(delivered));
  const result = await runService(kickoffService, deps, queuePair, await receive(queuePair.source));
  expect(result).toMatchObject({ done: [expect.anything()] });
  expect(await tasksIn(deps)).toEqual([taskOf(planRun(request, dataset, undefined))]);
});

test.each([
  { ahead: "400 days", time: "2025-04-19T12:00:00Z" },
  { ahead: "16 minutes", time: "2024-03-15T12:16:31Z" },
])("rejects a request dated $ahead in the future", async ({ time }) => {
  const deps = start();
  await expect(kickoff(requestOf({ time }), deps)).rejects.toMatchObject({
    name: "RequestFromTheFuture",
    kind: "terminal",
  });
  expect(await deps.work.list("", 10)).toEqual([]);
  expect(await tasksIn(deps)).toEqual([]);
});

test("accepts a request from a clock that is a minute ahead", async () => {
  const deps = start();
  await kickoff(requestOf({ time: "2024-03-15T12:01:30Z" }), deps);
  expect(await tasksIn(deps)).toHaveLength(3);
});
