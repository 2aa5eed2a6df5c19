// Tests the fetcher against the simulated LibInsight over HTTP.
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { fetchPage, rangeRequest } from "../../../services/fetcher/fetch.ts";
import { changedWindows } from "../../../services/fetcher/search.ts";
import { fetcherService } from "../../../services/fetcher/service.ts";
import { transformerService } from "../../../services/transformer/service.ts";
import { transform } from "../../../services/transformer/transform.ts";
import { realSleep } from "../../../shared/clock.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { parseJson } from "../../../shared/json.ts";
import { keys } from "../../../shared/keys.ts";
import { libInsightClient } from "../../../shared/libinsight/client.ts";
import {
  type FetchTask,
  type PageMessage,
  pageAddress,
  pageMessage,
  type RecountTask,
  storedPage,
} from "../../../shared/messages.ts";
import { decodePart } from "../../../shared/part.ts";
import { messageBody } from "../../../shared/ports.ts";
import { piecesOf } from "../../../shared/ranges.ts";
import { periodRecount, rangeSplit } from "../../../shared/run.ts";
import { receiveLimit } from "../../../shared/topology.ts";
import {
  type LibInsight,
  type LibInsightSettings,
  startLibInsight,
} from "../../../stacks/local/libinsight.ts";
import { recordOf, recordsOf } from "../../factories/libinsight-records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { startHttpServer } from "../../support/http-server.ts";
import { clientOf } from "../../support/libinsight-client.ts";
import { receive, runService, takeJson, takeTasks, useLocal } from "../../support/local-adapters.ts";

const local = useLocal();

/** Starts a site with two records per page. All records are in the window of `run`, on the given days of May. */
async function start(days: number[], settings: LibInsightSettings = {}) {
  const site = await startLibInsight({ records: 0, pageSize: 2, ...settings });
  onTestFinished(() => site.close());
  for (const [index, day] of days.entries()) addRecord(site, index + 1, day);
  return {
    site,
    libInsight: libInsightClient(site),
    work: local.store(),
    datasets,
    fetcherQueue: local.queue("fetcher"),
    transformerQueue: local.queue("transformer"),
    assemblerQueue: local.queue("assembler"),
  };
}
type Deps = Awaited<ReturnType<typeof start>>;

function addRecord(site: LibInsight, id: number, day: number, comment = "asked the way") {
  site.add(
    recordOf(id, {
      _start_date: `2023-05-${String(day).padStart(2, "0")} 10:00:00`,
      "Comments/Notes": comment,
    }),
  );
}

const run = runOf("fetch");
/** One day of the run's window, which is paged if it does not fit one page. */
const day = { from: "2023-05-04", to: "2023-05-04" };
const dayTask = (at: Parameters<typeof taskOf>[1] = {}): FetchTask => ({ ...taskOf(run, at), range: day });
const splitOf = (task: FetchTask, { work }: Pick<Deps, "work">) =>
  work.getJson(keys.split(pageAddress({ ...task, pages: undefined })), rangeSplit);
const sizeOf = async (task: FetchTask, { work }: Pick<Deps, "work">) =>
  (await work.head(keys.part(pageAddress(task))))?.bytes;

async function pageIn({ transformerQueue }: Deps): Promise<PageMessage> {
  const [message, ...others] = await takeJson(transformerQueue);
  expect(others).toEqual([]);
  return pageMessage.parse(message);
}

const tasksIn = ({ fetcherQueue }: Deps) => takeTasks(fetcherQueue);

async function expectNothingWritten(deps: Deps) {
  expect(await deps.work.list("", 10)).toEqual([]);
  expect(await tasksIn(deps)).toEqual([]);
  expect(await takeJson(deps.transformerQueue)).toEqual([]);
}

const ids = z.array(z.object({ _id: z.number() }));
const idsOf = (records: unknown[]) => ids.parse(records).map(({ _id }) => _id);

/** Returns the ids of the records in a page's message. */
function inlineIds({ records }: PageMessage): number[] {
  if ("inline" in records) return idsOf(records.inline);
  throw new Error("The records are not in the message.");
}

