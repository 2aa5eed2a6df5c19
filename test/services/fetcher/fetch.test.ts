// The fetcher against the simulated LibInsight over HTTP, and real SQS and S3.
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { fetchPage } from "../../../services/fetcher/fetch.ts";
import { transform } from "../../../services/transformer/transform.ts";
import { messageBody } from "../../../shared/aws/queue.ts";
import { keys } from "../../../shared/keys.ts";
import { libInsightClient } from "../../../shared/libinsight/client.ts";
import { fetchTask, pageMessage, storedPage } from "../../../shared/messages.ts";
import { pageSummary, windowTotals } from "../../../shared/run.ts";
import {
  type LibInsight,
  type LibInsightSettings,
  startLibInsight,
} from "../../../stacks/local/libinsight.ts";
import { recordOf } from "../../factories/records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import {
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

/** A site whose records all lie in the window of `run`, on the given days of May. */
async function start(days: number[], settings: LibInsightSettings = {}) {
  const site = await startLibInsight({ records: 0, pageSize: 2, ...settings });
  onTestFinished(() => site.close());
  for (const [index, day] of days.entries()) addRecord(site, index + 1, day);
  return {
    site,
    libInsight: libInsightClient(site),
    work: await aws.bucket(),
    fetcherQueue: await aws.queue(),
    transformerQueue: await aws.queue(),
  };
}

function addRecord(site: LibInsight, id: number, day: number, comment = "asked the way") {
  site.add(
    recordOf(id, {
      _start_date: `2023-05-${String(day).padStart(2, "0")} 10:00:00`,
      "Comments/Notes": comment,
    }),
  );
}

type Effects = Awaited<ReturnType<typeof start>>;
const run = runOf("fetch");

async function pageIn({ transformerQueue }: Effects) {
  const [message, ...others] = await takeJson(transformerQueue);
  expect(others).toEqual([]);
  return pageMessage.parse(message);
}

async function tasksIn({ fetcherQueue }: Effects) {
  const tasks = z.array(fetchTask).parse(await takeJson(fetcherQueue));
  return tasks.sort((a, b) => a.page - b.page);
}

const idsOf = (records: unknown[]) =>
  z
    .array(z.object({ _id: z.number() }))
    .parse(records)
    .map(({ _id }) => _id);

/** The ids of the records that a page's message holds. */
function inlineIds({ records }: z.infer<typeof pageMessage>): number[] {
  if ("inline" in records) return idsOf(records.inline);
  throw new Error("The records are not in the message.");
}

describe("page 1", () => {
  test("is handed on, and asks for exactly the other pages of its window", async () => {
    const deps = await start([1, 2, 3, 4, 5]);
    const task = taskOf(run, { attempt: 2 });
    await fetchPage(task, deps);

    const page = await pageIn(deps);
    expect(page).toMatchObject({ task, totals: { totalPages: 3, totalRecords: 5 } });
    expect(inlineIds(page)).toEqual([1, 2]);
    expect(await tasksIn(deps)).toEqual([
      { ...task, page: 2 },
      { ...task, page: 3 },
    ]);
    expect(await deps.work.list("", 10)).toEqual([
      keys.window({ runId: run.runId, window: 1, attempt: 2 }),
    ]);
  });

  test("of a window of many pages asks for each of them once", async () => {
    const deps = await start(
      Array.from({ length: 45 }, () => 3),
      { pageSize: 1 },
    );
    await fetchPage(taskOf(run), deps);
    const pages = (await tasksIn(deps)).map(({ page }) => page);
    expect(pages).toEqual(Array.from({ length: 44 }, (_, index) => index + 2));
  });

  test("that is the only one asks for nothing more", async () => {
    const deps = await start([1, 2]);
    await fetchPage(taskOf(run), deps);
    expect(inlineIds(await pageIn(deps))).toEqual([1, 2]);
    expect(await tasksIn(deps)).toEqual([]);
  });

  test("of an empty range is handed on without records", async () => {
    const deps = await start([]);
    await fetchPage(taskOf(run), deps);
    expect(await pageIn(deps)).toEqual({
      task: taskOf(run),
      totals: { totalPages: 0, totalRecords: 0 },
      records: { inline: [] },
    });
    expect(await tasksIn(deps)).toEqual([]);
  });

  test("delivered twice while the source changed keeps the first totals", async () => {
    const deps = await start([1, 2, 3]);
    const key = keys.window({ runId: run.runId, window: 1, attempt: 1 });
    await fetchPage(taskOf(run), deps);
    expect((await tasksIn(deps)).map(({ page }) => page)).toEqual([2]);
    await pageIn(deps);

    for (const id of [4, 5, 6]) addRecord(deps.site, id, 4);
    await fetchPage(taskOf(run), deps);
    expect(await deps.work.getJson(key, windowTotals)).toEqual({ totalPages: 2, totalRecords: 3 });
    expect((await tasksIn(deps)).map(({ page }) => page)).toEqual([2]);
    // The page itself says what it was told, by which the assembler sees that the source changed.
    expect((await pageIn(deps)).totals).toEqual({ totalPages: 3, totalRecords: 6 });
  });

  test("that announces more pages than a year can have stops there", async () => {
    const deps = await start([]);
    const announcing = (totalPages: number) => ({
      ...deps,
      libInsight: { fetchPage: async () => ({ records: [], totals: { totalPages, totalRecords: 0 } }) },
    });
    await expect(fetchPage(taskOf(run), announcing(100_001))).rejects.toMatchObject({
      name: "WindowTooLarge",
      kind: "terminal",
      ids: { run: run.runId, window: 1 },
    });
    expect(await deps.work.list("", 10)).toEqual([]);
    expect(await tasksIn(deps)).toEqual([]);
    expect(await takeJson(deps.transformerQueue)).toEqual([]);
  });
});

