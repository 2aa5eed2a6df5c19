// The assembler over parts that the real transformer wrote.
import { Readable } from "node:stream";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type AssemblerDeps, assemble } from "../../../services/assembler/assemble.ts";
import { assemblerService } from "../../../services/assembler/service.ts";
import { keys } from "../../../shared/keys.ts";
import { fetchTask } from "../../../shared/messages.ts";
import { messageBody, type ObjectStore } from "../../../shared/ports.ts";
import { type Run, runAttempt, runResult } from "../../../shared/run.ts";
import { recordOf, recordsOf } from "../../factories/records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { firstResultOf } from "../../factories/results.ts";
import {
  capturedEvents,
  type PublishedEvent,
  receive,
  runService,
  startLocal,
  type TestLocal,
  takeJson,
} from "../../support/local.ts";
import { before, failing, intercepted, recorded } from "../../support/ports.ts";
import { defaultDataset, parseCsv } from "../../support/transformed.ts";
import {
  putAttempt,
  putPage,
  putRun,
  putTotals,
  putWindow,
  type WindowContent,
} from "../../support/work-bucket.ts";

let local: TestLocal;
beforeAll(async () => {
  local = await startLocal();
});
afterAll(() => local.close());

const { csv: csvKey, jsonl: jsonlKey } = defaultDataset.publish;
const header =
  '"_id","_start_date","Question Type","Duration (in minutes)","Comments/Notes","Location","who","mode",' +
  '"answeredBy","classroom","employee","studio","affiliation","Research_Topic"';

type Deps = AssemblerDeps & { events: PublishedEvent[] };

function start(): Deps {
  return {
    work: local.store(),
    data: local.store(),
    fetcherQueue: local.queue("fetcher"),
    ...capturedEvents(),
    now: () => new Date("2024-03-15T13:00:00Z"),
  };
}

const windows: [string, string][] = [
  ["2022-01-01", "2022-12-31"],
  ["2023-01-01", "2023-12-31"],
];

/** A run all of whose pages are transformed. */
async function completeRun(
  { work }: Pick<Deps, "work">,
  contents: WindowContent[],
  given: { requestId?: string; requestedAt?: string } = {},
): Promise<Run> {
  const { requestId = "run", requestedAt = "2024-03-15T12:00:00Z" } = given;
  const run = runOf(requestId, { windows: windows.slice(0, contents.length), requestedAt });
  await putRun(run, work);
  for (const content of contents) await putWindow(run, content, work);
  return run;
}

const oneWindow = (...pages: unknown[][]): WindowContent[] => [{ window: 1, pages }];

const assembleRun = (run: Run, deps: Deps, attempt = 1, force?: string) =>
  assemble({ runId: run.runId, dataset: run.dataset, attempt, ...(force && { force }) }, deps);

async function resultOf(run: Run, { work }: Deps) {
  const result = await work.getJson(keys.result(run.runId), runResult);
  if (!result) throw new Error("The run has no result.");
  return result;
}

const filesIn = async ({ data }: Deps) => [await data.getText(csvKey), await data.getText(jsonlKey)];
const headsIn = async ({ data }: Deps) => [await data.head(csvKey), await data.head(jsonlKey)];

/** The published rows by header, as a reader sees them. */
async function publishedRows({ data }: Deps) {
  const [headers = [], ...rows] = parseCsv((await data.getText(csvKey)) ?? "");
  return rows.map((row) => Object.fromEntries(headers.map((name, index) => [name ?? "", row[index]])));
}

async function publishedIds(deps: Deps): Promise<number[]> {
  return (await publishedRows(deps)).map((row) => Number(row._id));
}

async function publishedLines({ data }: Deps): Promise<unknown[]> {
  const lines = ((await data.getText(jsonlKey)) ?? "").split("\n").slice(0, -1);
  return lines.map((line): unknown => JSON.parse(line));
}

async function tasksIn({ fetcherQueue }: Deps) {
  return z.array(fetchTask).parse(await takeJson(fetcherQueue));
}

/** Writes an object as another writer of the data bucket. */
async function writeAs(metadata: Record<string, string>, data: ObjectStore, key = csvKey, text = "old\n") {
  const current = await data.head(key);
  await data.upload(key, Readable.from([Buffer.from(text)]), {
    contentType: "text/csv",
    metadata,
    condition: current ? { ifMatch: current.etag } : "absent",
  });
}