describe("a range", () => {
  test("is one page if it fits, without any other object", async () => {
    const deps = await start([1, 2]);
    await fetchPage(taskOf(run), deps);
    const page = await pageIn(deps);
    expect(page).toMatchObject({ task: taskOf(run), totals: { totalPages: 1, totalRecords: 2 } });
    expect(inlineIds(page)).toEqual([1, 2]);
    expect(await tasksIn(deps)).toEqual([]);
    expect(await deps.work.list("", 10)).toEqual([]);
  });

  test("is one page without records if it is empty", async () => {
    const deps = await start([]);
    await fetchPage(taskOf(run), deps);
    expect(await pageIn(deps)).toEqual({
      task: taskOf(run),
      totals: { totalPages: 0, totalRecords: 0 },
      records: { inline: [] },
    });
    expect(await tasksIn(deps)).toEqual([]);
  });

  test("is enqueued without the records on the forgotten list, whose ids are counted", async () => {
    const deps = await start([1, 2], { pageSize: 5 });
    addRecord(deps.site, 3, 3);
    await deps.work.putOnce(keys.forgotten(run.dataset), { ids: [3, 99], before: "2023-05-02" });
    expect(await fetchPage(taskOf(run), deps)).toMatchObject({ records: 3 });
    const page = await pageIn(deps);
    expect(page).toMatchObject({ totals: { totalPages: 1, totalRecords: 3 }, forgotten: [1, 3] });
    expect(inlineIds(page)).toEqual([2]);
    await deps.work.put(keys.forgotten(run.dataset), JSON.stringify({ ids: [99] }), "application/json");
    await fetchPage(taskOf(run), deps);
    expect(await pageIn(deps)).not.toHaveProperty("forgotten");
    // Without the list, nothing says which records may be stored.
    await deps.work.put(keys.forgotten(run.dataset), "{}", "application/json");
    await expect(fetchPage(taskOf(run), deps)).rejects.toThrow();
    expect(await takeJson(deps.transformerQueue)).toEqual([]);
  });

  test("is split if it does not fit: stores the pieces, marks the range and enqueues the pieces", async () => {
    const deps = await start([1, 2, 3, 4, 5]);
    const task = taskOf(run, { attempt: 2 });
    await fetchPage(task, deps);
    const totals = { totalPages: 3, totalRecords: 5 };
    const pieces = piecesOf(task.range, totals);
    expect(pieces).toHaveLength(2);
    expect(await takeJson(deps.transformerQueue)).toEqual([]);
    expect(await tasksIn(deps)).toEqual(pieces.map((range) => ({ ...task, range })));
    expect(await splitOf(task, deps)).toEqual({ totals, pieces });
    expect(await sizeOf(task, deps)).toBe(0);
  });

  test("is paged if it is a day that does not fit", async () => {
    const deps = await start([4, 4, 4, 4, 4]);
    await fetchPage(dayTask(), deps);
    const page = await pageIn(deps);
    expect(page).toMatchObject({ task: dayTask({ pages: 3 }), totals: { totalPages: 3, totalRecords: 5 } });
    expect(inlineIds(page)).toEqual([1, 2]);
    expect(await tasksIn(deps)).toEqual([2, 3].map((page) => dayTask({ page, pages: 3 })));
    expect(await splitOf(dayTask(), deps)).toEqual({ totals: { totalPages: 3, totalRecords: 5 } });
    expect(await sizeOf(dayTask(), deps)).toBe(0);
  });

  test("keeps the first split if it is fetched again with other totals, and enqueues the same pieces", async () => {
    const deps = await start([4, 4, 4]);
    await fetchPage(dayTask(), deps);
    const second = dayTask({ page: 2, pages: 2 });
    expect(await tasksIn(deps)).toEqual([second]);
    await pageIn(deps);
    for (const id of [4, 5, 6]) addRecord(deps.site, id, 4);
    await fetchPage(dayTask(), deps);
    expect(await splitOf(dayTask(), deps)).toEqual({ totals: { totalPages: 2, totalRecords: 3 } });
    expect(await tasksIn(deps)).toEqual([second]);
    // The page has its own totals, so that the assembler detects the change.
    expect(await pageIn(deps)).toMatchObject({
      task: { pages: 2 },
      totals: { totalPages: 3, totalRecords: 6 },
    });
  });

  test("stays split if it fits when it is fetched again, because a handler may have died before it sent the pieces", async () => {
    const deps = await start([1, 20, 21]);
    await fetchPage(taskOf(run), deps);
    const pieces = await tasksIn(deps);
    deps.site.remove(3);
    await fetchPage(taskOf(run), deps);
    expect(await tasksIn(deps)).toEqual(pieces);
    expect(await takeJson(deps.transformerQueue)).toEqual([]);
  });

  test("is not split if it was transformed as one page before", async () => {
    const deps = await start([1, 2]);
    const { work } = deps;
    await fetchPage(taskOf(run), deps);
    await transform(await pageIn(deps), { work, datasets });
    addRecord(deps.site, 3, 3);
    expect(await fetchPage(taskOf(run), deps)).toMatchObject({ pieces: 0 });
    expect(await sizeOf(taskOf(run), deps)).toBeGreaterThan(0);
    expect(await tasksIn(deps)).toEqual([]);
    expect(await takeJson(deps.transformerQueue)).toEqual([]);
  });

  test("fails and writes nothing if a day has more than 100,000 pages", async () => {
    const deps = await start([]);
    const totals = { totalPages: 100_001, totalRecords: 10_000_100 };
    const page = { records: recordsOf(1, 100), totals };
    const libInsight = clientOf(async () => page);
    await expect(fetchPage(dayTask(), { ...deps, libInsight })).rejects.toMatchObject({
      name: "DayTooLarge",
      kind: "terminal",
      ids: { run: run.runId, window: 1 },
    });
    await expectNothingWritten(deps);
  });
});

