// The assembler over parts that the real transformer wrote, with real S3 and SQS.
import { Readable } from "node:stream";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { assemble } from "../../../services/assembler/assemble.ts";
import { s3 } from "../../../shared/aws/clients.ts";
import { messageBody } from "../../../shared/aws/queue.ts";
import type { Store } from "../../../shared/aws/store.ts";
import { keys } from "../../../shared/keys.ts";
import { fetchTask } from "../../../shared/messages.ts";
import { type Run, type RunResult, runAttempt, runResult } from "../../../shared/run.ts";
import { recordOf, recordsOf } from "../../factories/records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import {
  capturedEvents,
  type LocalAws,
  lambdaContext,
  sqsEvent,
  startLocalAws,
  take,
  takeJson,
} from "../../support/local-aws.ts";
import { defaultDataset, parseCsv } from "../../support/transformed.ts";
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

const { csv: csvKey, jsonl: jsonlKey } = defaultDataset.publish;
const header =
  '"_id","_start_date","Question Type","Duration (in minutes)","Comments/Notes","Location","who","mode",' +
  '"answeredBy","classroom","employee","studio","affiliation","Research_Topic"';

async function start() {
  const { events, publish } = capturedEvents();
  return {
    work: await aws.bucket(),
    data: await aws.bucket(),
    fetcherQueue: await aws.queue(),
    publish,
    events,
    now: () => new Date("2024-03-15T13:00:00Z"),
  };
}
type Effects = Awaited<ReturnType<typeof start>>;

const windows: [string, string][] = [
  ["2022-01-01", "2022-12-31"],
  ["2023-01-01", "2023-12-31"],
];

/** A run that is complete with these windows, ready to be assembled. */
async function completeRun(
  { work }: Pick<Effects, "work">,
  contents: WindowContent[],
  given: { requestId?: string; requestedAt?: string } = {},
): Promise<Run> {
  const { requestId = "run", requestedAt = "2024-03-15T12:00:00Z" } = given;
  const run = runOf(requestId, { windows: windows.slice(0, contents.length), requestedAt });
  await putRun(run, work);
  for (const content of contents) await putWindow(run, content, work);
  return run;
}

const assembleRun = (run: Run, deps: Effects, attempt = 1, force?: string) =>
  assemble({ runId: run.runId, dataset: run.dataset, attempt, ...(force && { force }) }, deps);

async function resultOf(run: Run, work: Store) {
  const result = await work.getJson(keys.result(run.runId), runResult);
  if (!result) throw new Error("The run has no result.");
  return result;
}

/** The published rows by header, read as a reader would. */
async function publishedRows(data: Store) {
  const [headers = [], ...rows] = parseCsv((await data.getText(csvKey)) ?? "");
  return rows.map((row) => Object.fromEntries(headers.map((name, index) => [name ?? "", row[index]])));
}

async function publishedIds(data: Store): Promise<number[]> {
  return (await publishedRows(data)).map((row) => Number(row._id));
}

async function tasksIn({ fetcherQueue }: Effects) {
  return z.array(fetchTask).parse(await takeJson(fetcherQueue));
}

