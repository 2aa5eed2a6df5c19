// Outcomes of runs become reports in the results bucket: each run's own, and the latest one of the dataset.
import { beforeEach, expect, test, vi } from "vitest";
import * as z from "zod/mini";
import type { ReportInput } from "../../../services/renderer/render.ts";
import { rendererService } from "../../../services/renderer/service.ts";
import { type RendererDeps, writeReport } from "../../../services/renderer/write-report.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import type { EventType } from "../../../shared/events.ts";
import { keys } from "../../../shared/keys.ts";
import type { Profile } from "../../../shared/profile.ts";
import type { RunResult } from "../../../shared/run.ts";
import { eventMessage } from "../../factories/event-details.ts";
import { firstResultOf } from "../../factories/results.ts";
import { before } from "../../support/intercepted-ports.ts";
import { runService, type TestLocal, take, useLocal } from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";
import { outcomeOf } from "../../support/outcome.ts";

// Shows what the service gives to the page, without its dataset.
vi.mock("../../../services/renderer/render.ts", () => ({
  renderReport: ({ dataset: _, ...input }: ReportInput) => JSON.stringify(input),
}));
const rendered = z.object({
  result: z.object({ runId: z.string(), state: z.string() }),
  profile: z.optional(z.object({ rows: z.number() })),
  previous: z.optional(z.object({ rows: z.number() })),
  live: z.optional(z.object({ runId: z.string(), rows: z.number(), requestedAt: z.string() })),
  nextRunAt: z.optional(z.string()),
});

const { name: dataset, publish } = defaultDataset;
const latest = keys.latestReport(dataset);
const noon = Date.parse("2026-11-23T12:00:00Z");
const local = useLocal(() => noon);

let queuePair: ReturnType<TestLocal["queuePair"]>;
let deps: RendererDeps;
beforeEach(() => {
  queuePair = local.queuePair("renderer");
  deps = {
    work: local.store(),
    data: local.store(),
    results: local.store({ keepsVersions: true }),
    datasets,
    isScheduled: false,
    audience: "full",
    now: () => new Date(noon),
  };
});

const idOf = (n: number) => `${dataset}-00000000000${n}`;
const keyOf = (n: number) => keys.runReport(dataset, idOf(n));
const at = (minute: number) => `2026-11-23T11:0${minute}:00Z`;

/** Stores the result of run n, which was requested n minutes after 11:00. */
async function putResult(n: number, given: Partial<RunResult> = {}): Promise<void> {
  const result = { ...firstResultOf({ runId: idOf(n), requestedAt: at(n), finishedAt: at(n) }), ...given };
  await deps.work.put(keys.result(idOf(n)), JSON.stringify(result), "application/json");
}
async function putProfile(n: number, rows: number): Promise<void> {
  const range = { from: "2026-01-01", to: "2026-01-02", firstWeek: "2023-07-10" };
  const counts = { rows, undated: 0, days: [rows, 0], weeks: [], hours: [], columns: [] };
  const profile: Profile = { ...range, ...counts };
  await deps.work.put(keys.profile(idOf(n)), JSON.stringify(profile), "application/json");
}
/** Publishes a file of three rows. */
const putFile = (n: number, requestedAt = at(n)) =>
  overwrite(deps.data, publish.csv, "_id\n1\n2\n3\n", { "run-id": idOf(n), "requested-at": requestedAt });

type Ended = Extract<EventType, "results.published" | "run.held" | "run.failed">;
async function handle(type: Ended, n: number) {
  const run = { runId: idOf(n), dataset };
  const body =
    type === "results.published"
      ? eventMessage(type, { ...run, queryExecutionId: "q", bucket: "results", key: "r", rows: 1 })
      : eventMessage(type, { ...run, reason: "A reason." });
  await queuePair.source.send(body);
  const messages = await queuePair.source.receive({ max: 1, visibilitySeconds: 60, waitSeconds: 0 });
  return outcomeOf(await runService(rendererService, deps, queuePair, messages));
}
const read = (key: string) => deps.results.getText(key);
const reportIn = async (key: string) => rendered.parse(JSON.parse((await read(key)) ?? ""));
const latestRun = async () => (await reportIn(latest)).result.runId;

test("published results become the run's report and the latest one, as HTML", async () => {
  await putResult(1);
  await putProfile(1, 3);
  await putFile(1);
  expect(await handle("results.published", 1)).toBe("done");
  expect(await reportIn(keyOf(1))).toMatchObject({
    result: { runId: idOf(1), state: "published" },
    profile: { rows: 3 },
  });
  expect(await read(latest)).toBe(await read(keyOf(1)));
  for (const key of [keyOf(1), latest])
    expect((await deps.results.head(key))?.contentType).toBe("text/html; charset=utf-8");
});

test("results of the de-identified file have no report of their own", async () => {
  await putResult(1);
  const run = { runId: idOf(1), dataset: `${dataset}-deidentified` };
  expect(await writeReport(run, deps)).toBeUndefined();
  expect(await read(latest)).toBeUndefined();
});

test("the report is for the stage's audience", async () => {
  deps.audience = "deidentified";
  const text = '"Comments/Notes" has a new answer: "MARKED"';
  await putResult(1, { violations: [{ kind: "expectation", text }] });
  await putFile(1);
  await handle("results.published", 1);
  expect(await read(latest)).toContain("a column that this report hides is affected");
});

test("the report of a publication has the profile of the one that it replaced, and no other file that readers see", async () => {
  await putResult(2, { previous: { rows: 5, requestedAt: at(1), runId: idOf(1) } });
  await putProfile(1, 5);
  await putFile(2);
  await handle("results.published", 2);
  const { profile, previous, live } = await reportIn(keyOf(2));
  expect([profile, previous?.rows, live]).toEqual([undefined, 5, undefined]);
});