describe("contradictory totals", () => {
  test.each([
    [7, 450, 100],
    [8, 450, 75],
    [3, 100, 100],
    [2, 0, 0],
    [99_999, 450, 0],
  ])(
    "rejects %i pages for %i records, %i on page 1, after one request and writes nothing",
    async (...announced) => {
      const [totalPages, totalRecords, found] = announced;
      const deps = await start([]);
      let requests = 0;
      const fetched = async () => {
        requests += 1;
        return { records: recordsOf(1, found), totals: { totalPages, totalRecords } };
      };
      const libInsight = clientOf(fetched);
      await expect(fetchPage(taskOf(run), { ...deps, libInsight })).rejects.toMatchObject({
        name: "LibInsightTotalsContradict",
        kind: "transient",
        message: `LibInsight announced ${totalPages} pages for ${totalRecords} records, and page 1 has ${found}.`,
        ids: { run: run.runId, window: 1 },
      });
      expect(requests).toBe(1);
      await expectNothingWritten(deps);
    },
  );

  test.each([
    [5, 450, 100],
    // An empty page may follow a full one.
    [6, 450, 100],
    [2, 100, 100],
    [1, 0, 0],
    [1, 5, 5],
    // Too few pages are detected when the records are counted.
    [1, 450, 100],
  ])("accepts %i pages for %i records, %i on page 1", async (totalPages, totalRecords, found) => {
    const deps = await start([]);
    const fetched = { records: recordsOf(1, found), totals: { totalPages, totalRecords } };
    await fetchPage(dayTask(), { ...deps, libInsight: clientOf(async () => fetched) });
    const { task } = await pageIn(deps);
    expect(task.pages ?? 1).toBe(totalPages);
    expect(await tasksIn(deps)).toHaveLength(totalPages - 1);
  });
});

describe("a later page of a day", () => {
  test("is requested by dates, page number, dataset and request id, and enqueues nothing else", async () => {
    const deps = await start([4, 4, 4, 4, 4]);
    const task = dayTask({ page: 3, pages: 3 });
    await fetchPage(task, deps);
    const page = await pageIn(deps);
    expect(page).toMatchObject({ task, totals: { totalPages: 3, totalRecords: 5 } });
    expect(inlineIds(page)).toEqual([5]);
    expect(deps.site.requests.filter(({ path }) => path.endsWith("/data-grid"))).toEqual([
      {
        method: "GET",
        path: "/v1.0/custom-dataset/28364/data-grid",
        query: { ...day, page: "3", sort: "asc", entered_by: "all", request_id: "16" },
        status: 200,
      },
    ]);
    await expectNothingWritten(deps);
  });

  test("is enqueued without records and with the current totals if LibInsight no longer has it", async () => {
    const deps = await start([4, 4, 4, 4, 4]);
    deps.site.remove(1);
    await fetchPage(dayTask({ page: 3, pages: 3 }), deps);
    expect(await pageIn(deps)).toMatchObject({
      task: { page: 3, pages: 3 },
      totals: { totalPages: 2, totalRecords: 4 },
      records: { inline: [] },
    });
  });
});