describe("a complete run", () => {
  test("is published: header, rows by window, page and row, as CSV and as JSON lines", async () => {
    const deps = await start();
    const run = await completeRun(deps, [
      {
        window: 1,
        pages: [[recordOf(5), recordOf(3, { "Comments/Notes": 'said "hi",\nleft' })], [recordOf(9)]],
      },
      { window: 2, pages: [[recordOf(1, { "Duration (in minutes)": "", who: null })]] },
    ]);
    await assembleRun(run, deps);

    const line = (id: number, minutes = "5", comment = "asked the way", who = '"Undergraduate"') =>
      `${id},"2023-05-01 09:30:00","Directional",${minutes},"${comment}","Newman Library",${who},"In person",` +
      `"Student","","Employee 1",,"Arts","History"\n`;
    expect(await deps.data.getText(csvKey)).toBe(
      `${header}\n${line(5)}${line(3, "5", 'said ""hi"", left')}${line(9)}${line(1, "", "asked the way", "")}`,
    );
    const jsonl = (await deps.data.getText(jsonlKey)) ?? "";
    expect(
      jsonl
        .split("\n")
        .slice(0, -1)
        .map((text): unknown => JSON.parse(text)),
    ).toEqual([
      expect.objectContaining({ _id: 5, Research_Topic: "History" }),
      expect.objectContaining({ _id: 3, "Comments/Notes": 'said "hi", left' }),
      expect.objectContaining({ _id: 9 }),
      expect.objectContaining({ _id: 1, "Duration (in minutes)": null, who: null }),
    ]);
  });

  test("has a result with every count, and tells where its file is", async () => {
    const deps = await start();
    const run = await completeRun(deps, [
      {
        window: 1,
        pages: [
          [recordOf(1, { "Question Type": ["a", "b", "c"] }), recordOf(2, { _start_date: null })],
          [recordOf(3, { "Duration (in minutes)": "long", Extra: "x" })],
        ],
      },
      { window: 2, pages: [[recordOf(3), recordOf(4)]] },
    ]);
    await assembleRun(run, deps, 1, "a fifth is rejected on purpose");

    const csv = await deps.data.head(csvKey);
    const jsonl = await deps.data.head(jsonlKey);
    expect(await resultOf(run, deps.work)).toEqual({
      runId: run.runId,
      dataset: "reference-transactions",
      state: "published",
      violations: ["1 of 5 records were rejected (20 %; the limit is 5 %)"],
      force: "a fifth is rejected on purpose",
      from: "2022-01-01",
      to: "2023-12-31",
      requestedAt: "2024-03-15T12:00:00Z",
      finishedAt: "2024-03-15T13:00:00.000Z",
      attempt: 1,
      windows: [
        { from: "2022-01-01", to: "2022-12-31", attempt: 1, pages: 2, totalRecords: 3 },
        { from: "2023-01-01", to: "2023-12-31", attempt: 1, pages: 1, totalRecords: 2 },
      ],
      records: 5,
      rows: 3,
      duplicates: 1,
      rejects: { "no _start_date": 1 },
      furtherAnswers: { "Question Type": 2 },
      mistyped: { "Duration (in minutes)": 1 },
      undeclared: { Extra: 1 },
      filled: expect.objectContaining({ _id: 4, "Duration (in minutes)": 4, Extra: 1, Research_Topic: 4 }),
      columns: [...JSON.parse(`[${header}]`), "Extra"],
      published: {
        bucket: deps.data.bucket,
        csv: { key: csvKey, etag: csv?.etag, bytes: csv?.bytes },
        jsonl: { key: jsonlKey, etag: jsonl?.etag, bytes: jsonl?.bytes },
      },
    });
    expect(csv?.metadata).toMatchObject({
      "run-id": run.runId,
      "requested-at": "2024-03-15T12:00:00Z",
      rows: "3",
    });
    expect(deps.events).toEqual([
      {
        type: "run.published",
        detail: {
          runId: run.runId,
          dataset: "reference-transactions",
          bucket: deps.data.bucket,
          key: csvKey,
          rows: 3,
        },
      },
    ]);
    expect(await tasksIn(deps)).toEqual([]);
  });

  test("has finished when both files are in place, not before", async () => {
    const deps = await start();
    const upload = vi.spyOn(deps.data, "upload");
    const uploaded = () => upload.mock.settledResults.filter(({ type }) => type === "fulfilled").length;
    const run = await completeRun(deps, [{ window: 1, pages: [recordsOf(1, 2)] }]);
    await assembleRun(run, { ...deps, now: () => new Date(Date.UTC(2024, 2, 15, 13, uploaded())) });
    expect((await resultOf(run, deps.work)).finishedAt).toBe("2024-03-15T13:02:00.000Z");
  });

  test("that is empty publishes its header only", async () => {
    const deps = await start();
    const run = await completeRun(deps, [
      { window: 1, pages: [[]] },
      { window: 2, pages: [[]] },
    ]);
    await assembleRun(run, deps);
    expect(await deps.data.getText(csvKey)).toBe(`${header}\n`);
    expect(await deps.data.getText(jsonlKey)).toBe("");
    expect(await resultOf(run, deps.work)).toMatchObject({ state: "published", records: 0, rows: 0 });
  });

  test("all of whose records were rejected is a header alone, kept aside, and says why", async () => {
    const deps = await start();
    const run = await completeRun(deps, [{ window: 1, pages: [[recordOf(1, { _start_date: "" }), "x"]] }]);
    await assembleRun(run, deps);
    expect(await deps.work.getText(keys.held(run.runId))).toBe(`${header}\n`);
    expect(await deps.data.head(csvKey)).toBeUndefined();
    expect(await resultOf(run, deps.work)).toMatchObject({
      state: "held",
      records: 2,
      rows: 0,
      rejects: { "no _start_date": 1, "not a record": 1 },
    });
  });

  test("is the same file, byte for byte, whatever the order in which its parts were written", async () => {
    const contents: WindowContent[] = [
      { window: 1, pages: [[recordOf(1)], [recordOf(2, { B: 1 })], [recordOf(3)]] },
      { window: 2, pages: [[recordOf(3, { A: "a" })], [recordOf(4), recordOf(2)], [recordOf(5)]] },
    ];
    const undisturbed = await start();
    await assembleRun(await completeRun(undisturbed, contents), undisturbed);
    const expected = await undisturbed.data.getText(csvKey);
    const expectedLines = await undisturbed.data.getText(jsonlKey);

    const pages = contents.flatMap((content) =>
      content.pages.map((_, index) => ({ content, page: index + 1 })),
    );
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(pages, { minLength: pages.length }), async (order) => {
        const deps = await start();
        const run = runOf("run", { windows });
        await putRun(run, deps.work);
        for (const { content, page } of order) {
          await putPage(run, content, page, deps.work);
          await putTotals(run, content, deps.work);
        }
        await assembleRun(run, deps);
        expect(await deps.data.getText(csvKey)).toBe(expected);
        expect(await deps.data.getText(jsonlKey)).toBe(expectedLines);
      }),
      { numRuns: 5 },
    );
  });

  test("of more than nine pages and windows keeps their order by number, not by name", async () => {
    const deps = await start();
    const run = runOf("many windows", {
      windows: Array.from({ length: 11 }, (_, index) => [`${2000 + index}-01-01`, `${2000 + index}-12-31`]),
    });
    await putRun(run, deps.work);
    for (const window of run.windows.map(({ number }) => number)) {
      const pages = Array.from({ length: window === 1 ? 11 : 1 }, (_, page) => [
        recordOf(window * 100 + page),
      ]);
      await putWindow(run, { window, pages }, deps.work);
    }
    await assembleRun(run, deps);
    const ids = await publishedIds(deps.data);
    expect(ids).toHaveLength(21);
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
  });
});