test("the report does without a profile that another version of the pipeline stored", async () => {
  await putResult(2, { previous: { rows: 5, requestedAt: at(1), runId: idOf(1) } });
  await deps.work.put(keys.profile(idOf(1)), '{"rows":5}', "application/json");
  await putFile(2);
  await handle("results.published", 2);
  expect((await reportIn(keyOf(2))).previous).toBeUndefined();
});

test.each([
  ["run.held", "held"],
  ["run.failed", "failed"],
] as const)("after %s the report names the file that readers still see", async (type, state) => {
  await putResult(1, { rows: 7 });
  await putProfile(1, 7);
  // Rolled back.
  await putFile(1, at(3));
  await putResult(2, { state });
  expect(await handle(type, 2)).toBe("done");
  expect(await reportIn(latest)).toMatchObject({
    result: { runId: idOf(2), state },
    previous: { rows: 7 },
    live: { runId: idOf(1), rows: 7, requestedAt: at(1) },
  });
});

test("the rows of the live file are counted if the result of its run has expired", async () => {
  await putFile(1);
  await putResult(2, { state: "failed" });
  await handle("run.failed", 2);
  expect((await reportIn(latest)).live).toEqual({ runId: idOf(1), rows: 3, requestedAt: at(1) });
});

test("a first run that is held names no live file, and one beside a file that no run wrote names that file", async () => {
  await putResult(1, { state: "held" });
  await handle("run.held", 1);
  await overwrite(deps.data, publish.csv, "_id\n1\n", { "requested-at": "yesterday" });
  await putResult(2, { state: "held" });
  await handle("run.held", 2);
  const live = { runId: "none", rows: 1, requestedAt: new Date(noon).toISOString() };
  expect([(await reportIn(keyOf(1))).live, (await reportIn(keyOf(2))).live]).toEqual([undefined, live]);
});

test("the next run is that of the schedule after the run, and unknown on a stage without schedules", async () => {
  await putResult(1);
  await handle("results.published", 1);
  deps.isScheduled = true;
  await putResult(2);
  await handle("results.published", 2);
  // Mondays at 6:00 in New York. The run ended on a Monday at 6:02.
  expect([(await reportIn(keyOf(1))).nextRunAt, (await reportIn(keyOf(2))).nextRunAt]).toEqual([
    undefined,
    "2026-11-30T11:00:00.000Z",
  ]);
});

test("a message that is delivered again gives the same bytes, although everything that it reads has changed", async () => {
  await putResult(1, { state: "held" });
  await putProfile(1, 3);
  await handle("run.held", 1);
  const first = await read(keyOf(1));
  await putFile(2);
  await putProfile(1, 4);
  deps.isScheduled = true;
  expect(await handle("run.held", 1)).toBe("done");
  expect([await read(keyOf(1)), await read(latest)]).toEqual([first, first]);
  expect(await deps.results.listVersions(keyOf(1), 9)).toHaveLength(1);
});

test("a held run that a person publishes gets another report, which a late message does not change", async () => {
  await putResult(1, { state: "held" });
  await handle("run.held", 1);
  await putResult(1, { force: "two branches closed", finishedAt: at(5) });
  await putFile(1);
  await handle("results.published", 1);
  await handle("run.held", 1);
  for (const key of [keyOf(1), latest]) expect((await reportIn(key)).result.state).toBe("published");
});

test("a report that another call replaces meanwhile is not replaced by an earlier one", async () => {
  await putResult(1, { state: "held" });
  const { results } = deps;
  let isFirst = true;
  deps.results = before(results, "upload", async () => {
    if (!isFirst) return;
    isFirst = false;
    await putResult(1, { finishedAt: at(5) });
    await handle("results.published", 1);
  });
  expect(await handle("run.held", 1)).toBe("done");
  expect((await reportIn(keyOf(1))).result.state).toBe("published");
});

test("the latest report is never replaced by that of an earlier request", async () => {
  for (const n of [1, 2]) await putResult(n);
  await handle("results.published", 2);
  expect(await handle("results.published", 1)).toBe("done");
  expect([await latestRun(), (await reportIn(keyOf(1))).result.runId]).toEqual([idOf(2), idOf(1)]);
});

test("after a rollback the latest report is that of the restored run, until a later run ends", async () => {
  for (const n of [1, 2]) {
    await putResult(n);
    await putFile(n);
    await handle("results.published", n);
  }
  const report = await read(keyOf(1));
  // A rollback counts as requested when it happens. The work bucket may no longer have the run.
  await putFile(1, at(4));
  deps.work = local.store();
  expect(await handle("results.published", 1)).toBe("done");
  await handle("results.published", 2);
  expect(await read(latest)).toBe(report);
  await putResult(5, { state: "failed" });
  await handle("run.failed", 5);
  expect(await latestRun()).toBe(idOf(5));
});

test("a superseded run has no report", async () => {
  await putResult(1, { state: "superseded" });
  expect(await handle("run.held", 1)).toBe("done");
  expect([await read(keyOf(1)), await read(latest)]).toEqual([undefined, undefined]);
});

test("a run whose result has expired becomes a dead letter that says what is lost", async () => {
  expect(await handle("run.failed", 1)).toBe("dead letter");
  const [letter] = await take(queuePair.deadLetters);
  expect(letter?.attributes).toMatchObject({
    Error: "ResultMissing",
    ErrorText: `The run's result is not in the work bucket, where runs expire after 30 days. Only this report is lost. Archive the dead letter. (run ${idOf(1)})`,
  });
});