describe("a page too large for a message", () => {
  // The limit counts bytes, and this character has three in UTF-8.
  const comment = "図".repeat(200_000);

  test("stores its records in the work bucket", async () => {
    const deps = await start([]);
    for (const id of [1, 2]) addRecord(deps.site, id, id, comment);
    await fetchPage(taskOf(run), deps);
    const page = await pageIn(deps);
    const key = keys.page(pageAddress(taskOf(run)));
    expect(page.records).toEqual({ key });
    expect(idsOf((await deps.work.getJson(key, storedPage)) ?? [])).toEqual([1, 2]);
  });

  test("keeps records that fit in the message", async () => {
    const deps = await start([]);
    addRecord(deps.site, 1, 1, comment);
    await fetchPage(taskOf(run), deps);
    expect(inlineIds(await pageIn(deps))).toEqual([1]);
  });
});

describe.each([
  ["in its message", "asked the way"],
  ["in the work bucket", "long ".repeat(200_000)],
])("a page stored %s", (_where, comment) => {
  test("keeps every digit of a number, and both values of a repeated label", async () => {
    const deps = await start([]);
    const { part } = await transformed(deps, [
      `{"_id":1,"_start_date":"2023-05-01 10:00:00","Comments/Notes":${JSON.stringify(comment)},
        "Long":12345678901234567890,"Longer":0.1234567890123456789,"Twice":"one","Twice":"two"}`,
    ]);
    const row = z.record(z.string(), z.unknown()).parse(JSON.parse(part.jsonl));
    expect(row).toMatchObject({
      Long: "12345678901234567890",
      Longer: "0.1234567890123456789",
      Twice: "one",
      "Twice (2)": "two",
    });
  });

  test("keeps fields whose labels contain a lone surrogate, U+0000 or U+FFFF", async () => {
    const deps = await start([]);
    const { part } = await transformed(deps, [
      `{"_id":1,"_start_date":"2023-05-01 10:00:00","Comments/Notes":${JSON.stringify(comment)},
        "Half\\ud800":"a","Half":"b","Nul\\u0000":"c","Last\uffff":"d"}`,
    ]);
    const headers = ["Half", "Half (2)", "Last\uffff", "Nul"];
    expect(part.summary.appended).toEqual(headers);
    expect(headers.map((header) => part.summary.undeclared[header])).toEqual([1, 1, 1, 1]);
    for (const value of ["a", "b", "c", "d"]) expect(part.jsonl).toContain(`:"${value}"`);
  });
});

const recordWith = (id: number, fields: string) =>
  `{"_id":${id},"_start_date":"2023-05-01 10:00:00",${fields}}`;
const nested = (levels: number) => `"Nested":${"[".repeat(levels)}${"]".repeat(levels)}`;
const wide = (fields: number) => Array.from({ length: fields }, (_, n) => `"f${n}":${n}`).join();