describe("duplicates", () => {
  test("in later windows are removed and counted; the first one stays", async () => {
    const deps = await start();
    const run = await completeRun(deps, [
      { window: 1, pages: [[recordOf(1, { who: "first" })], [recordOf(2)]] },
      { window: 2, pages: [[recordOf(3), recordOf(1, { who: "second" })], [recordOf(2)]] },
    ]);
    await assembleRun(run, deps);
    expect(await publishedIds(deps.data)).toEqual([1, 2, 3]);
    expect((await publishedRows(deps.data))[0]).toMatchObject({ who: "first" });
    expect(await resultOf(run, deps.work)).toMatchObject({
      records: 5,
      rows: 3,
      duplicates: 2,
      attempt: 1,
    });
    const lines = ((await deps.data.getText(jsonlKey)) ?? "").split("\n").slice(0, -1);
    expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([
      { _id: 1 },
      { _id: 2 },
      { _id: 3 },
    ]);
  });

  test("within a window are taken for pages that shifted: it is fetched again", async () => {
    const deps = await start();
    const run = await completeRun(deps, [
      { window: 1, pages: [[recordOf(1)], [recordOf(1)]] },
      { window: 2, pages: [recordsOf(2, 3)] },
    ]);
    await assembleRun(run, deps);
    expect(await deps.work.getJson(keys.attempt(run.runId, 2), runAttempt)).toEqual({
      attempt: 2,
      windows: [2, 1],
      because: ["window 1: records occur twice, its pages have shifted"],
    });
    expect(await tasksIn(deps)).toEqual([taskOf(run, { window: 1, attempt: 2 })]);
    expect(await deps.data.head(csvKey)).toBeUndefined();
  });

  test("within a window that stay to the last attempt may hide as many lost records: the run is held", async () => {
    const deps = await start();
    const pages = [[recordOf(1), recordOf(2)], [recordOf(1)]];
    const run = await completeRun(deps, [{ window: 1, pages }]);
    await assembleRun(run, deps, 1);
    await putWindow(run, { window: 1, attempt: 2, pages }, deps.work);
    await assembleRun(run, deps, 2);
    expect(deps.events).toEqual([]);

    await putWindow(run, { window: 1, attempt: 3, pages }, deps.work);
    await assembleRun(run, deps, 3);
    expect(await deps.data.head(csvKey)).toBeUndefined();
    expect(await resultOf(run, deps.work)).toMatchObject({
      state: "held",
      violations: [expect.stringContaining("records occur twice")],
      attempt: 3,
      records: 3,
      rows: 2,
      duplicates: 1,
    });
  });
});