describe("a complete run", () => {
  test("is published: header, rows by window, page and row, as CSV and as JSON lines", async () => {
    const deps = start();
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
    expect(await publishedLines(deps)).toEqual([
      expect.objectContaining({ _id: 5, Research_Topic: "History" }),
      expect.objectContaining({ _id: 3, "Comments/Notes": 'said "hi", left' }),
      expect.objectContaining({ _id: 9 }),
      expect.objectContaining({ _id: 1, "Duration (in minutes)": null, who: null }),
    ]);
  });

  test("has a result with every count and the files' location", async () => {
    const deps = start();
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

    const [csv, jsonl] = await headsIn(deps);
    expect(await resultOf(run, deps)).toEqual({
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
    const { runId, dataset } = run;
    const metadata = { dataset, "run-id": runId, "requested-at": "2024-03-15T12:00:00Z" };
    expect([csv?.metadata, jsonl?.metadata]).toEqual([metadata, metadata]);
    expect(deps.events).toEqual([
      { type: "run.published", detail: { runId, dataset, bucket: deps.data.bucket, key: csvKey, rows: 3 } },
    ]);
    expect(await tasksIn(deps)).toEqual([]);
  });

  test("costs one read per part and one upload per file", async () => {
    const deps = start();
    const run = await completeRun(deps, [
      { window: 1, pages: [[recordOf(1)], [recordOf(2)], [recordOf(3)]] },
      { window: 2, pages: [[recordOf(4)]] },
    ]);
    const work = recorded(deps.work);
    const data = recorded(deps.data);
    await assembleRun(run, { ...deps, work: work.port, data: data.port });

    const parts = await deps.work.list(keys.allParts(run.runId), 10);
    expect(parts).toHaveLength(4);
    expect(work.calls.filter((call) => call.startsWith("getBytes"))).toEqual(
      parts.map((key) => `getBytes ${key}`),
    );
    expect(data.calls.filter((call) => !call.startsWith("head"))).toEqual([
      `upload ${csvKey}`,
      `upload ${jsonlKey}`,
    ]);
  });

  test("has finished when both files are in place, not before", async () => {
    const deps = start();
    let uploaded = 0;
    const data = intercepted(deps.data, async (method, _args, act) => {
      const result = await act();
      if (method === "upload") uploaded += 1;
      return result;
    });
    const run = await completeRun(deps, oneWindow(recordsOf(1, 2)));
    await assembleRun(run, { ...deps, data, now: () => new Date(Date.UTC(2024, 2, 15, 13, uploaded)) });
    expect((await resultOf(run, deps)).finishedAt).toBe("2024-03-15T13:02:00.000Z");
  });

  test("that is empty publishes its header only", async () => {
    const deps = start();
    const run = await completeRun(deps, [
      { window: 1, pages: [[]] },
      { window: 2, pages: [[]] },
    ]);
    await assembleRun(run, deps);
    expect(await filesIn(deps)).toEqual([`${header}\n`, ""]);
    expect(await resultOf(run, deps)).toMatchObject({ state: "published", records: 0, rows: 0 });
  });

  test("all of whose records were rejected is held with its header alone", async () => {
    const deps = start();
    const run = await completeRun(deps, oneWindow([recordOf(1, { _start_date: "" }), "x"]));
    await assembleRun(run, deps);
    expect(await deps.work.getText(keys.held(run.runId))).toBe(`${header}\n`);
    expect(await deps.data.list("", 10)).toEqual([]);
    expect(await resultOf(run, deps)).toMatchObject({
      state: "held",
      records: 2,
      rows: 0,
      rejects: { "no _start_date": 1, "not a record": 1 },
    });
  });

  test("is the same file, byte for byte, in whatever order its parts were written", async () => {
    const contents: WindowContent[] = [
      { window: 1, pages: [[recordOf(1)], [recordOf(2, { B: 1 })], [recordOf(3)]] },
      { window: 2, pages: [[recordOf(3, { A: "a" })], [recordOf(4), recordOf(2)], [recordOf(5)]] },
    ];
    const undisturbed = start();
    await assembleRun(await completeRun(undisturbed, contents), undisturbed);
    const expected = await filesIn(undisturbed);

    const pages = contents.flatMap((content) =>
      content.pages.map((_, index) => ({ content, page: index + 1 })),
    );
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(pages, { minLength: pages.length }), async (order) => {
        const deps = start();
        const run = runOf("run", { windows });
        await putRun(run, deps.work);
        for (const { content, page } of order) {
          await putPage(run, content, page, deps.work);
          await putTotals(run, content, deps.work);
        }
        await assembleRun(run, deps);
        expect(await filesIn(deps)).toEqual(expected);
      }),
      { numRuns: 5 },
    );
  });

  test("of more than nine pages and windows keeps their order by number, not by name", async () => {
    const deps = start();
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
    const ids = await publishedIds(deps);
    expect(ids).toHaveLength(21);
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
  });
});