describe("the limits of a record", () => {
  test.each([
    ["larger than 1 MiB", `"Comments/Notes":"${"long ".repeat(250_000)}"`],
    ["larger than 1 MiB", `"Comments/Notes":"${"図".repeat(400_000)}"`],
    ["more than 1,000 fields", wide(999)],
    ["more than 1,000 fields", wide(20_000)],
    ["larger than 1 MiB", wide(1_000_000)],
    ["nested more than 100 levels", nested(100)],
    ["nested more than 100 levels", nested(3_000)],
    ["nested more than 100 levels", nested(100_000)],
  ])("rejects only the record that exceeds them: %s", async (reason, fields) => {
    const deps = await start([]);
    const records = [recordWith(1, '"who":["Staff"]'), recordWith(2, fields), recordWith(3, '"who":"x"')];
    const { part, rejects, page } = await transformed(deps, records);
    expect(page.leftOut).toEqual([{ index: 1, reason, id: 2 }]);
    expect(part.summary).toMatchObject({ records: 3, ids: [1, 3], rejects: { [reason]: 1 } });
    expect(rejects).toBe(`${JSON.stringify({ reason, _id: 2 })}\n`);
  });

  test.each([
    ["a text of a megabyte", `"Comments/Notes":"${"long ".repeat(200_000)}"`],
    ["1,000 fields", wide(998)],
    ["100 levels", nested(99)],
  ])("accepts a record with %s", async (_what, fields) => {
    const { part, page } = await transformed(await start([]), [recordWith(1, fields)]);
    expect(page.leftOut).toBeUndefined();
    expect(part.summary).toMatchObject({ ids: [1], rejects: {} });
  });

  test("rejects the records beyond the first 8 MiB of a page", async () => {
    const deps = await start([]);
    const comment = "x".repeat(1_000_000);
    const records = Array.from({ length: 100 }, (_, n) => recordWith(n + 1, `"Comments/Notes":"${comment}"`));
    const { part } = await transformed(deps, records);
    expect(part.summary).toMatchObject({
      records: 100,
      ids: [1, 2, 3, 4, 5, 6, 7, 8],
      rejects: { "beyond the 8 MiB of a page": 92 },
    });
  });
});

test("fetches every page within the receive limit if eight fetchers invalidate each other's tokens", async () => {
  const latencyMs = 5;
  const deps = await start([], { records: 5_000, pageSize: 50, newestTokenOnly: true, latencyMs });
  const queuePair = local.queuePair("fetcher");
  const windows = runOf("tokens", { windows: [["2021-12-02", "2022-12-01"]] });
  await queuePair.source.send(messageBody(taskOf(windows)));
  const { range } = taskOf(windows);
  const expected = (await deps.libInsight.recount(rangeRequest(range, defaultDataset))).totalRecords ?? 0;
  // The waits are scaled to this server's latency, which is 5 ms instead of about half a second.
  const sleep = (ms: number) => realSleep(ms / 25);
  const process = async () => {
    const libInsight = libInsightClient({ ...deps.site, sleep });
    for (;;) {
      const messages = await queuePair.source.receive({ max: 1, visibilitySeconds: 60, waitSeconds: 0 });
      if (messages.length === 0 && fetchedRecords() === expected) return;
      const services = { ...deps, libInsight, fetcherQueue: queuePair.source, measure: () => {} };
      const { deadLetters } = await runService(fetcherService, services, queuePair, messages);
      dead.push(...deadLetters);
      for (const body of await takeJson(deps.transformerQueue)) {
        const page = pageMessage.parse(body);
        fetched.set(
          keys.part(pageAddress(page.task)),
          "inline" in page.records ? page.records.inline.length : 0,
        );
      }
      if (dead.length > 0) return;
      await realSleep(latencyMs);
    }
  };
  const fetched = new Map<string, number>();
  const fetchedRecords = () => [...fetched.values()].reduce((sum, records) => sum + records, 0);
  const dead: string[] = [];
  await Promise.all(Array.from({ length: 8 }, process));
  expect(dead).toEqual([]);
  expect(fetched.size).toBeGreaterThan(30);
  expect(fetchedRecords()).toBe(expected);
  // Otherwise the clients did not compete.
  expect(deps.site.requests.filter(({ status }) => status === 401).length).toBeGreaterThan(8);
});

test("dead-letters a task at the receive limit if every token is refused, with the permission to check", async () => {
  const deps = await start([1], {
    faults: [{ kind: "unauthorized", where: { endpoint: "data-grid" }, times: 1_000 }],
  });
  const libInsight = libInsightClient({ ...deps.site, sleep: async () => {} });
  const queuePair = local.queuePair("fetcher");
  await queuePair.source.send(messageBody(taskOf(run)));
  const outcomes: unknown[] = [];
  for (let receives = 1; receives <= receiveLimit; receives++) {
    const services = { ...deps, libInsight, measure: () => {} };
    outcomes.push(await runService(fetcherService, services, queuePair, await receive(queuePair.source)));
  }
  expect(outcomes.slice(0, -1)).toMatchObject(Array(receiveLimit - 1).fill({ retried: [expect.anything()] }));
  const [dead] = await receive(queuePair.deadLetters);
  expect(dead?.attributes).toMatchObject({
    Error: "LibInsightTokenRefused",
    ErrorText: expect.stringContaining("API application may read this dataset"),
  });
});