describe("undeclared columns", () => {
  test("that only some pages have stand at the end of every row, sorted, and null where they lack", async () => {
    const deps = await start();
    const run = await completeRun(deps, [
      { window: 1, pages: [[recordOf(1)], [recordOf(2, { Zeta: "z", Beta: 'b"q' })]] },
      { window: 2, pages: [[recordOf(3, { Alpha: 7 })], [recordOf(2, { Gone: "x" })]] },
    ]);
    await assembleRun(run, deps);
    const text = (await deps.data.getText(csvKey)) ?? "";
    expect(text.split("\n")[0]).toBe(`${header},"Alpha","Beta","Gone","Zeta"`);
    const rows = await publishedRows(deps.data);
    expect(rows).toMatchObject([
      { _id: "1", Research_Topic: "History", Alpha: null, Beta: null, Gone: null, Zeta: null },
      { _id: "2", Research_Topic: "History", Alpha: null, Beta: 'b"q', Gone: null, Zeta: "z" },
      { _id: "3", Research_Topic: "History", Alpha: "7", Beta: null, Gone: null, Zeta: null },
    ]);
    const lines = ((await deps.data.getText(jsonlKey)) ?? "").split("\n").slice(0, -1);
    expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([
      { _id: 1, Alpha: null, Beta: null, Zeta: null },
      { _id: 2, Alpha: null, Beta: 'b"q', Zeta: "z" },
      { _id: 3, Alpha: 7, Beta: null, Zeta: null },
    ]);
  });

  test("in their hundreds mean that something else arrived: the earlier file stays", async () => {
    const deps = await start();
    const fields = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`f${n}`, n]));
    await assembleRun(
      await completeRun(deps, [{ window: 1, pages: [[recordOf(1, fields(300))]] }]),
      deps,
    );
    const before = await deps.data.getText(csvKey);

    const run = await completeRun(
      deps,
      [{ window: 1, pages: [[recordOf(1, fields(300))], [recordOf(2, { more: 1 })]] }],
      { requestId: "too many" },
    );
    await assembleRun(run, deps);
    expect(await resultOf(run, deps.work)).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("301 undeclared fields; the limit is 300"),
    });
    expect(await deps.data.getText(csvKey)).toBe(before);
  });
});