describe("a later page", () => {
  test("is handed on and asks for nothing", async () => {
    const deps = await start([1, 2, 3, 4, 5]);
    const task = taskOf(run, { page: 3 });
    await fetchPage(task, deps);
    const page = await pageIn(deps);
    expect(page).toMatchObject({ task, totals: { totalPages: 3, totalRecords: 5 } });
    expect(inlineIds(page)).toEqual([5]);
    expect(await tasksIn(deps)).toEqual([]);
    expect(await deps.work.list("", 10)).toEqual([]);
  });

  test("of all pages of a window makes up its records, oldest first, once each", async () => {
    const deps = await start([9, 3, 7, 1, 5]);
    await fetchPage(taskOf(run), deps);
    const pages = [inlineIds(await pageIn(deps))];
    for (const task of await tasksIn(deps)) {
      await fetchPage(task, deps);
      pages.push(inlineIds(await pageIn(deps)));
    }
    expect(pages).toEqual([[4, 2], [5, 3], [1]]);
  });
});

describe("a later page that LibInsight has no more", () => {
  test("is handed on without records and with the totals of now", async () => {
    const deps = await start([1, 2, 3, 4, 5]);
    await fetchPage(taskOf(run), deps);
    deps.site.remove(1);
    await take(deps.transformerQueue);

    await fetchPage(taskOf(run, { page: 3 }), deps);

    expect(await pageIn(deps)).toMatchObject({
      task: { page: 3 },
      totals: { totalPages: 2, totalRecords: 4 },
      records: { inline: [] },
    });
  });

  test("is an error where page 1 still announces it", async () => {
    const deps = await start([1, 2, 3, 4, 5], {
      faults: [{ kind: "error-at-200", where: { page: 3 } }],
    });

    await expect(fetchPage(taskOf(run, { page: 3 }), deps)).rejects.toMatchObject({
      name: "LibInsightErrorResponse",
    });
    expect(await take(deps.transformerQueue)).toEqual([]);
  });
});

test("a page's window, page, dataset and request id are what LibInsight is asked for", async () => {
  const deps = await start([1, 2, 3]);
  await fetchPage(taskOf(run, { page: 2 }), deps);
  const asked = deps.site.requests.filter(({ path }) => path.endsWith("/data-grid"));
  expect(asked).toEqual([
    {
      method: "GET",
      path: "/v1.0/custom-dataset/28364/data-grid",
      query: {
        from: "2023-01-01",
        to: "2023-12-31",
        page: "2",
        sort: "asc",
        entered_by: "all",
        request_id: "16",
      },
      status: 200,
    },
  ]);
});