/** Fetches a page of records, given as JSON, and transforms it after it passed through its queue. */
async function transformed(deps: Deps, records: readonly string[]) {
  const site = await startHttpServer(({ path }, response) => {
    const token = '{"access_token":"t","expires_in":3600}';
    const totals = `"total_pages":1,"total_records":${records.length}`;
    const page = `{"type":"success","payload":{"records":[${records.join()}],${totals}}}`;
    response.setHeader("content-type", "application/json").end(path.endsWith("token") ? token : page);
  });
  const libInsight = libInsightClient({ baseUrl: site.url, clientId: "id", clientSecret: "secret" });
  const queuePair = local.queuePair("transformer");
  await fetchPage(taskOf(run), { ...deps, libInsight, transformerQueue: queuePair.source });
  const [message] = await receive(queuePair.source);
  if (!message) throw new Error("No page was enqueued.");
  const page = pageMessage.parse(parseJson(message.body));
  const address = pageAddress(taskOf(run));
  await deps.work.putOnce(keys.run(run.runId), run);
  const services = { ...deps, emit: async () => {} };
  expect(await runService(transformerService, services, queuePair, [message])).toMatchObject({
    done: [message.id],
  });
  const key = keys.part(address);
  const { summary, csv, jsonl } = decodePart(key, (await deps.work.getBytes(key)) ?? new Uint8Array());
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("utf8");
  const rejects = await deps.work.getText(keys.rejects(address));
  return { page, rejects, part: { summary, csv: text(csv), jsonl: text(jsonl) } };
}

test("counts failed requests by error name and writes nothing for them", async () => {
  const where = { endpoint: "data-grid" } as const;
  const deps = await start([1], {
    faults: [
      { kind: "status", status: 503, where },
      { kind: "rate-limited", where },
      { kind: "status", status: 403, where },
    ],
  });
  const counted: unknown[] = [];
  const measure = (...numbers: unknown[]) => counted.push(numbers);
  const queuePair = local.queuePair("fetcher");
  const deliver = async () =>
    runService(fetcherService, { ...deps, measure }, queuePair, await receive(queuePair.source));
  await queuePair.source.send(messageBody(taskOf(run)));
  expect(await deliver()).toMatchObject({ retried: [expect.anything()] });
  expect(await deliver()).toMatchObject({ retried: [expect.anything()] });
  expect(await deliver()).toMatchObject({ deadLetters: [expect.anything()] });
  await expectNothingWritten(deps);
  await queuePair.source.send(messageBody(taskOf(run)));
  expect(await deliver()).toMatchObject({ done: [expect.anything()] });
  expect(inlineIds(await pageIn(deps))).toEqual([1]);
  expect(await tasksIn(deps)).toEqual([]);
  const failures = ["LibInsightServerError", "LibInsightRateLimited", "LibInsightAccessDenied"];
  expect(counted).toEqual(
    failures.map((error) => [{ LibInsightErrors: 1 }, { dataset: "reference-transactions", error }]),
  );
});

describe("the recount of a period", () => {
  const twoPeriods = runOf("recount", {
    windows: [
      ["2023-05-01", "2023-05-01"],
      ["2023-05-02", "2023-05-31"],
    ],
  });
  const { runId, dataset, periods } = twoPeriods;

  async function deliver(deps: Deps, ...numbers: number[]) {
    const queuePair = local.queuePair("fetcher");
    for (const period of periods.filter(({ number }) => numbers.includes(number))) {
      const task: RecountTask = { runId, dataset, attempt: 2, period, periods: 2 };
      await queuePair.source.send(messageBody(task));
    }
    await runService(
      fetcherService,
      { ...deps, measure: () => {} },
      queuePair,
      await receive(queuePair.source),
    );
    return takeJson(deps.assemblerQueue);
  }

  test("stores the current totals but no page, and enqueues the run after the last period", async () => {
    const deps = await start([1, 2, 3, 3]);
    expect(await deliver(deps, 1)).toEqual([]);
    expect(await deliver(deps, 2)).toEqual([{ runId, dataset, attempt: 2 }]);
    const totals = [1, 2].map((period) => deps.work.getJson(keys.recount(runId, 2, period), periodRecount));
    expect(await Promise.all(totals)).toMatchObject([
      { totalRecords: 1, spans: [{ name: "recount 1/2" }] },
      { totalRecords: 3, spans: [{ name: "recount 2/2" }] },
    ]);
    expect(await tasksIn(deps)).toEqual([]);
    expect(await takeJson(deps.transformerQueue)).toEqual([]);
  });

  test("keeps the first totals and enqueues the run once if a recount is delivered twice", async () => {
    const deps = await start([1, 2]);
    expect(await deliver(deps, 1, 2)).toHaveLength(1);
    addRecord(deps.site, 3, 2);
    expect(await deliver(deps, 2)).toEqual([]);
    expect(await deps.work.getJson(keys.recount(runId, 2, 2), periodRecount)).toMatchObject({
      totalRecords: 1,
    });
  });
});