describe("a window that disagrees with LibInsight's totals", () => {
  const good: WindowContent = { window: 1, pages: [recordsOf(1, 2)] };
  const short: WindowContent = { window: 2, pages: [recordsOf(3, 4)], totals: { totalRecords: 3 } };

  test("is fetched again, and no other", async () => {
    const deps = await start();
    const run = await completeRun(deps, [good, short]);
    await assembleRun(run, deps);
    expect(await deps.work.getJson(keys.attempt(run.runId, 2), runAttempt)).toEqual({
      attempt: 2,
      windows: [1, 2],
      because: ["2023-01-01 to 2023-12-31: LibInsight announced 3 records and gave 2"],
    });
    expect(await tasksIn(deps)).toEqual([taskOf(run, { window: 2, attempt: 2 })]);
    expect(deps.events).toEqual([]);
    expect(await deps.data.list("", 10)).toEqual([]);
  });

  test("and agrees at its second attempt is published with that one's rows", async () => {
    const deps = await start();
    const run = await completeRun(deps, [good, short]);
    await assembleRun(run, deps, 1);
    await putWindow(run, { window: 2, attempt: 2, pages: [recordsOf(3, 4), recordsOf(5, 5)] }, deps.work);
    await assembleRun(run, deps, 2);
    expect(await publishedIds(deps.data)).toEqual([1, 2, 3, 4, 5]);
    expect(await resultOf(run, deps.work)).toMatchObject({
      state: "published",
      attempt: 2,
      windows: [
        { attempt: 1, pages: 1, totalRecords: 2 },
        { attempt: 2, pages: 2, totalRecords: 3 },
      ],
    });
  });

  test("whose task is delivered again asks for the same pages and decides nothing anew", async () => {
    const deps = await start();
    const run = await completeRun(deps, [good, short]);
    await assembleRun(run, deps);
    const decided = await deps.work.getText(keys.attempt(run.runId, 2));
    await tasksIn(deps);
    // Meanwhile the page that lacked a record was delivered again and would agree.
    await putWindow(run, { window: 2, pages: [recordsOf(3, 5)] }, deps.work);
    await assembleRun(run, deps);
    expect(await deps.work.getText(keys.attempt(run.runId, 2))).toBe(decided);
    expect(await tasksIn(deps)).toEqual([taskOf(run, { window: 2, attempt: 2 })]);
    expect(await deps.data.list("", 10)).toEqual([]);
  });

  test("that two assemblers see at once is fetched again as one of them decided", async () => {
    const deps = await start();
    const run = await completeRun(deps, [good, short]);
    await Promise.all([assembleRun(run, deps), assembleRun(run, deps)]);
    const again = taskOf(run, { window: 2, attempt: 2 });
    expect(await tasksIn(deps)).toEqual([again, again]);
    expect(await deps.work.list(`${keys.folder(run.runId)}attempts/`, 10)).toEqual([
      keys.attempt(run.runId, 2),
    ]);
  });

  test("at each of three attempts fails the run, with the reason, and leaves the earlier file as it was", async () => {
    const deps = await start();
    const earlier = await completeRun(deps, [good], {
      requestId: "earlier",
      requestedAt: "2024-03-08T12:00:00Z",
    });
    await assembleRun(earlier, deps);
    deps.events.length = 0;
    const before = { csv: await deps.data.head(csvKey), jsonl: await deps.data.head(jsonlKey) };

    const run = await completeRun(deps, [good, short]);
    await assembleRun(run, deps, 1);
    await putWindow(run, { ...short, attempt: 2 }, deps.work);
    await assembleRun(run, deps, 2);
    await putWindow(run, { ...short, attempt: 3 }, deps.work);
    expect((await tasksIn(deps)).map(({ window, attempt }) => [window.number, attempt])).toEqual([
      [2, 2],
      [2, 3],
    ]);
    await assembleRun(run, deps, 3);

    const result = await resultOf(run, deps.work);
    expect(result).toMatchObject({ state: "held", attempt: 3 });
    expect(result.published).toBeUndefined();
    expect(result.violations).toEqual([
      "LibInsight's numbers did not agree in 3 attempts: 2023-01-01 to 2023-12-31: LibInsight announced 3 records " +
        "and gave 2",
    ]);
    expect(deps.events).toEqual([
      {
        type: "run.held",
        detail: { runId: run.runId, dataset: "reference-transactions", reason: result.reason },
      },
    ]);
    expect({ csv: await deps.data.head(csvKey), jsonl: await deps.data.head(jsonlKey) }).toEqual(
      before,
    );
    expect(await tasksIn(deps)).toEqual([]);
  });

  test("because pages were told different totals is fetched again even if the sum agrees", async () => {
    const deps = await start();
    const run = runOf("shifting");
    await putRun(run, deps.work);
    const content: WindowContent = { window: 1, pages: [recordsOf(1, 2), recordsOf(3, 3)] };
    await putTotals(run, content, deps.work);
    await putPage(run, content, 1, deps.work);
    await putPage(run, { ...content, totals: { totalRecords: 4 } }, 2, deps.work);
    await assembleRun(run, deps);
    expect(await tasksIn(deps)).toEqual([taskOf(run, { attempt: 2 })]);
  });
});