describe("duplicates", () => {
  test("in later windows are removed and counted; the first one stays", async () => {
    const deps = start();
    const run = await completeRun(deps, [
      { window: 1, pages: [[recordOf(1, { who: "first" })], [recordOf(2)]] },
      { window: 2, pages: [[recordOf(3), recordOf(1, { who: "second" })], [recordOf(2)]] },
    ]);
    await assembleRun(run, deps);
    const kept = [{ who: "first" }, {}, { who: "Undergraduate" }];
    expect(await publishedIds(deps)).toEqual([1, 2, 3]);
    expect(await publishedRows(deps)).toMatchObject(kept);
    expect(await publishedLines(deps)).toMatchObject(kept.map((row, index) => ({ _id: index + 1, ...row })));
    expect(await resultOf(run, deps)).toMatchObject({ records: 5, rows: 3, duplicates: 2, attempt: 1 });
  });

  test("within a window mean that its pages shifted: it is fetched again", async () => {
    const deps = start();
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
    expect(await deps.data.list("", 10)).toEqual([]);
  });

  test("within a window that stay to the last attempt may hide as many lost records: the run is held", async () => {
    const deps = start();
    const pages = [[recordOf(1), recordOf(2)], [recordOf(1)]];
    const run = await completeRun(deps, oneWindow(...pages));
    for (const attempt of [2, 3]) {
      await putAttempt(run, [attempt], deps.work);
      await putWindow(run, { window: 1, attempt, pages }, deps.work);
    }
    await assembleRun(run, deps, 3);
    expect(await deps.data.list("", 10)).toEqual([]);
    expect(await resultOf(run, deps)).toMatchObject({
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
  const readsOf = (calls: string[]) => calls.filter((call) => call.startsWith("getBytes")).length;

  test("of some pages end every row, sorted, null in rows without them; the parts are read a second time", async () => {
    const deps = start();
    const run = await completeRun(deps, [
      { window: 1, pages: [[recordOf(1)], [recordOf(2, { Zeta: "z", Beta: 'b"q' })]] },
      { window: 2, pages: [[recordOf(3, { Alpha: 7 })], [recordOf(2, { Gone: "x" })]] },
    ]);
    const { port: work, calls } = recorded(deps.work);
    await assembleRun(run, { ...deps, work });

    const text = (await deps.data.getText(csvKey)) ?? "";
    expect(text.split("\n")[0]).toBe(`${header},"Alpha","Beta","Gone","Zeta"`);
    const missing = { Alpha: null, Beta: null, Gone: null, Zeta: null };
    expect(await publishedRows(deps)).toMatchObject([
      { _id: "1", Research_Topic: "History", ...missing },
      { _id: "2", Research_Topic: "History", ...missing, Beta: 'b"q', Zeta: "z" },
      { _id: "3", Research_Topic: "History", ...missing, Alpha: "7" },
    ]);
    expect(await publishedLines(deps)).toMatchObject([
      { _id: 1, ...missing },
      { _id: 2, ...missing, Beta: 'b"q', Zeta: "z" },
      { _id: 3, ...missing, Alpha: 7 },
    ]);
    expect(readsOf(calls)).toBe(2 * 4);
  });

  test("that the published file has are expected, and no second reading is needed", async () => {
    const deps = start();
    const pages = [[recordOf(1)], [recordOf(2, { Beta: "b", Alpha: "a" })]];
    await assembleRun(await completeRun(deps, oneWindow(...pages)), deps);
    const expected = await filesIn(deps);

    const run = await completeRun(deps, oneWindow(...pages), { requestId: "a week later" });
    const { port: work, calls } = recorded(deps.work);
    await assembleRun(run, { ...deps, work });
    expect(await filesIn(deps)).toEqual(expected);
    expect(readsOf(calls)).toBe(2);
  });

  test("that LibInsight no longer sends leave the file", async () => {
    const deps = start();
    await assembleRun(await completeRun(deps, oneWindow([recordOf(1, { Extra: 1 })])), deps);
    const run = await completeRun(deps, oneWindow([recordOf(1)]), { requestId: "a week later" });
    await assembleRun(run, deps);
    expect((await deps.data.getText(csvKey))?.split("\n")[0]).toBe(header);
    expect(await resultOf(run, deps)).toMatchObject({
      state: "published",
      columns: JSON.parse(`[${header}]`),
    });
  });

  test("beyond 300 mean that something else arrived: the run fails and the earlier file stays", async () => {
    const deps = start();
    const fields = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`f${n}`, n]));
    await assembleRun(await completeRun(deps, oneWindow([recordOf(1, fields)])), deps);
    const before = await headsIn(deps);

    const contents = oneWindow([recordOf(1, fields)], [recordOf(2, { more: 1 })]);
    const run = await completeRun(deps, contents, { requestId: "too many" });
    await assembleRun(run, deps);
    expect(await resultOf(run, deps)).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("301 undeclared fields; the limit is 300"),
    });
    expect(await headsIn(deps)).toEqual(before);
  });

  test("that change at each of four readings stop the assembler, which tries again later", async () => {
    const deps = start();
    const run = await completeRun(deps, oneWindow([recordOf(1)]));
    let readings = 0;
    // The page is delivered again before each reading, with another field.
    const work = before(deps.work, "getBytes", async () => {
      readings += 1;
      await putPage(run, { window: 1, pages: [[recordOf(1, { [`field ${readings}`]: 1 })]] }, 1, deps.work);
    });
    await expect(assembleRun(run, { ...deps, work })).rejects.toMatchObject({
      name: "PartsChanging",
      kind: "transient",
    });
    expect(readings).toBe(4);
    expect(await deps.data.list("", 10)).toEqual([]);
  });
});