describe("the search for changed windows", () => {
  test("fetches the windows again whose number of records changed, and those that were named", async () => {
    const days = Array.from({ length: 31 }, (_, index) => `2023-05-${String(index + 1).padStart(2, "0")}`);
    const searched = {
      ...runOf("search", { windows: days.map((day): [string, string] => [day, day]) }),
      periods: [{ number: 1, from: "2023-05-01", to: "2023-05-31" }],
    };
    const { runId, dataset } = searched;
    const deps = await start([1, 1, 4, 20, 20, 31]);
    const { work } = deps;
    await work.putOnce(keys.run(runId), searched);
    const windows = searched.windows.map((window) => ({ ...window, records: 0 }));
    // All were read as they are now, except that 4 May had no record and 20 May had four.
    for (const [number, records] of [
      [1, 2],
      [20, 4],
      [31, 1],
    ] as const)
      Object.assign(windows[number - 1] ?? {}, { records });
    const wanted = { attempt: 2, windows: [7], periods: [{ counted: 6, windows }], because: ["changed"] };
    await work.putOnce(keys.search(runId, 2), wanted);
    const queuePair = local.queuePair("fetcher");
    const deliver = async () => {
      await queuePair.source.send(messageBody({ runId, dataset, attempt: 2, search: true }));
      await runService(
        fetcherService,
        { ...deps, measure: () => {} },
        queuePair,
        await receive(queuePair.source),
      );
      return tasksIn(deps);
    };
    const found = await deliver();
    expect(found.map(({ window, attempt }) => [window.number, attempt])).toEqual([
      [4, 2],
      [7, 2],
      [20, 2],
    ]);
    expect(found.map(({ last }) => last.number)).toEqual([20, 20, 20]);
    // A second delivery finds the first decision, although LibInsight has changed again.
    deps.site.remove(1);
    expect(await deliver()).toEqual(found);
  });

  test("finds every window whose number changed if no two changes compensate each other, with few requests", async () => {
    const counts = fc.array(fc.record({ before: fc.nat(3), added: fc.nat(2) }), {
      minLength: 1,
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(counts, async (given) => {
        const windows = given.map(({ before }, index) => {
          return { number: index + 1, from: "2023-05-01", to: "2023-05-01", records: before };
        });
        const now = (of: readonly { number: number }[]) =>
          of.reduce(
            (sum, { number }) => sum + (given[number - 1]?.before ?? 0) + (given[number - 1]?.added ?? 0),
            0,
          );
        let requests = 0;
        const found = await changedWindows([{ windows, counted: now(windows) }], async (of) => {
          requests += 1;
          return now(of);
        });
        const changed = windows.filter((_, index) => given[index]?.added !== 0).map(({ number }) => number);
        expect(found).toEqual(changed);
        expect(requests).toBeLessThanOrEqual(changed.length * Math.ceil(Math.log2(given.length) + 1));
      }),
    );
  });

  test("returns all windows of a part that it cannot count any more", async () => {
    const windows = [1, 2, 3, 4].map((number) => ({
      number,
      from: "2023-05-01",
      to: "2023-05-01",
      records: 1,
    }));
    expect(await changedWindows([{ windows, counted: 5 }], async () => undefined)).toEqual([1, 2, 3, 4]);
  });
});