describe("a doubtful run", () => {
  const ten: WindowContent[] = [{ window: 1, pages: [recordsOf(1, 5), recordsOf(6, 10)] }];
  const eight: WindowContent[] = [{ window: 1, pages: [recordsOf(1, 4), recordsOf(5, 8)] }];
  const later = { requestId: "later", requestedAt: "2024-03-22T12:00:00Z" };

  async function publishedTen(): Promise<Effects> {
    const deps = await start();
    await assembleRun(await completeRun(deps, ten), deps);
    deps.events.length = 0;
    return deps;
  }

  test("is held: the earlier file stays, its own is kept aside, and it says why and by how much", async () => {
    const deps = await publishedTen();
    const before = { csv: await deps.data.head(csvKey), jsonl: await deps.data.head(jsonlKey) };
    const run = await completeRun(deps, eight, later);
    await assembleRun(run, deps);

    const result = await resultOf(run, deps.work);
    expect(result).toMatchObject({
      state: "held",
      rows: 8,
      records: 8,
      previous: { rows: 10, requestedAt: "2024-03-15T12:00:00Z" },
    });
    expect(result.violations).toEqual(["rows fell from 10 to 8 (by 20 %; the limit is 10 %)"]);
    expect(result.reason).toContain(`npm run runs -- publish ${run.runId} --force --reason TEXT`);
    expect(deps.events).toEqual([
      { type: "run.held", detail: { runId: run.runId, dataset: run.dataset, reason: result.reason } },
    ]);
    expect({ csv: await deps.data.head(csvKey), jsonl: await deps.data.head(jsonlKey) }).toEqual(
      before,
    );
    const aside = parseCsv((await deps.work.getText(keys.held(run.runId))) ?? "");
    expect(aside.slice(1).map(([id]) => Number(id))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect((await deps.work.getText(keys.heldLines(run.runId)))?.trimEnd().split("\n")).toHaveLength(8);
  });

  test("is published by a person's reason, which is recorded with the violations", async () => {
    const deps = await publishedTen();
    const run = await completeRun(deps, eight, later);
    await assembleRun(run, deps);
    const aside = await deps.work.getText(keys.held(run.runId));
    await assembleRun(run, deps, 1, "two were entered twice");
    await assembleRun(run, deps, 1, "two were entered twice");

    expect(await deps.data.getText(csvKey)).toBe(aside);
    expect(await resultOf(run, deps.work)).toMatchObject({
      state: "published",
      force: "two were entered twice",
      violations: ["rows fell from 10 to 8 (by 20 %; the limit is 10 %)"],
    });
    expect(deps.events.map(({ type }) => type)).toEqual(["run.held", "run.published", "run.published"]);
  });

  test("whose request said so beforehand is published at once, and says that it was by force", async () => {
    const deps = await publishedTen();
    const run = { ...runOf("forced", { windows: [["2022-01-01", "2022-12-31"]] }), force: "only this year" };
    await putRun(run, deps.work);
    await putWindow(run, { window: 1, pages: [recordsOf(1, 1)] }, deps.work);
    await assembleRun(run, deps);
    expect(await resultOf(run, deps.work)).toMatchObject({ state: "published", force: "only this year" });
    expect(await publishedIds(deps.data)).toEqual([1]);
  });

  test("is one in which a column lost all of its values", async () => {
    const deps = await publishedTen();
    const renamed = ten.map((window) => ({
      ...window,
      pages: window.pages.map((page) =>
        page.map((record) => {
          const { mode, ...rest } = z.looseObject({ mode: z.unknown() }).parse(record);
          return { ...rest, "Mode of contact": mode };
        }),
      ),
    }));
    const run = await completeRun(deps, renamed, later);
    await assembleRun(run, deps);
    expect((await resultOf(run, deps.work)).violations).toEqual([
      'the column "mode" vanished: 10 rows had a value, now none has',
    ]);
  });

  test("is not one that follows a file of which nothing is known", async () => {
    const deps = await start();
    await deps.data.put(csvKey, "the predecessor's\n", "text/csv");
    const run = await completeRun(deps, eight);
    await assembleRun(run, deps);
    expect(await resultOf(run, deps.work)).toMatchObject({ state: "published", violations: [] });
  });
});

describe("assembling twice", () => {
  const contents: WindowContent[] = [
    { window: 1, pages: [recordsOf(1, 3)] },
    { window: 2, pages: [[recordOf(2, { Extra: 1 }), recordOf(4)]] },
  ];

  test("one after the other writes once, and tells the same event again", async () => {
    const deps = await start();
    const run = await completeRun(deps, contents);
    await assembleRun(run, deps);
    const result = await deps.work.getText(keys.result(run.runId));
    await assembleRun(run, { ...deps, now: () => new Date("2030-01-01T00:00:00Z") });
    expect(await deps.work.getText(keys.result(run.runId))).toBe(result);
    expect(deps.events).toHaveLength(2);
    expect(deps.events[1]).toEqual(deps.events[0]);
  });

  test("because the first one died before its result was written gives the same bytes", async () => {
    const deps = await start();
    const run = await completeRun(deps, contents);
    await assembleRun(run, deps);
    const files = async () => [await deps.data.getText(csvKey), await deps.data.getText(jsonlKey)];
    const before = await files();
    const result = await resultOf(run, deps.work);
    await s3().send(new DeleteObjectCommand({ Bucket: deps.work.bucket, Key: keys.result(run.runId) }));

    await assembleRun(run, deps);
    expect(await files()).toEqual(before);
    expect(await resultOf(run, deps.work)).toEqual(result);
  });

  test("at the same time gives the same bytes", async () => {
    const deps = await start();
    const run = await completeRun(deps, contents);
    await Promise.all([assembleRun(run, deps), assembleRun(run, deps)]);
    expect(await publishedIds(deps.data)).toEqual([1, 2, 3, 4]);
    expect(await resultOf(run, deps.work)).toMatchObject({ state: "published", rows: 4 });
  });

  test("a run that failed tells so again and does not try again", async () => {
    const deps = await start();
    const run = await completeRun(deps, contents);
    const { runId, dataset, from, to, requestedAt } = run;
    const failed: RunResult = {
      ...{ runId, dataset, from, to, requestedAt, finishedAt: requestedAt, attempt: 3, windows: [] },
      ...{ records: 0, rows: 0, duplicates: 0, columns: [] },
      ...{ rejects: {}, furtherAnswers: {}, mistyped: {}, undeclared: {}, filled: {}, violations: [] },
      state: "failed",
      reason: "because",
    };
    await deps.work.put(keys.result(run.runId), JSON.stringify(failed), "application/json");
    await assembleRun(run, deps);
    expect(deps.events).toEqual([
      { type: "run.failed", detail: { runId: run.runId, dataset: run.dataset, reason: "because" } },
    ]);
    expect(await deps.data.list("", 10)).toEqual([]);
  });
});

describe("of two runs", () => {
  const older = { requestId: "older", requestedAt: "2024-03-08T12:00:00Z" };
  const newer = { requestId: "newer", requestedAt: "2024-03-15T12:00:00Z" };
  const one: WindowContent[] = [{ window: 1, pages: [recordsOf(1, 1)] }];
  const two: WindowContent[] = [{ window: 1, pages: [recordsOf(1, 2)] }];

  test("the newer one replaces the older one's file, and remembers what it replaced", async () => {
    const deps = await start();
    const first = await completeRun(deps, one, older);
    await assembleRun(first, deps);
    const second = await completeRun(deps, two, newer);
    await assembleRun(second, deps);
    expect(await publishedIds(deps.data)).toEqual([1, 2]);
    expect((await resultOf(first, deps.work)).previous).toBeUndefined();
    expect((await resultOf(second, deps.work)).previous).toEqual({
      rows: 1,
      requestedAt: older.requestedAt,
    });
  });

  test("the older one is superseded, says by which, and leaves the newer one's files as they were", async () => {
    const deps = await start();
    const newerRun = await completeRun(deps, two, newer);
    await assembleRun(newerRun, deps);
    const before = { csv: await deps.data.head(csvKey), jsonl: await deps.data.head(jsonlKey) };
    const olderRun = await completeRun(deps, one, older);
    await assembleRun(olderRun, deps);

    const result = await resultOf(olderRun, deps.work);
    expect(result).toMatchObject({ state: "superseded", reason: expect.stringContaining(newerRun.runId) });
    expect(result.published).toBeUndefined();
    expect(deps.events[1]).toEqual({
      type: "run.failed",
      detail: {
        runId: olderRun.runId,
        dataset: olderRun.dataset,
        reason: result.reason,
        superseded: true,
      },
    });
    expect({ csv: await deps.data.head(csvKey), jsonl: await deps.data.head(jsonlKey) }).toEqual(
      before,
    );
  });

  test("the older one stops where the newer one is half done, and leaves it the JSON lines", async () => {
    const deps = await start();
    await deps.data.upload(csvKey, Readable.from(Buffer.from("{}\n")), {
      contentType: "text/csv",
      metadata: { "run-id": "the-newer-run", "requested-at": newer.requestedAt },
      condition: "absent",
    });
    const run = await completeRun(deps, one, older);
    await assembleRun(run, deps);
    expect(await resultOf(run, deps.work)).toMatchObject({
      state: "superseded",
      reason: expect.stringContaining("the-newer-run"),
    });
    expect(await deps.data.head(jsonlKey)).toBeUndefined();
  });

  test("requested in the same second the later one to be assembled is published", async () => {
    const deps = await start();
    await assembleRun(await completeRun(deps, one, { ...newer, requestId: "a" }), deps);
    const run = await completeRun(deps, two, { ...newer, requestId: "b" });
    await assembleRun(run, deps);
    expect(await resultOf(run, deps.work)).toMatchObject({ state: "published" });
    expect(await publishedIds(deps.data)).toEqual([1, 2]);
  });
});

test("a file of the predecessor, which names no run, is replaced", async () => {
  const deps = await start();
  await deps.data.put(csvKey, "old\n", "text/csv");
  await assembleRun(await completeRun(deps, [{ window: 1, pages: [recordsOf(1, 2)] }]), deps);
  expect(await publishedIds(deps.data)).toEqual([1, 2]);
});

test("of a file whose metadata another hand wrote the result tells nothing", async () => {
  const deps = await start();
  await deps.data.upload(csvKey, Readable.from(Buffer.from("old\n")), {
    contentType: "text/csv",
    metadata: { "run-id": "other", rows: "many", "requested-at": "long ago" },
    condition: "absent",
  });
  const run = await completeRun(deps, [{ window: 1, pages: [recordsOf(1, 2)] }]);
  await assembleRun(run, deps);
  const { state, previous } = await resultOf(run, deps.work);
  expect([state, previous]).toEqual(["published", undefined]);
});

describe("a part that changed after it was accounted for", () => {
  const content: WindowContent = { window: 1, pages: [recordsOf(1, 2), recordsOf(3, 4)] };
  const part = (run: Run) => ({ runId: run.runId, window: 1, attempt: 1, page: 2 });

  test.each([
    { what: "its CSV", keyOf: keys.part },
    { what: "its JSON lines", keyOf: keys.partLines },
  ])("$what: its window is fetched again, and the run ends well", async ({ keyOf }) => {
    const deps = await start();
    const run = await completeRun(deps, [content, { window: 2, pages: [[recordOf(5)]] }]);
    await deps.work.put(keyOf(part(run)), "changed\n", "text/plain");
    await assembleRun(run, deps);
    expect(await deps.work.head(keys.result(run.runId))).toBeUndefined();
    expect(deps.events).toEqual([]);
    expect(
      (await tasksIn(deps)).map(({ window, attempt, page }) => [window.number, attempt, page]),
    ).toEqual([[1, 2, 1]]);

    await putWindow(run, { ...content, attempt: 2 }, deps.work);
    await assembleRun(run, deps, 2);
    expect(await publishedIds(deps.data)).toEqual([1, 2, 3, 4, 5]);
    expect(await resultOf(run, deps.work)).toMatchObject({ state: "published", attempt: 2, rows: 5 });
  });

  test.each([
    { what: "its CSV", keyOf: keys.part },
    { what: "its JSON lines", keyOf: keys.partLines },
  ])("$what, at the last attempt: the run fails and leaves the earlier file as it was", async ({ keyOf }) => {
    const deps = await start();
    await assembleRun(await completeRun(deps, [content], { requestId: "earlier" }), deps);
    const before = await deps.data.head(csvKey);
    const run = await completeRun(deps, [content]);
    for (const attempt of [2, 3]) {
      await putAttempt(run, [attempt], deps.work);
      await putWindow(run, { ...content, attempt }, deps.work);
    }
    await deps.work.put(keyOf({ ...part(run), attempt: 3 }), "changed\n", "text/plain");
    await assembleRun(run, deps, 3);
    expect(await deps.data.head(csvKey)).toEqual(before);
    expect(await resultOf(run, deps.work)).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("A part changed after it was counted"),
    });
  });
});