describe("a window that disagrees with LibInsight's totals", () => {
  const good: WindowContent = { window: 1, pages: [recordsOf(1, 2)] };
  const short: WindowContent = { window: 2, pages: [recordsOf(3, 4)], totals: { totalRecords: 3 } };

  test("is fetched again, and no other", async () => {
    const deps = start();
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
    const deps = start();
    const run = await completeRun(deps, [good, short]);
    await assembleRun(run, deps, 1);
    await putWindow(run, { window: 2, attempt: 2, pages: [recordsOf(3, 4), recordsOf(5, 5)] }, deps.work);
    await assembleRun(run, deps, 2);
    expect(await publishedIds(deps)).toEqual([1, 2, 3, 4, 5]);
    expect(await resultOf(run, deps)).toMatchObject({
      state: "published",
      attempt: 2,
      windows: [
        { attempt: 1, pages: 1, totalRecords: 2 },
        { attempt: 2, pages: 2, totalRecords: 3 },
      ],
    });
  });

  test("whose task is delivered again is fetched again by the first decision", async () => {
    const deps = start();
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

  test("and that two assemblers read at once is fetched again as one of them decided", async () => {
    const deps = start();
    const run = await completeRun(deps, [good, short]);
    await Promise.all([assembleRun(run, deps), assembleRun(run, deps)]);
    const again = taskOf(run, { window: 2, attempt: 2 });
    expect(await tasksIn(deps)).toEqual([again, again]);
    expect(await deps.work.list(`${keys.folder(run.runId)}attempts/`, 10)).toEqual([
      keys.attempt(run.runId, 2),
    ]);
  });

  test("at each of three attempts holds the run, and the earlier file stays", async () => {
    const deps = start();
    const earlier = { requestId: "earlier", requestedAt: "2024-03-08T12:00:00Z" };
    await assembleRun(await completeRun(deps, [good], earlier), deps);
    deps.events.length = 0;
    const before = await headsIn(deps);

    const run = await completeRun(deps, [good, short]);
    await assembleRun(run, deps, 1);
    await putWindow(run, { ...short, attempt: 2 }, deps.work);
    await assembleRun(run, deps, 2);
    await putWindow(run, { ...short, attempt: 3 }, deps.work);
    expect(await tasksIn(deps)).toEqual([2, 3].map((attempt) => taskOf(run, { window: 2, attempt })));
    await assembleRun(run, deps, 3);

    const result = await resultOf(run, deps);
    expect(result).toMatchObject({ state: "held", attempt: 3 });
    expect(result.violations).toEqual([
      "LibInsight's numbers did not agree in 3 attempts: 2023-01-01 to 2023-12-31: LibInsight announced 3 records " +
        "and gave 2",
    ]);
    const { runId, dataset } = run;
    expect(deps.events).toEqual([{ type: "run.held", detail: { runId, dataset, reason: result.reason } }]);
    expect(await headsIn(deps)).toEqual(before);
    expect(await tasksIn(deps)).toEqual([]);
  });
});

describe("a run that violates its guard", () => {
  const ten = oneWindow(recordsOf(1, 5), recordsOf(6, 10));
  const eight = oneWindow(recordsOf(1, 4), recordsOf(5, 8));
  const later = { requestId: "later", requestedAt: "2024-03-22T12:00:00Z" };
  const fell = "rows fell from 10 to 8 (by 20 %; the limit is 10 %)";

  async function publishedTen(): Promise<Deps> {
    const deps = start();
    await assembleRun(await completeRun(deps, ten), deps);
    deps.events.length = 0;
    return deps;
  }

  test("is held: the earlier file stays, its own files are kept in the work bucket, with the reason", async () => {
    const deps = await publishedTen();
    const before = await headsIn(deps);
    const run = await completeRun(deps, eight, later);
    await assembleRun(run, deps);

    const result = await resultOf(run, deps);
    expect(result).toMatchObject({
      state: "held",
      rows: 8,
      records: 8,
      previous: { rows: 10, requestedAt: "2024-03-15T12:00:00Z" },
      violations: [fell],
    });
    expect(result.published).toBeUndefined();
    expect(result.reason).toContain(`npm run runs -- publish ${run.runId} --force --reason TEXT`);
    const { runId, dataset } = run;
    expect(deps.events).toEqual([{ type: "run.held", detail: { runId, dataset, reason: result.reason } }]);
    expect(await headsIn(deps)).toEqual(before);
    const held = parseCsv((await deps.work.getText(keys.held(run.runId))) ?? "");
    expect(held.slice(1).map(([id]) => Number(id))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect((await deps.work.getText(keys.heldLines(run.runId)))?.trimEnd().split("\n")).toHaveLength(8);
  });

  test("is published for a person's reason, which is recorded with the violations", async () => {
    const deps = await publishedTen();
    const run = await completeRun(deps, eight, later);
    await assembleRun(run, deps);
    const held = [keys.held(run.runId), keys.heldLines(run.runId)];
    const expected = await Promise.all(held.map((key) => deps.work.getText(key)));
    await assembleRun(run, deps, 1, "two were entered twice");
    await assembleRun(run, deps, 1, "two were entered twice");

    expect(await filesIn(deps)).toEqual(expected);
    expect(await resultOf(run, deps)).toMatchObject({
      state: "published",
      force: "two were entered twice",
      violations: [fell],
    });
    expect(deps.events.map(({ type }) => type)).toEqual(["run.held", "run.published", "run.published"]);
  });

  test("is published at once where its request forces it", async () => {
    const deps = await publishedTen();
    const run = { ...runOf("forced", { windows: [["2022-01-01", "2022-12-31"]] }), force: "only this year" };
    await putRun(run, deps.work);
    await putWindow(run, { window: 1, pages: [recordsOf(1, 1)] }, deps.work);
    await assembleRun(run, deps);
    expect(await resultOf(run, deps)).toMatchObject({ state: "published", force: "only this year" });
    expect(await publishedIds(deps)).toEqual([1]);
  });

  test("is held where a column lost all of its values", async () => {
    const deps = await publishedTen();
    const renamed = Array.from({ length: 10 }, (_, index) =>
      recordOf(index + 1, { mode: undefined, "Mode of contact": ["Chat"] }),
    );
    const run = await completeRun(deps, oneWindow(renamed), later);
    await assembleRun(run, deps);
    expect((await resultOf(run, deps)).violations).toEqual([
      'the column "mode" vanished: 10 rows had a value, now none has',
    ]);
  });

  test("is held by the rows of the published file where that run's result has expired", async () => {
    const deps = await publishedTen();
    const afterMonths = { ...deps, work: local.store() };
    const run = await completeRun(afterMonths, eight, later);
    await assembleRun(run, afterMonths);
    expect((await resultOf(run, afterMonths)).violations).toEqual([fell]);
  });
});

describe("a published file that no run wrote", () => {
  test.each([
    { what: "the predecessor's", metadata: {} },
    { what: "one with other metadata", metadata: { "run-id": "other", "requested-at": "long ago" } },
  ])("is replaced, and is no baseline: $what", async ({ metadata }) => {
    const deps = start();
    await writeAs(metadata, deps.data);
    const run = await completeRun(deps, oneWindow(recordsOf(1, 2)));
    await assembleRun(run, deps);
    const { state, violations, previous } = await resultOf(run, deps);
    expect({ state, violations, previous }).toEqual({ state: "published", violations: [] });
    expect(await publishedIds(deps)).toEqual([1, 2]);
  });
});

describe("assembling twice", () => {
  const contents: WindowContent[] = [
    { window: 1, pages: [recordsOf(1, 3)] },
    { window: 2, pages: [[recordOf(2, { Extra: 1 }), recordOf(4)]] },
  ];

  test("one after the other writes once, and publishes the same event again", async () => {
    const deps = start();
    const run = await completeRun(deps, contents);
    await assembleRun(run, deps);
    const result = await deps.work.getText(keys.result(run.runId));
    await assembleRun(run, { ...deps, now: () => new Date("2030-01-01T00:00:00Z") });
    expect(await deps.work.getText(keys.result(run.runId))).toBe(result);
    expect(deps.events).toHaveLength(2);
    expect(deps.events[1]).toEqual(deps.events[0]);
  });

  // The first two uploads are those of the reading that finds the column Extra.
  test.each([
    { died: "before the CSV was in place", port: "data", method: "upload", call: 3, effect: false },
    { died: "right after the CSV was in place", port: "data", method: "upload", call: 3, effect: true },
    { died: "before the JSON lines were in place", port: "data", method: "upload", call: 4, effect: false },
    { died: "right after both were in place", port: "data", method: "upload", call: 4, effect: true },
    { died: "before its result was written", port: "work", method: "put", call: 1, effect: false },
  ] as const)("because the first one died $died gives the same bytes", async (fault) => {
    const undisturbed = start();
    await assembleRun(await completeRun(undisturbed, contents), undisturbed);
    const deps = start();
    const run = await completeRun(deps, contents);
    const dying = { ...deps, [fault.port]: failing(deps[fault.port], fault.method, fault) };
    await expect(assembleRun(run, dying)).rejects.toThrow("failed");
    expect(await deps.work.head(keys.result(run.runId))).toBeUndefined();

    await assembleRun(run, deps);
    expect(await filesIn(deps)).toEqual(await filesIn(undisturbed));
    const { published, ...result } = await resultOf(run, deps);
    expect(published).toBeDefined();
    expect(await resultOf(run, undisturbed)).toMatchObject(result);
    expect(deps.events).toHaveLength(1);
  });

  test("at the same time gives the same bytes", async () => {
    const deps = start();
    const run = await completeRun(deps, contents);
    await Promise.all([assembleRun(run, deps), assembleRun(run, deps)]);
    expect(await publishedIds(deps)).toEqual([1, 2, 3, 4]);
    expect(await resultOf(run, deps)).toMatchObject({ state: "published", rows: 4 });
  });

  test("a run that failed publishes its failure again and does not try again", async () => {
    const deps = start();
    const run = await completeRun(deps, contents);
    const { runId, dataset } = run;
    const { published: _none, ...failed } = firstResultOf({ runId, state: "failed", reason: "because" });
    await deps.work.put(keys.result(runId), JSON.stringify(failed), "application/json");
    await assembleRun(run, deps);
    expect(deps.events).toEqual([{ type: "run.failed", detail: { runId, dataset, reason: "because" } }]);
    expect(await deps.data.list("", 10)).toEqual([]);
  });
});

describe("of two runs", () => {
  const older = { requestId: "older", requestedAt: "2024-03-08T12:00:00Z" };
  const newer = { requestId: "newer", requestedAt: "2024-03-15T12:00:00Z" };
  const one = oneWindow(recordsOf(1, 1));
  const two = oneWindow(recordsOf(1, 2));

  test("the newer one replaces the older one's file, and its result has what it replaced", async () => {
    const deps = start();
    const first = await completeRun(deps, one, older);
    await assembleRun(first, deps);
    const second = await completeRun(deps, two, newer);
    await assembleRun(second, deps);
    expect(await publishedIds(deps)).toEqual([1, 2]);
    expect((await resultOf(first, deps)).previous).toBeUndefined();
    expect((await resultOf(second, deps)).previous).toEqual({ rows: 1, requestedAt: older.requestedAt });
  });

  test("the older one is superseded, with the newer one's id and its own counts, and the newer one's files stay", async () => {
    const deps = start();
    const newerRun = await completeRun(deps, two, newer);
    await assembleRun(newerRun, deps);
    const before = await headsIn(deps);
    const olderRun = await completeRun(deps, one, older);
    await assembleRun(olderRun, deps);

    const { published, ...result } = await resultOf(olderRun, deps);
    expect(published).toBeUndefined();
    expect(result).toMatchObject({
      state: "superseded",
      records: 1,
      rows: 1,
      reason: expect.stringContaining(newerRun.runId),
    });
    const { runId, dataset } = olderRun;
    expect(deps.events[1]).toEqual({
      type: "run.superseded",
      detail: { runId, dataset, reason: result.reason },
    });
    expect(await headsIn(deps)).toEqual(before);
  });

  test("the older one stops where only the newer one's CSV is in place, and leaves it the JSON lines", async () => {
    const deps = start();
    await writeAs({ "run-id": "the-newer-run", "requested-at": newer.requestedAt }, deps.data);
    const run = await completeRun(deps, one, older);
    await assembleRun(run, deps);
    expect(await resultOf(run, deps)).toMatchObject({
      state: "superseded",
      reason: expect.stringContaining("the-newer-run"),
    });
    expect(await deps.data.list("", 10)).toEqual([csvKey]);
  });

  test("requested in the same second the one that is assembled last is published", async () => {
    const deps = start();
    await assembleRun(await completeRun(deps, one, { ...newer, requestId: "a" }), deps);
    const run = await completeRun(deps, two, { ...newer, requestId: "b" });
    await assembleRun(run, deps);
    expect(await resultOf(run, deps)).toMatchObject({ state: "published" });
    expect(await publishedIds(deps)).toEqual([1, 2]);
  });
});

describe("another writer during the upload", () => {
  const contents = oneWindow(recordsOf(1, 2), recordsOf(3, 3));

  /** Deps in which another writer writes `key` before each of the first `times` reads of page 2. */
  function contended(run: Run, deps: Deps, rival: Record<string, string>, key: string, times: number): Deps {
    const page2 = keys.part({ runId: run.runId, window: 1, attempt: 1, page: 2 });
    let writes = 0;
    const work = before(deps.work, "getBytes", async (read) => {
      if (read !== page2 || writes === times) return;
      writes += 1;
      await writeAs(rival, deps.data, key, `rival ${writes}`);
    });
    return { ...deps, work };
  }
  const older = { "run-id": "older", "requested-at": "2024-03-01T12:00:00Z" };
  const newer = { "run-id": "newer", "requested-at": "2024-03-22T12:00:00Z" };

  test.each([csvKey, jsonlKey])("of an older run is overwritten: %s", async (key) => {
    const deps = start();
    const run = await completeRun(deps, contents);
    await assembleRun(run, contended(run, deps, older, key, 4));
    expect(await publishedIds(deps)).toEqual([1, 2, 3]);
    expect(await publishedLines(deps)).toHaveLength(3);
    expect(await resultOf(run, deps)).toMatchObject({
      state: "published",
      records: 3,
      rows: 3,
      duplicates: 0,
    });
  });

  test.each([csvKey, jsonlKey])("of a newer run supersedes this one: %s", async (key) => {
    const deps = start();
    const run = await completeRun(deps, contents);
    await assembleRun(run, contended(run, deps, newer, key, 1));
    expect(await deps.data.getText(key)).toBe("rival 1");
    expect(await resultOf(run, deps)).toMatchObject({
      state: "superseded",
      records: 3,
      rows: 3,
      duplicates: 0,
    });
  });

  test("at each of five attempts stops the assembler, which tries again later", async () => {
    const deps = start();
    const run = await completeRun(deps, contents);
    await expect(assembleRun(run, contended(run, deps, older, csvKey, 9))).rejects.toMatchObject({
      name: "PublishContended",
      kind: "transient",
      ids: { run: run.runId },
    });
    expect(await filesIn(deps)).toEqual(["rival 5", undefined]);
  });
});

describe("a failure in mid-stream leaves nothing", () => {
  // More than an upload buffers.
  const pages = Array.from({ length: 60 }, (_, index) => [
    recordOf(index + 1, { "Comments/Notes": "x".repeat(100_000) }),
  ]);

  test.each([1, 2])("of upload %i, and the reading ends", async (call) => {
    const deps = start();
    const run = await completeRun(deps, oneWindow(...pages));
    const { port: work, calls } = recorded(deps.work);
    const data = failing(deps.data, "upload", { call, effect: false });
    await expect(assembleRun(run, { ...deps, work, data })).rejects.toThrow("of upload failed");
    expect(calls.filter((each) => each.startsWith("getBytes")).length).toBeLessThan(60);
    expect(await deps.data.list("", 10)).toEqual([]);
  });

  test("of a read", async () => {
    const deps = start();
    const run = await completeRun(deps, oneWindow(...pages));
    const work = failing(deps.work, "getBytes", { call: 40, effect: true });
    await expect(assembleRun(run, { ...deps, work })).rejects.toThrow("of getBytes failed");
    expect(await deps.data.list("", 10)).toEqual([]);
  });
});

describe("an object that is missing from the work bucket is an error that names the run", () => {
  test.each([
    { what: "run.json", name: "RunMissing", attempt: 1, prepare: async () => {} },
    {
      what: "a window's totals",
      name: "WindowMissing",
      attempt: 1,
      prepare: (run: Run, { work }: Deps) => putRun(run, work),
    },
    {
      what: "an attempt",
      name: "AttemptMissing",
      attempt: 2,
      prepare: async (_run: Run, deps: Deps) => {
        await completeRun(deps, oneWindow(recordsOf(1, 1)));
      },
    },
  ])("$what", async ({ name, attempt, prepare }) => {
    const deps = start();
    const run = runOf("run");
    await prepare(run, deps);
    await expect(assembleRun(run, deps, attempt)).rejects.toMatchObject({
      name,
      ids: expect.objectContaining({ run: run.runId }),
    });
  });
});

describe("the service", () => {
  async function assembleMessage(run: Run, deps: Deps) {
    const mailbox = local.mailbox("assembler");
    const { runId, dataset } = run;
    const body = messageBody({ runId, dataset, attempt: 1 });
    await mailbox.source.send(body, { group: dataset, deduplicationId: runId });
    const result = await runService(assemblerService, deps, mailbox, await receive(mailbox.source));
    return { result, deadLetters: await receive(mailbox.deadLetters) };
  }

  test("publishes the run of a task", async () => {
    const deps = start();
    const run = await completeRun(deps, oneWindow(recordsOf(1, 2)));
    const { result } = await assembleMessage(run, deps);
    expect(result).toMatchObject({ done: [expect.anything()], retried: [], deadLetters: [] });
    expect(deps.events).toMatchObject([{ type: "run.published", detail: { runId: run.runId, rows: 2 } }]);
  });

  test("dead-letters the task of a run with a damaged part, and publishes nothing", async () => {
    const deps = start();
    const run = await completeRun(deps, oneWindow(recordsOf(1, 2), recordsOf(3, 4)));
    const damaged = keys.part({ runId: run.runId, window: 1, attempt: 1, page: 2 });
    const part = await deps.work.getBytes(damaged);
    await deps.work.put(damaged, part?.subarray(0, -1) ?? "", "text/plain");
    const { deadLetters } = await assembleMessage(run, deps);
    expect(deadLetters).toMatchObject([
      { attributes: { Error: "PartUnreadable", ErrorText: expect.stringContaining(damaged) } },
    ]);
    expect(await deps.data.list("", 10)).toEqual([]);
    expect(deps.events).toEqual([]);
  });
});