describe("a page too large for a message", () => {
  // Three bytes a character in UTF-8: it is bytes that count.
  const comment = "図".repeat(200_000);

  test("lies in the work bucket, where the message points, and the transformer reads it", async () => {
    const deps = await start([]);
    for (const id of [1, 2]) addRecord(deps.site, id, id, comment);
    await fetchPage(taskOf(run), deps);

    const page = await pageIn(deps);
    const key = keys.page({ runId: run.runId, window: 1, attempt: 1, page: 1 });
    expect(page).toEqual({
      task: taskOf(run),
      totals: { totalPages: 1, totalRecords: 2 },
      records: { key },
    });
    expect(idsOf((await deps.work.getJson(key, storedPage)) ?? [])).toEqual([1, 2]);

    await transform(page, deps.work);
    const part = await deps.work.getText(keys.part({ runId: run.runId, window: 1, attempt: 1, page: 1 }));
    expect(part?.split("\n").filter((line) => line.includes(comment))).toHaveLength(2);
  });

  test("does not, as long as a message carries it", async () => {
    const deps = await start([]);
    addRecord(deps.site, 1, 1, comment);
    await fetchPage(taskOf(run), deps);
    expect(inlineIds(await pageIn(deps))).toEqual([1]);
  });
});

test("characters that SQS refuses arrive all the same", async () => {
  const deps = await start([]);
  const comment = "a\u0000b\u0008c\ufffed\uffffe\ud83df 💥";
  addRecord(deps.site, 1, 1, comment);
  await fetchPage(taskOf(run), deps);
  const { records } = await pageIn(deps);
  expect(records).toMatchObject({ inline: [{ "Comments/Notes": comment }] });
});

test.each([
  { fault: { kind: "status" as const, status: 503 }, kind: "transient" },
  { fault: { kind: "rate-limited" as const, retryAfter: 7 }, kind: "rate-limited" },
  { fault: { kind: "status" as const, status: 403 }, kind: "terminal" },
])("an error of LibInsight ($kind) leaves nothing behind", async ({ fault, kind }) => {
  const deps = await start([1, 2, 3], { faults: [{ ...fault, where: { endpoint: "data-grid" } }] });
  await expect(fetchPage(taskOf(run), deps)).rejects.toMatchObject({ kind });
  expect(await deps.work.list("", 10)).toEqual([]);
  expect(await tasksIn(deps)).toEqual([]);
  expect(await takeJson(deps.transformerQueue)).toEqual([]);
});

test("a dataset that is no longer declared is refused before anybody is asked", async () => {
  const deps = await start([1]);
  await expect(fetchPage({ ...taskOf(run), dataset: "gone" }, deps)).rejects.toMatchObject({
    name: "UnknownDataset",
  });
  expect(deps.site.requests).toEqual([]);
});

test("the handlers carry a page from the fetch queue to its summary", async () => {
  const { site } = await start([1, 2, 3]);
  Object.assign(process.env, {
    LIBINSIGHT_BASE_URL: site.baseUrl,
    SST_RESOURCE_LibInsightClientId: JSON.stringify({ value: site.clientId }),
    SST_RESOURCE_LibInsightClientSecret: JSON.stringify({ value: site.clientSecret }),
  });
  const fetcher = await import("../../../services/fetcher/handler.ts");
  const transformer = await import("../../../services/transformer/handler.ts");
  const handlerRun = runOf("handlers");
  await aws.work.putOnce(keys.run(handlerRun.runId), handlerRun);
  await aws.serviceQueue("fetcher").send(messageBody(taskOf(handlerRun)));

  // Page 1 makes the task for page 2.
  for (let page = 1; page <= 2; page++) {
    const tasks = await take(aws.serviceQueue("fetcher"));
    expect(tasks).toHaveLength(1);
    expect(await fetcher.handler(sqsEvent(tasks), lambdaContext)).toMatchObject({ batchItemFailures: [] });
  }
  const pages = await take(aws.serviceQueue("transformer"));
  expect(await transformer.handler(sqsEvent(pages), lambdaContext)).toMatchObject({ batchItemFailures: [] });

  const { runId } = handlerRun;
  const summaries = await aws.work.list(keys.summaries({ runId, window: 1, attempt: 1 }), 10);
  const ids = await Promise.all(
    summaries.map(async (key) => (await aws.work.getJson(key, pageSummary))?.ids),
  );
  expect(ids).toEqual([[1, 2], [3]]);
  expect(await takeJson(aws.serviceQueue("assembler"))).toEqual([
    { runId, dataset: "reference-transactions", attempt: 1 },
  ]);
});