describe("what is no longer in the work bucket is an error that names the run", () => {
  test("its run.json", async () => {
    const deps = await start();
    const run = runOf("forgotten");
    await expect(assembleRun(run, deps)).rejects.toMatchObject({
      name: "RunMissing",
      ids: { run: run.runId },
    });
  });

  test("a window's totals", async () => {
    const deps = await start();
    const run = runOf("window forgotten");
    await putRun(run, deps.work);
    await expect(assembleRun(run, deps)).rejects.toMatchObject({ name: "WindowMissing" });
  });

  test("an attempt that nobody began", async () => {
    const deps = await start();
    const run = await completeRun(deps, [{ window: 1, pages: [recordsOf(1, 1)] }]);
    await expect(assembleRun(run, deps, 2)).rejects.toMatchObject({ name: "AttemptMissing" });
  });
});

test("the handler takes a task from the FIFO queue, publishes, and tells the bus and Athena's queue", async () => {
  const { handler } = await import("../../../services/assembler/handler.ts");
  // S3's test event.
  await take(aws.serviceQueue("athena"));
  const run = await completeRun(aws, [{ window: 1, pages: [recordsOf(1, 2)] }], { requestId: "handler" });
  const { runId, dataset } = run;
  await aws
    .serviceQueue("assembler")
    .send(messageBody({ runId, dataset, attempt: 1 }), { groupId: dataset, deduplicationId: runId });
  const messages = await take(aws.serviceQueue("assembler"));
  expect(messages).toHaveLength(1);

  expect(await handler(sqsEvent(messages), lambdaContext)).toMatchObject({ batchItemFailures: [] });
  expect(await publishedIds(aws.data)).toEqual([1, 2]);
  expect(await takeJson(aws.observer, 5)).toMatchObject([
    { "detail-type": "run.published", detail: { runId, rows: 2 } },
  ]);
  // The JSON lines beside it announce nothing.
  expect(await takeJson(aws.serviceQueue("athena"), 5)).toMatchObject([
    { Records: [{ s3: { bucket: { name: aws.data.bucket }, object: { key: csvKey } } }] },
  ]);
});
