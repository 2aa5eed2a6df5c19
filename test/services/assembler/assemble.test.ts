// Tests the assembler with parts that the real transformer wrote.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type AssemblerDeps, assemble } from "../../../services/assembler/assemble.ts";
import { assemblerService } from "../../../services/assembler/service.ts";
import { type Dataset, dataset as datasetSchema, outputColumns } from "../../../shared/dataset-schema.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { fingerprintOf } from "../../../shared/fingerprint.ts";
import { readKeptIndex } from "../../../shared/kept.ts";
import { keys } from "../../../shared/keys.ts";
import type { LocalStore } from "../../../shared/local/local-store.ts";
import { parquetKey } from "../../../shared/parquet-file.ts";
import { messageBody } from "../../../shared/ports.ts";
import { type Run, type RunResult, runAttempt, runResult, windowSearch } from "../../../shared/run.ts";
import { recordOf, recordsOf } from "../../factories/libinsight-records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { firstResultOf } from "../../factories/results.ts";
import { before, failing, intercepted, recorded } from "../../support/intercepted-ports.ts";
import {
  capturedEvents,
  type EmittedEvent,
  receive,
  runService,
  takeJson,
  takeTasks,
  useLocal,
} from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";
import { changeFiles } from "../../support/rebuilt-publications.ts";
import { ScriptedQueryEngine } from "../../support/scripted-query-engine.ts";
import { parseCsv } from "../../support/transformed.ts";
import {
  addressOf,
  putAttempt,
  putPage,
  putPages,
  putRecounts,
  putRun,
  putWindow,
  type WindowContent,
} from "../../support/work-bucket.ts";

const local = useLocal();

const { csv: csvKey, jsonl: jsonlKey } = defaultDataset.publish;
const header =
  '"_id","_start_date","Question Type","Duration (in minutes)","Comments/Notes","Location","who","mode",' +
  '"answeredBy","classroom","employee","studio","affiliation","Research_Topic"';

type Deps = AssemblerDeps & { work: LocalStore; data: LocalStore; events: EmittedEvent[] };

function start(): Deps {
  return {
    work: local.store(),
    data: local.store(),
    results: local.store(),
    datasets,
    tables: new ScriptedQueryEngine(),
    fetcherQueue: local.queue("fetcher"),
    ...capturedEvents(),
    now: () => new Date("2024-03-15T13:00:00Z"),
  };
}

const older = { requestId: "older", requestedAt: "2024-03-08T12:00:00Z" };
const usual = { requestId: "run", requestedAt: "2024-03-15T12:00:00Z" };
const newer = { requestId: "newer", requestedAt: "2024-03-15T12:30:00Z" };

/** `reused` are the kept parts of the first window. */
type Given = typeof usual & Pick<Run, "refresh"> & Pick<Run["windows"][number], "reused">;

/** Creates a run of one or two windows whose pages are all transformed. */
async function completeRun(
  { work }: Deps,
  contents: WindowContent[],
  { requestId, requestedAt, reused, refresh }: Given = usual,
): Promise<Run> {
  const windows: [string, string][] = [
    // Both include the date of every record.
    ["2023-01-01", "2023-06-30"],
    ["2023-05-01", "2023-12-31"],
  ];
  const planned = runOf(requestId, { windows: windows.slice(0, contents.length), requestedAt });
  const [first, ...others] = planned.windows;
  const run: Run = {
    ...planned,
    ...(first && reused && { windows: [{ ...first, reused }, ...others] }),
    ...(refresh && { refresh }),
  };
  await putRun(run, work);
  for (const content of contents) await putWindow(run, content, work);
  return run;
}

/** One window with these pages. */
const pagesOf = (...pages: unknown[][]): WindowContent[] => [{ window: 1, pages }];

/** @returns the run's result, if it has one */
async function assembleRun(
  run: Run,
  deps: Deps,
  attempt = 1,
  force?: string,
): Promise<RunResult | undefined> {
  const { runId, dataset } = run;
  await putRecounts(run, attempt, deps.work);
  await assemble({ runId, dataset, attempt, ...(force && { force }) }, deps);
  return deps.work.getJson(keys.result(runId), runResult);
}

async function assembleNew(deps: Deps, contents: WindowContent[], given: Given = usual) {
  return assembleRun(await completeRun(deps, contents, given), deps);
}

const filesIn = async ({ data }: Deps) => [await data.getText(csvKey), await data.getText(jsonlKey)];
const headsIn = async ({ data }: Deps) => [await data.head(csvKey), await data.head(jsonlKey)];
const keysIn = ({ data }: Deps) => data.list("", 10);

/** Returns the published rows as objects, from the CSV and from the JSON lines. */
async function publishedIn(deps: Deps) {
  const [csv = "", jsonl = ""] = await filesIn(deps);
  const [headers = [], ...rows] = parseCsv(csv);
  const objects = rows.map((row) => Object.fromEntries(headers.map((name, n) => [name ?? "", row[n]])));
  const lines = jsonl.split("\n").slice(0, -1);
  return {
    ids: objects.map(({ _id }) => Number(_id)),
    rows: objects,
    lines: lines.map((line): unknown => JSON.parse(line)),
  };
}

const tasksIn = ({ fetcherQueue }: Deps) => takeTasks(fetcherQueue);

/** Without the mark of a window of several pages. */
const partsIn = async ({ runId }: Run, { work }: Deps) =>
  (await Array.fromAsync(work.objects(keys.allParts(runId), 10))).flatMap(({ key, bytes }) =>
    bytes ? key : [],
  );
const readsOf = (calls: string[]) => calls.filter((call) => call.startsWith("getBytes"));

describe("a complete run", () => {
  test("publishes CSV with a header and JSON lines, ordered by window, page and row", async () => {
    const deps = start();
    const quoted = recordOf(3, { "Comments/Notes": 'said "hi",\nleft' });
    await assembleNew(deps, [
      { window: 1, pages: [[recordOf(5), quoted], [recordOf(9)]] },
      { window: 2, pages: [[recordOf(1, { "Duration (in minutes)": "", who: null })]] },
    ]);
    const line = (id: number, minutes = "5", comment = "asked the way", who = '"Undergraduate"') =>
      `${id},"2023-05-01 09:30:00","Directional",${minutes},"${comment}","Newman Library",${who},"In person",` +
      `"Student","","Employee 1",,"Arts","History"\n`;
    expect(await deps.data.getText(csvKey)).toBe(
      `${header}\n${line(5)}${line(3, "5", 'said ""hi"", left')}${line(9)}${line(1, "", "asked the way", "")}`,
    );
    expect((await publishedIn(deps)).lines).toEqual([
      expect.objectContaining({ _id: 5, Research_Topic: "History" }),
      expect.objectContaining({ _id: 3, "Comments/Notes": 'said "hi", left' }),
      expect.objectContaining({ _id: 9 }),
      expect.objectContaining({ _id: 1, "Duration (in minutes)": null, who: null }),
    ]);
  });

  test("writes a result with every count and the keys of the files", async () => {
    const deps = start();
    const answers = recordOf(1, { "Question Type": ["a", "b", "c"] });
    const reject = recordOf(2, { _start_date: null });
    const odd = recordOf(3, { "Duration (in minutes)": "long", Extra: "x" });
    const run = await completeRun(deps, [
      { window: 1, pages: [[answers, reject], [odd]] },
      { window: 2, pages: [[recordOf(3), recordOf(4)]] },
    ]);
    const reason = "the rejects are expected";
    expect(await assembleRun(run, deps)).toMatchObject({ state: "held", rows: 3 });
    deps.events.length = 0;
    const result = await assembleRun(run, deps, 1, reason);
    const [csv, jsonl] = await headsIn(deps);
    const { runId, dataset } = run;
    const [heldCsv, heldLines] = await Promise.all(
      [keys.held(runId), keys.heldLines(runId)].map((key) => deps.work.head(key)),
    );
    const typedKey = parquetKey(csvKey, runId);
    const typed = await deps.data.head(typedKey);
    expect(result).toEqual({
      runId,
      dataset: "reference-transactions",
      changes: {
        ...{ snapshot: "no file was published before", added: 0, edited: 0, deleted: 0, moved: 0 },
        ...{ columns: {}, months: [] },
      },
      state: "published",
      violations: [{ kind: "quality", text: "1 of 5 records were rejected (20%; the limit is 5%)" }],
      expectations: [],
      force: reason,
      from: "2023-01-01",
      to: "2023-12-31",
      requestedAt: "2024-03-15T12:00:00Z",
      finishedAt: "2024-03-15T13:00:00.000Z",
      attempt: 1,
      windows: [
        {
          ...{ from: "2023-01-01", to: "2023-06-30", attempt: 1, period: 1, pages: 2, totalRecords: 3 },
          ...{ rows: 2, duplicates: 0, rejected: 1 },
        },
        {
          ...{ from: "2023-05-01", to: "2023-12-31", attempt: 1, period: 2, pages: 1, totalRecords: 2 },
          ...{ rows: 1, duplicates: 1, rejected: 0 },
        },
      ],
      records: 5,
      rows: 3,
      duplicates: 1,
      rejects: { "missing _start_date": 1 },
      furtherAnswers: { "Question Type": 2 },
      mistyped: { "Duration (in minutes)": 1 },
      undeclared: { Extra: 1 },
      filled: expect.objectContaining({ _id: 4, "Duration (in minutes)": 4, Extra: 1, Research_Topic: 4 }),
      columns: [...JSON.parse(`[${header}]`), "Extra"],
      entry: fingerprintOf(defaultDataset),
      parquet: { key: typedKey, etag: typed?.etag, bytes: typed?.bytes },
      held: {
        csv: { key: keys.held(runId), etag: heldCsv?.etag, bytes: heldCsv?.bytes },
        jsonl: { key: keys.heldLines(runId), etag: heldLines?.etag, bytes: heldLines?.bytes },
      },
      published: {
        bucket: deps.data.bucket,
        csv: { key: csvKey, etag: csv?.etag, bytes: csv?.bytes },
        jsonl: { key: jsonlKey, etag: jsonl?.etag, bytes: jsonl?.bytes },
      },
    });
    const metadata = {
      dataset,
      "run-id": runId,
      "requested-at": "2024-03-15T12:00:00Z",
      entry: fingerprintOf(defaultDataset),
    };
    expect([csv?.metadata, jsonl?.metadata]).toEqual([metadata, metadata]);
    expect([csv?.contentType, jsonl?.contentType]).toEqual([
      "text/csv; charset=utf-8",
      "application/x-ndjson",
    ]);
    expect(deps.events).toEqual([
      { type: "run.published", detail: { runId, dataset, bucket: deps.data.bucket, key: csvKey, rows: 3 } },
    ]);
    expect(await tasksIn(deps)).toEqual([]);
  });

  test("reads each part once and uploads each file once", async () => {
    const deps = start();
    const run = await completeRun(deps, [
      { window: 1, pages: [[recordOf(1)], [recordOf(2)], [recordOf(3)]] },
      { window: 2, pages: [[recordOf(4)]] },
    ]);
    const work = recorded(deps.work);
    const data = recorded(deps.data);
    await assembleRun(run, { ...deps, work: work.port, data: data.port });
    const parts = await partsIn(run, deps);
    expect(parts).toHaveLength(4);
    expect(readsOf(work.calls)).toEqual(parts.map((key) => `getBytes ${key}`));
    expect(data.calls.filter((call) => call.startsWith("upload"))).toEqual([
      `upload ${csvKey}`,
      `upload ${jsonlKey}`,
      `upload ${parquetKey(csvKey, run.runId)}`,
      `upload ${keys.changesFile(run.dataset, run.runId)}`,
    ]);
  });

  test("sets finishedAt after every file is published", async () => {
    const deps = start();
    let uploaded = 0;
    const data = intercepted(deps.data, (method, _args, act) => {
      const count = async () => {
        const result = await act();
        uploaded += 1;
        return result;
      };
      return method === "upload" ? count() : act();
    });
    const now = () => new Date(Date.UTC(2024, 2, 15, 13, uploaded));
    const result = await assembleNew({ ...deps, data, now }, pagesOf(recordsOf(1, 2)));
    expect(result?.finishedAt).toBe("2024-03-15T13:04:00.000Z");
  });

  test("holds a run with an empty file if all records were rejected", async () => {
    const deps = start();
    const run = await completeRun(deps, pagesOf([recordOf(1, { _start_date: "" }), "x"]));
    expect(await assembleRun(run, deps)).toMatchObject({
      state: "held",
      records: 2,
      rows: 0,
      rejects: { "missing _start_date": 1, "not a record": 1 },
    });
    expect(await deps.work.getText(keys.held(run.runId))).toBe(`${header}\n`);
    expect(await keysIn(deps)).toEqual([]);
  });
});

describe("duplicates", () => {
  test("removes and counts duplicates in later windows, and keeps the first row", async () => {
    const deps = start();
    const result = await assembleNew(deps, [
      { window: 1, pages: [[recordOf(1, { who: "first" })], [recordOf(2)]] },
      { window: 2, pages: [[recordOf(3), recordOf(1, { who: "second" })], [recordOf(2)]] },
    ]);
    expect(result).toMatchObject({ records: 5, rows: 3, duplicates: 2, attempt: 1 });
    const { ids, rows, lines } = await publishedIn(deps);
    expect(ids).toEqual([1, 2, 3]);
    expect(rows[0]).toMatchObject({ who: "first" });
    expect(lines).toMatchObject([{ _id: 1, who: "first" }, { _id: 2 }, { _id: 3 }]);
  });

  test("holds a run with duplicates in a window at its last attempt, because they may hide lost records", async () => {
    const deps = start();
    const pages = [[recordOf(1), recordOf(2)], [recordOf(1)]];
    const run = await completeRun(deps, pagesOf(...pages));
    await putAttempt(run, [3], deps.work);
    await putWindow(run, { window: 1, attempt: 3, pages }, deps.work);
    expect(await assembleRun(run, deps, 3)).toMatchObject({
      state: "held",
      violations: [{ kind: "disagreement", text: expect.stringContaining("some records occur twice") }],
      attempt: 3,
      records: 3,
      rows: 2,
      duplicates: 1,
    });
    expect(await keysIn(deps)).toEqual([]);
  });
});

describe("undeclared columns", () => {
  test("adds the undeclared columns of any page to every row, sorted, in a second pass over the parts", async () => {
    const deps = start();
    const run = await completeRun(deps, [
      { window: 1, pages: [[recordOf(1)], [recordOf(2, { Zeta: "z", Beta: 'b"q' })]] },
      { window: 2, pages: [[recordOf(3, { Alpha: 7 })], [recordOf(2, { Gone: "x" })]] },
    ]);
    const { port: work, calls } = recorded(deps.work);
    await assembleRun(run, { ...deps, work });
    const missing = { Alpha: null, Beta: null, Gone: null, Zeta: null };
    const { rows, lines } = await publishedIn(deps);
    expect((await deps.data.getText(csvKey))?.split("\n")[0]).toBe(`${header},"Alpha","Beta","Gone","Zeta"`);
    expect(rows).toMatchObject([
      { _id: "1", Research_Topic: "History", ...missing },
      { _id: "2", Research_Topic: "History", ...missing, Beta: 'b"q', Zeta: "z" },
      { _id: "3", Research_Topic: "History", ...missing, Alpha: "7" },
    ]);
    expect(lines).toMatchObject([
      { _id: 1, ...missing },
      { _id: 2, ...missing, Beta: 'b"q', Zeta: "z" },
      { _id: 3, ...missing, Alpha: 7 },
    ]);
    expect(readsOf(calls)).toHaveLength(2 * 4);
  });

  test("needs no second pass for undeclared columns that the published file has", async () => {
    const deps = start();
    const contents = pagesOf([recordOf(1)], [recordOf(2, { Beta: "b", Alpha: "a" })]);
    await assembleNew(deps, contents);
    const expected = await filesIn(deps);
    const { port: work, calls } = recorded(deps.work);
    await assembleNew({ ...deps, work }, contents, newer);
    expect(await filesIn(deps)).toEqual(expected);
    expect(readsOf(calls)).toHaveLength(2);
  });

  test("sorts undeclared columns, whatever their order in the published file", async () => {
    const deps = start();
    await overwrite(deps.data, csvKey, `${header},"Zeta","Beta"\n`, { "run-id": "other" });
    await assembleNew(deps, pagesOf([recordOf(1, { Zeta: "z", Beta: "b" })]));
    expect((await deps.data.getText(csvKey))?.split("\n")[0]).toBe(`${header},"Beta","Zeta"`);
    expect((await publishedIn(deps)).rows).toMatchObject([{ Beta: "b", Zeta: "z" }]);
  });

  test("removes undeclared columns that LibInsight no longer sends", async () => {
    const deps = start();
    await assembleNew(deps, pagesOf([recordOf(1, { Extra: 1 })]));
    const result = await assembleNew(deps, pagesOf([recordOf(1)]), newer);
    expect(result).toMatchObject({ state: "published", columns: JSON.parse(`[${header}]`) });
    expect((await deps.data.getText(csvKey))?.split("\n")[0]).toBe(header);
  });

  test("fails a run with more than 300 undeclared columns, and the earlier file stays", async () => {
    const deps = start();
    const fields = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`f${n}`, n]));
    expect(await assembleNew(deps, pagesOf([recordOf(1, fields)]))).toMatchObject({ state: "published" });
    const expected = await headsIn(deps);
    const more = pagesOf([recordOf(1, fields)], [recordOf(2, { more: 1 })]);
    expect(await assembleNew(deps, more, newer)).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("more than 300 undeclared fields"),
    });
    expect(await headsIn(deps)).toEqual(expected);
  });

  test("throws a transient error if undeclared columns change during each of four passes", async () => {
    const deps = start();
    const run = await completeRun(deps, pagesOf([recordOf(1)]));
    let passes = 0;
    const work = before(deps.work, "getBytes", async (read) => {
      passes += 1;
      const other = start().work;
      await putPage(run, { window: 1, pages: [[recordOf(1, { [`field ${passes}`]: 1 })]] }, 1, other);
      const key = z.string().parse(read);
      await deps.work.put(key, (await other.getBytes(key)) ?? "", "text/plain");
    });
    await expect(assembleRun(run, { ...deps, work })).rejects.toMatchObject({
      name: "PartsChanging",
      kind: "transient",
      ids: { run: run.runId },
    });
    expect(passes).toBe(4);
    expect(await keysIn(deps)).toEqual([]);
  });
});

describe("a window that disagrees with LibInsight", () => {
  const good: WindowContent = { window: 1, pages: [recordsOf(1, 2)] };
  const short: WindowContent = { window: 2, pages: [recordsOf(3, 4)], totals: { totalRecords: 3 } };
  const disagreement = "2023-05-01 to 2023-12-31: LibInsight announced 3 records and sent 2";
  const shifted: WindowContent = { window: 1, pages: [[recordOf(1)], [recordOf(1)]] };
  const other: WindowContent = { window: 2, pages: [recordsOf(2, 3)] };

  test.each([
    { what: "its counts", contents: [good, short], again: 2, because: disagreement },
    {
      what: "a repeated id, because its pages shifted",
      contents: [shifted, other],
      again: 1,
      because: "window 1: some records occur twice, because pages shifted while they were fetched",
    },
  ])(
    "refetches only the window that disagrees in $what, and sends the same tasks for a repeated task",
    async (given) => {
      const deps = start();
      const run = await completeRun(deps, given.contents);
      const { port: work, calls } = recorded(deps.work);
      const parts = await partsIn(run, deps);
      for (const reads of [parts.length, 0]) {
        calls.length = 0;
        expect(await assembleRun(run, { ...deps, work })).toBeUndefined();
        expect(await deps.work.getJson(keys.attempt(run.runId, 2), runAttempt)).toEqual({
          attempt: 2,
          windows: [1, 2].map((window) => (window === given.again ? 2 : 1)),
          because: [given.because],
        });
        expect(readsOf(calls)).toHaveLength(reads);
        expect(await tasksIn(deps)).toEqual([
          taskOf(run, { window: given.again, attempt: 2, last: given.again }),
        ]);
      }
      expect(deps.events).toEqual([]);
      expect(await keysIn(deps)).toEqual([]);
    },
  );

  test("starts one further attempt for two concurrent assemblers", async () => {
    const deps = start();
    const run = await completeRun(deps, [good, short]);
    await Promise.all([assembleRun(run, deps), assembleRun(run, deps)]);
    const again = taskOf(run, { window: 2, attempt: 2 });
    expect(await tasksIn(deps)).toEqual([again, again]);
    const attempts = await deps.work.list(`${keys.folder(run.runId)}attempts/`, 10);
    expect(attempts).toEqual([keys.attempt(run.runId, 2)]);
  });

  test("refetches as the first of two assemblers decided, if the second one reads other parts", async () => {
    const deps = start();
    const run = await completeRun(deps, [good, short]);
    const work = before(deps.work, "putOnce", async (key) => {
      if (key === keys.attempt(run.runId, 2)) await putAttempt(run, [2, 1], deps.work);
    });
    expect(await assembleRun(run, { ...deps, work })).toBeUndefined();
    expect(await tasksIn(deps)).toEqual([taskOf(run, { window: 1, attempt: 2, last: 1 })]);
  });

  test("refetches two windows that disagree for different reasons, and stores both reasons", async () => {
    const deps = start();
    const run = await completeRun(deps, [shifted, short]);
    expect(await assembleRun(run, deps)).toBeUndefined();
    expect(await deps.work.getJson(keys.attempt(run.runId, 2), runAttempt)).toMatchObject({
      windows: [2, 2],
      because: [expect.stringContaining("window 1"), disagreement],
    });
    expect(await tasksIn(deps)).toHaveLength(2);
  });

  test("holds a run whose window disagrees in each of three attempts, and the earlier file stays", async () => {
    const deps = start();
    await assembleNew(deps, [good], older);
    deps.events.length = 0;
    const expected = await headsIn(deps);
    const run = await completeRun(deps, [good, short]);
    for (const attempt of [2, 3]) {
      expect(await assembleRun(run, deps, attempt - 1)).toBeUndefined();
      expect(await tasksIn(deps)).toEqual([taskOf(run, { window: 2, attempt })]);
      await putWindow(run, { ...short, attempt }, deps.work);
    }
    const result = await assembleRun(run, deps, 3);
    expect(result).toMatchObject({
      state: "held",
      attempt: 3,
      violations: [
        {
          kind: "disagreement",
          text: `the counts disagree with LibInsight after 3 attempts: ${disagreement}`,
        },
      ],
    });
    const { runId, dataset } = run;
    expect(deps.events).toEqual([{ type: "run.held", detail: { runId, dataset, reason: result?.reason } }]);
    expect(await headsIn(deps)).toEqual(expected);
    expect(await tasksIn(deps)).toEqual([]);
  });
});

describe("a run that violates its guard", () => {
  const ten = pagesOf(recordsOf(1, 5), recordsOf(6, 10));
  const eight = pagesOf(recordsOf(1, 4), recordsOf(5, 8));
  const fell = { kind: "comparison", text: "rows fell from 10 to 8 (by 20%; the limit is 10%)" };

  async function publishedTen(): Promise<Deps> {
    const deps = start();
    await assembleNew(deps, ten);
    deps.events.length = 0;
    return deps;
  }

  test("holds the run with a reason and keeps its files in the work bucket, and the earlier file stays", async () => {
    const deps = await publishedTen();
    const expected = await headsIn(deps);
    const run = await completeRun(deps, eight, newer);
    const { runId, dataset } = run;
    const result = await assembleRun(run, deps);
    expect(result).toMatchObject({
      state: "held",
      rows: 8,
      records: 8,
      previous: { rows: 10, requestedAt: usual.requestedAt },
      violations: [fell],
      reason: expect.stringContaining(`npm run runs -- publish ${runId} --force --reason TEXT`),
    });
    expect(result?.published).toBeUndefined();
    expect(deps.events).toEqual([{ type: "run.held", detail: { runId, dataset, reason: result?.reason } }]);
    expect(await headsIn(deps)).toEqual(expected);
    const held = parseCsv((await deps.work.getText(keys.held(runId))) ?? "");
    expect(held.slice(1).map(([id]) => Number(id))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect((await deps.work.getText(keys.heldLines(runId)))?.trimEnd().split("\n")).toHaveLength(8);
  });

  test("publishes a held run by force and records the reason with the violations", async () => {
    const deps = await publishedTen();
    const run = await completeRun(deps, eight, newer);
    await assembleRun(run, deps);
    const held = [keys.held(run.runId), keys.heldLines(run.runId)];
    const expected = await Promise.all(held.map((key) => deps.work.getText(key)));
    const force = "two were entered twice";
    const { port: data, calls } = recorded(deps.data);
    for (let delivery = 1; delivery <= 2; delivery++) {
      const result = await assembleRun(run, { ...deps, data }, 1, force);
      expect(result).toMatchObject({ state: "published", force, violations: [fell] });
    }
    expect(calls.filter((call) => call.startsWith("upload"))).toHaveLength(4);
    expect((await changeFiles(run.dataset, deps.data)).at(-1)).toHaveLength(3);
    expect(await filesIn(deps)).toEqual(expected);
    expect(deps.events.map(({ type }) => type)).toEqual(["run.held", "run.published", "run.published"]);
  });

  test("leaves a run held if its task is delivered again without force", async () => {
    const deps = await publishedTen();
    const expected = await headsIn(deps);
    const run = await completeRun(deps, eight, newer);
    const held = await assembleRun(run, deps);
    expect(await assembleRun(run, deps)).toEqual(held);
    expect(await headsIn(deps)).toEqual(expected);
    expect(deps.events.map(({ type }) => type)).toEqual(["run.held", "run.held"]);
  });

  test("supersedes a held run, even by force, if a newer run has published", async () => {
    const deps = await publishedTen();
    const run = await completeRun(deps, eight, newer);
    await assembleRun(run, deps);
    const newest = { requestId: "newest", requestedAt: "2024-03-15T12:45:00Z" };
    const { runId: by = "" } = (await assembleNew(deps, ten, newest)) ?? {};
    const expected = await headsIn(deps);
    deps.events.length = 0;
    const result = await assembleRun(run, deps, 1, "looks good");
    expect(result).toMatchObject({ state: "superseded", rows: 8, reason: expect.stringContaining(by) });
    expect(deps.events).toMatchObject([{ type: "run.superseded", detail: { runId: run.runId } }]);
    expect(await headsIn(deps)).toEqual(expected);
  });

  /** Assembles a run whose request skips the comparison with the published file, because it names dates. */
  async function assembleSkipping(deps: Deps, content: WindowContent) {
    const run = { ...runOf("dates"), skipComparison: "dates were named" };
    await putRun(run, deps.work);
    await putWindow(run, content, deps.work);
    return assembleRun(run, deps, 3);
  }

  test("publishes without review if the request skips the comparison", async () => {
    const deps = await publishedTen();
    await putAttempt(runOf("dates"), [1], deps.work, 3);
    const content = { window: 1, pages: [recordsOf(1, 1)] };
    expect(await assembleSkipping(deps, content)).toMatchObject({
      state: "published",
      force: "dates were named",
      violations: [{ kind: "comparison", text: "rows fell from 10 to 1 (by 90%; the limit is 10%)" }],
    });
    expect((await publishedIn(deps)).ids).toEqual([1]);
  });

  test("records no force reason if the skipped comparison finds nothing", async () => {
    const deps = await publishedTen();
    await putAttempt(runOf("dates"), [1], deps.work, 3);
    const result = await assembleSkipping(deps, { window: 1, pages: [recordsOf(1, 10)] });
    expect(result).toMatchObject({ state: "published", violations: [] });
    expect(result).not.toHaveProperty("force");
  });

  test.each([
    { kind: "disagreement", content: { pages: [recordsOf(1, 2)], totals: { totalRecords: 450 } } },
    { kind: "empty", content: { pages: [[]] } },
    { kind: "quality", content: { pages: [[recordOf(1), "x"]] } },
  ])(
    "holds a run for the violation $kind, even if its request skips the comparison",
    async ({ kind, content }) => {
      const deps = await publishedTen();
      await putAttempt(runOf("dates"), [1], deps.work, 3);
      const expected = await headsIn(deps);
      const result = await assembleSkipping(deps, { window: 1, ...content });
      expect(result).toMatchObject({ state: "held" });
      expect(result?.violations.map((violation) => violation.kind)).toContain(kind);
      expect(await headsIn(deps)).toEqual(expected);
    },
  );

  test("compares with the rows of the published file if the result of its run has expired", async () => {
    const deps = { ...(await publishedTen()), work: local.store() };
    expect(await assembleNew(deps, eight, newer)).toMatchObject({ state: "held", violations: [fell] });
  });
});

describe("expectations", () => {
  const expecting = (...expectations: object[]): Pick<Deps, "datasets"> => ({
    datasets: [datasetSchema.parse({ ...defaultDataset, expectations })],
  });
  const allMet = {
    title: expect.any(String),
    state: "met",
    holds: true,
    limit: expect.any(String),
    text: "",
  };
  const onDays = (first: number, last: number, mode = "In person") =>
    recordsOf(first, last).map((record, n) => ({
      ...record,
      mode: [mode],
      _start_date: `2023-12-${String((n % 31) + 1).padStart(2, "0")} 10:${String(n % 60).padStart(2, "0")}:00`,
    }));
  const inTwo = (records: unknown[]) => [
    { window: 1, pages: [[]] },
    { window: 2, pages: [records] },
  ];

  test("that are met are in the result", async () => {
    const deps = { ...start(), ...expecting({ kind: "newest", action: "hold" }) };
    expect(await assembleNew(deps, inTwo(onDays(1, 31)))).toMatchObject({
      state: "published",
      violations: [],
      expectations: [{ ...allMet, found: "0 days" }],
    });
  });

  test("with the action hold keep a run from being published, and a person can publish it", async () => {
    const deps = { ...start(), ...expecting({ kind: "newest", action: "hold" }) };
    const run = await completeRun(deps, pagesOf(recordsOf(1, 2)));
    const text = "the newest record is of 2023-05-01, 60 days before the end of the range";
    const held = {
      violations: [{ kind: "expectation", text }],
      expectations: [{ state: "unmet", holds: true, text }],
    };
    const result = await assembleRun(run, deps);
    expect(result).toMatchObject({ state: "held", ...held });
    expect(result?.reason).toContain(`nothing is published: ${text}.`);
    expect(await assembleRun(run, deps, 1, "closed")).toMatchObject({
      state: "published",
      force: "closed",
      ...held,
    });
  });

  test("with the action warn are in the result of a published run", async () => {
    const deps = { ...start(), ...expecting({ kind: "newest" }) };
    expect(await assembleNew(deps, pagesOf(recordsOf(1, 2)))).toMatchObject({
      state: "published",
      violations: [],
      expectations: [{ state: "unmet", holds: false, found: "60 days", limit: "7 days" }],
    });
  });

  test("compare with the profile of the publication that the run replaces", async () => {
    const deps = { ...start(), ...expecting({ kind: "answers", column: "mode", action: "hold" }) };
    await assembleNew(deps, inTwo(onDays(1, 31)), older);
    const text = '"mode" has a new answer: "Fax"';
    expect(await assembleNew(deps, inTwo([...onDays(1, 31), ...onDays(32, 33, "Fax")]))).toMatchObject({
      state: "held",
      violations: [{ kind: "expectation", text }],
    });
  });

  const unknownOf = (result: RunResult | undefined) => {
    expect(result).toMatchObject({ state: "published", expectations: [{ state: "unknown", found: "" }] });
    return result?.expectations?.map(({ text }) => text);
  };
  const rows = expecting({ kind: "rows", action: "hold" });

  test("are unknown in a first run", async () => {
    const result = await assembleNew({ ...start(), ...rows }, inTwo(onDays(1, 31)));
    expect(unknownOf(result)).toEqual(["no file was published before"]);
  });

  test("are unknown if the request skips the comparison", async () => {
    const deps = { ...start(), ...rows };
    await assembleNew(deps, inTwo(onDays(1, 31)), older);
    const run = await completeRun(deps, inTwo(onDays(1, 31)));
    await deps.work.put(
      keys.run(run.runId),
      JSON.stringify({ ...run, skipComparison: "x" }),
      "application/json",
    );
    expect(unknownOf(await assembleRun(run, deps))).toEqual(["the run was requested without a comparison"]);
  });

  test("are unknown after another writer's file", async () => {
    const deps = { ...start(), ...rows };
    await overwrite(deps.data, csvKey, '"a"\n"x"\n', {});
    expect(unknownOf(await assembleNew(deps, inTwo(onDays(1, 31))))).toEqual([
      "no run wrote the published file",
    ]);
  });

  test.each([
    ["has expired", undefined],
    ["was counted by another version", { rows: 5 }],
  ])("are unknown if the profile of the last publication %s", async (_what, stored) => {
    const deps = { ...start(), ...rows };
    await assembleNew(deps, inTwo(onDays(1, 31)), older);
    const { runId } = runOf(older.requestId);
    if (stored) await deps.work.put(keys.profile(runId), JSON.stringify(stored), "application/json");
    else await deps.work.prune([{ prefix: keys.profile(runId), before: new Date(Date.now() + 60_000) }]);
    expect(unknownOf(await assembleNew(deps, inTwo(onDays(1, 31))))).toEqual([
      "the counts of the last publication have expired; they are kept for 30 days",
    ]);
  });

  test("do not hold a run whose own file is already published", async () => {
    const deps = { ...start(), ...expecting({ kind: "rows" }, { kind: "newest", action: "hold" }) };
    const run = await completeRun(deps, pagesOf(recordsOf(1, 2)));
    const metadata = {
      "run-id": run.runId,
      "requested-at": run.requestedAt,
      entry: fingerprintOf(defaultDataset),
    };
    await overwrite(deps.data, csvKey, `${header}\n`, metadata);
    expect(await assembleRun(run, deps)).toMatchObject({
      state: "published",
      violations: [],
      expectations: [
        { state: "unknown", text: "the run's own file is already published" },
        { state: "unmet" },
      ],
    });
  });

  test("are judged by all rows, even if the first pass found an undeclared column", async () => {
    const deps = { ...start(), ...expecting({ kind: "newest", action: "hold" }) };
    const [first, ...rest] = onDays(1, 31);
    const result = await assembleNew(deps, inTwo([{ ...first, Extra: "x" }, ...rest]));
    expect(result).toMatchObject({ state: "published", expectations: [{ ...allMet, found: "0 days" }] });
  });
});

describe("a file that another writer published", () => {
  const files = [
    { what: "the predecessor's file", metadata: {} },
    { what: "a file with other metadata", metadata: { "run-id": "other", "requested-at": "long ago" } },
  ];
  const old = (rows: number) => `"a","b"\n${'1,"x"\n'.repeat(rows)}`;

  test.each(files)("replaces $what with as many rows", async ({ metadata }) => {
    const deps = start();
    await overwrite(deps.data, csvKey, old(2), metadata);
    const result = await assembleNew(deps, pagesOf(recordsOf(1, 2)));
    expect(result).toMatchObject({ state: "published", violations: [] });
    expect(result?.previous).toBeUndefined();
    expect((await publishedIn(deps)).ids).toEqual([1, 2]);
  });

  test.each(files)("counts the rows of $what and holds a run with fewer", async ({ metadata }) => {
    const deps = start();
    await overwrite(deps.data, csvKey, old(10_001), metadata);
    expect(await assembleNew(deps, pagesOf(recordsOf(1, 2)))).toMatchObject({
      state: "held",
      violations: [{ kind: "comparison", text: "rows fell from 10,001 to 2 (by 100%; the limit is 10%)" }],
    });
    expect(await deps.data.getText(csvKey)).toBe(old(10_001));
  });

  test.each(files)("is no foreign file if no run had published before: $what", async ({ metadata }) => {
    const deps = start();
    await overwrite(deps.data, csvKey, old(2), metadata);
    expect((await assembleNew(deps, pagesOf(recordsOf(1, 2))))?.foreignFile).toBeUndefined();
  });

  test.each(files)(
    "is in the result of the next run, published or held, if $what replaced a run's",
    async ({ metadata }) => {
      const deps = start();
      await assembleNew(deps, pagesOf(recordsOf(1, 2)), older);
      const replaced = await assembleNew(deps, pagesOf(recordsOf(1, 3)));
      await overwrite(deps.data, csvKey, old(3), metadata);
      const at = (await deps.data.head(csvKey))?.at.toISOString();
      const foreignFile = { at, replaced: replaced?.runId };
      const held = await assembleNew(deps, pagesOf(recordsOf(1, 1)), newer);
      expect(held).toMatchObject({ state: "held", foreignFile });
      const newest = { requestId: "newest", requestedAt: "2024-03-15T12:45:00Z" };
      expect(await assembleNew(deps, pagesOf(recordsOf(1, 3)), newest)).toMatchObject({
        state: "published",
        foreignFile,
      });
      const next = { requestId: "next", requestedAt: "2024-03-15T12:50:00Z" };
      expect((await assembleNew(deps, pagesOf(recordsOf(1, 3)), next))?.foreignFile).toBeUndefined();
    },
  );

  test("is attributed to the run that published last, in whatever order the runs are listed", async () => {
    const deps = start();
    const result = await assembleNew(deps, pagesOf(recordsOf(1, 2)));
    for (const runId of ["000000000000", "ffffffffffff"].map((end) => `${defaultDataset.name}-${end}`)) {
      const earlier = { ...result, runId, finishedAt: "2024-03-01T00:00:00Z" };
      await deps.work.put(keys.result(runId), JSON.stringify(earlier), "application/json");
    }
    await overwrite(deps.data, csvKey, old(2), {});
    expect(await assembleNew(deps, pagesOf(recordsOf(1, 2)), newer)).toMatchObject({
      foreignFile: { replaced: result?.runId },
    });
  });

  test("is not attributed to the runs of a dataset whose name begins like this one's", async () => {
    const deps = start();
    const result = await assembleNew(deps, pagesOf(recordsOf(1, 2)));
    const other = `${defaultDataset.name}-of-the-annex`;
    const folder = `${other}-25ec5c4c58cb`;
    await deps.work.put(
      keys.result(folder),
      JSON.stringify({ ...result, runId: folder, dataset: other, finishedAt: "2024-03-15T14:00:00Z" }),
      "application/json",
    );
    await overwrite(deps.data, csvKey, old(2), {});
    expect(await assembleNew(deps, pagesOf(recordsOf(1, 2)), newer)).toMatchObject({
      foreignFile: { replaced: result?.runId },
    });
  });
});

describe("a change of the dataset's entry", () => {
  const campus = { name: "Campus", type: "text" } as const;
  const [first, ...others] = datasets;
  /** The default dataset with another column before the last one. */
  const changed: Dataset = {
    ...first,
    columns: [
      ...first.columns.slice(0, -1),
      { ...campus, labels: [], personal: false, required: false, answers: "all" },
      ...first.columns.slice(-1),
    ],
  };
  const withCampus = (deps: Deps): Deps => ({ ...deps, datasets: [changed, ...others] });

  test("refetches earlier pages if the entry changes during a run, so the file has one set of columns", async () => {
    const deps = start();
    const run = await completeRun(deps, [
      { window: 1, pages: [[recordOf(1, { Campus: "North" })], [recordOf(2, { Campus: "South" })]] },
    ]);
    const later = withCampus(deps);
    expect(await assembleRun(run, later)).toBeUndefined();
    expect(await tasksIn(deps)).toEqual([taskOf(run, { window: 1, attempt: 2 })]);
    const content = { window: 1, attempt: 2, pages: [[recordOf(1, { Campus: "North" })], [recordOf(2)]] };
    await putPages(run, content, deps.work);
    // Another page of the old entry, because the deploy is still in progress.
    await putPage(run, content, 1, deps.work);
    await putPage(run, content, 2, deps.work, later.datasets);
    expect(await assembleRun(run, later, 2)).toBeUndefined();
    await putWindow(run, { ...content, attempt: 3 }, deps.work, later.datasets);
    expect(await assembleRun(run, later, 3)).toMatchObject({ state: "published" });
    const [columns = [], ...rows] = parseCsv((await deps.data.getText(csvKey)) ?? "");
    expect(columns).toEqual(outputColumns(changed.columns));
    expect(rows.map((row) => [row.length, row.at(-2), row.at(-1)])).toEqual([
      [15, "North", "History"],
      [15, null, "History"],
    ]);
  });

  test("fails a run if the entry changes during each of three attempts", async () => {
    const deps = start();
    const content = { window: 1, pages: [recordsOf(1, 2)] };
    const run = await completeRun(deps, [content]);
    for (const attempt of [2, 3]) {
      expect(await assembleRun(run, withCampus(deps), attempt - 1)).toBeUndefined();
      await putWindow(run, { ...content, attempt }, deps.work);
    }
    expect(await assembleRun(run, withCampus(deps), 3)).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("entry in shared/library.ts changed"),
    });
    expect(await keysIn(deps)).toEqual([]);
  });

  test("completes the JSON lines with the entry of the CSV if the entry changes between the uploads", async () => {
    const contents = pagesOf([recordOf(1, { Campus: "North", Extra: "x" })], [recordOf(2)]);
    const undisturbed = start();
    await assembleNew(undisturbed, contents);
    const deps = start();
    const run = await completeRun(deps, contents);
    // The first three uploads belong to the pass that finds the undeclared columns.
    const dying = { ...deps, data: failing(deps.data, "upload", { call: 5, effect: false }) };
    await expect(assembleRun(run, dying)).rejects.toThrow("upload failed");
    expect(await keysIn(deps)).toEqual([parquetKey(csvKey, run.runId), csvKey]);
    expect(await assembleRun(run, withCampus(deps))).toMatchObject({
      state: "published",
      entry: fingerprintOf(defaultDataset),
    });
    expect(await filesIn(deps)).toEqual(await filesIn(undisturbed));
  });

  test("writes the result of a held run whose files are published, even if the entry changes", async () => {
    const deps = start();
    const run = await completeRun(deps, pagesOf([recordOf(1), "x"]));
    await assembleRun(run, deps);
    // The first one stores the changes.
    const dying = { ...deps, work: failing(deps.work, "put", { call: 2, effect: false }) };
    await expect(assembleRun(run, dying, 1, "looks good")).rejects.toThrow("put failed");
    expect(await assembleRun(run, withCampus(deps), 1, "looks good")).toMatchObject({ state: "published" });
  });

  test("does not publish a held run by force if the entry has changed", async () => {
    const deps = start();
    const run = await completeRun(deps, pagesOf([recordOf(1), "x"]));
    expect(await assembleRun(run, deps)).toMatchObject({ state: "held" });
    await expect(assembleRun(run, withCampus(deps), 1, "looks good")).rejects.toMatchObject({
      name: "EntryChanged",
      kind: "terminal",
      ids: { run: run.runId },
    });
    expect(await keysIn(deps)).toEqual([]);
    expect(await assembleRun(run, deps, 1, "looks good")).toMatchObject({ state: "published" });
  });
});

test("publishes the reviewed files of a held run, even if its parts changed", async () => {
  const deps = start();
  const run = await completeRun(deps, pagesOf([recordOf(1), "x"]));
  await assembleRun(run, deps);
  const reviewed = await Promise.all(
    [keys.held(run.runId), keys.heldLines(run.runId)].map((key) => deps.work.getText(key)),
  );
  const other = start();
  await putPage(run, { window: 1, pages: [[recordOf(2), recordOf(3)]] }, 1, other.work);
  const part = keys.part(addressOf(run, { window: 1, pages: [] }));
  await deps.work.put(part, (await other.work.getBytes(part)) ?? "", "text/plain");
  expect(await assembleRun(run, deps, 1, "looks good")).toMatchObject({ state: "published" });
  expect(await filesIn(deps)).toEqual(reviewed);
});

test.each<[what: string, change: (work: Deps["work"], result: RunResult) => Promise<unknown>]>([
  ["CSV has changed", (work, { runId }) => work.put(keys.held(runId), "other", "text/csv")],
  ["JSON lines have changed", (work, { runId }) => work.put(keys.heldLines(runId), "other", "text/csv")],
  [
    "files have expired",
    (work, { runId }) => work.prune([{ prefix: keys.held(runId), before: new Date(Date.now() + 60_000) }]),
  ],
  [
    "result names no files",
    (work, { held: _none, ...result }) =>
      work.put(keys.result(result.runId), JSON.stringify(result), "application/json"),
  ],
])("does not publish a held run whose %s since the review", async (_what, change) => {
  const deps = start();
  const run = await completeRun(deps, pagesOf([recordOf(1), "x"]));
  const result = await assembleRun(run, deps);
  if (result) await change(deps.work, result);
  await expect(assembleRun(run, deps, 1, "looks good")).rejects.toMatchObject({
    name: "HeldFilesChanged",
    kind: "terminal",
    ids: { run: run.runId },
  });
  expect(await keysIn(deps)).toEqual([]);
});

describe("before the publication", () => {
  const { table } = defaultDataset.publish;
  const folder = csvKey.slice(0, csvKey.lastIndexOf("/") + 1);
  const one = pagesOf([recordOf(1)]);
  const wider = pagesOf([recordOf(1, { Extra: "x" })]);

  async function followed(deps: Deps) {
    const { tables } = deps;
    const version = (await tables.table(table))?.version;
    await tables.defineTable(
      table,
      { format: "csv", columns: [{ name: "id", comment: "" }], folder },
      version,
    );
  }

  test("makes the table read a copy of the published file if the new file has another header", async () => {
    const deps = start();
    await assembleNew(deps, one, older);
    await followed(deps);
    await assembleNew(deps, one);
    expect(await deps.tables.table(table)).toMatchObject({ folder });
    const before = await deps.data.getText(csvKey);
    await assembleNew(deps, wider, newer);
    const held = await deps.tables.table(table);
    expect(held?.folder).not.toBe(folder);
    const [copy = "", ...others] = await deps.data.list(held?.folder ?? "", 10);
    expect(others).toEqual([]);
    const rows = (text = "") => text.slice(text.indexOf("\n"));
    expect(rows(await deps.data.getText(copy))).toBe(rows(before));
  });

  test("makes the table read a copy before a held run with another header is published", async () => {
    const deps = start();
    await assembleNew(deps, one, older);
    await followed(deps);
    const run = await completeRun(deps, pagesOf([recordOf(1, { Extra: "x" }), "x"]));
    await assembleRun(run, deps);
    expect(await deps.tables.table(table)).toMatchObject({ folder });
    await assembleRun(run, deps, 1, "looks good");
    expect((await deps.tables.table(table))?.folder).not.toBe(folder);
  });

  test("throws an error with the key of an object that Athena would read as rows, until it is removed", async () => {
    const deps = start();
    await assembleNew(deps, one, older);
    const expected = await headsIn(deps);
    const stray = `${folder}part-0.csv`;
    await deps.data.put(stray, "1,2\n", "text/csv");
    const run = await completeRun(deps, one);
    await expect(assembleRun(run, deps)).rejects.toMatchObject({
      name: "StrayObjects",
      kind: "terminal",
      ids: { run: run.runId },
      sentence: expect.stringContaining(stray),
    });
    expect(await headsIn(deps)).toEqual(expected);
    await deps.data.prune([{ prefix: stray, before: new Date(Date.now() + 1_000) }]);
    expect(await assembleRun(run, deps)).toMatchObject({ state: "published" });
  });
});

describe("records dated outside the range", () => {
  test("refetches a window with records outside its range, then holds the run", async () => {
    const deps = start();
    const early = { _start_date: "2022-12-31 23:59:59" };
    const run = await completeRun(deps, pagesOf([recordOf(1), recordOf(2, early)]));
    expect(await assembleRun(run, deps)).toBeUndefined();
    expect(await tasksIn(deps)).toEqual([taskOf(run, { attempt: 2 })]);
    await putAttempt(run, [1], deps.work, 3);
    expect(await assembleRun(run, deps, 3)).toMatchObject({
      state: "held",
      violations: [
        {
          kind: "disagreement",
          text: expect.stringContaining("page 1 has dates outside this range in 1 of 2 records"),
        },
      ],
    });
    expect(await keysIn(deps)).toEqual([]);
  });
});

describe("the recount before a publication", () => {
  const contents: WindowContent[] = [
    { window: 1, pages: [recordsOf(1, 2)] },
    { window: 2, pages: [recordsOf(3, 4)] },
  ];

  test("enqueues a recount of each period that has none", async () => {
    const deps = start();
    const run = await completeRun(deps, contents);
    const { runId, dataset } = run;
    await assemble({ runId, dataset, attempt: 1 }, deps);
    const tasks = run.periods.map((period) => ({ runId, dataset, attempt: 1, period, periods: 2 }));
    expect(await takeJson(deps.fetcherQueue)).toEqual(tasks);
    await deps.work.putOnce(keys.recount(runId, 1, 1), { totalRecords: 2 });
    await assemble({ runId, dataset, attempt: 1 }, deps);
    expect(await takeJson(deps.fetcherQueue)).toEqual(tasks.slice(1));
    expect(await keysIn(deps)).toEqual([]);
    expect(deps.events).toEqual([]);
  });

  test("searches the changed windows of a period of several if its recount finds a record that moved to it", async () => {
    const deps = start();
    const run = runOf("year", {
      windows: [
        ["2023-01-01", "2023-06-30"],
        ["2023-07-01", "2023-12-31"],
      ],
    });
    const { runId, dataset } = run;
    const ofYear = { ...run, periods: [{ number: 1, from: "2023-01-01", to: "2023-12-31" }] };
    await putRun(ofYear, deps.work);
    const july = { _start_date: "2023-07-01 09:00:00" };
    await putWindow(ofYear, { window: 1, pages: [recordsOf(1, 2)] }, deps.work);
    await putWindow(ofYear, { window: 2, pages: [[recordOf(3, july)]] }, deps.work);
    await putRecounts(ofYear, 1, deps.work, new Map([[1, { totalRecords: 4 }]]));
    await assemble({ runId, dataset, attempt: 1 }, deps);
    const search = { runId, dataset, attempt: 2, search: true };
    expect(await takeJson(deps.fetcherQueue)).toEqual([search]);
    const because = [
      "2023-01-01 to 2023-12-31: LibInsight announced 3 records at first and 4 in the recount",
    ];
    expect(await deps.work.getJson(keys.search(runId, 2), windowSearch)).toEqual({
      attempt: 2,
      windows: [],
      periods: [
        { counted: 4, windows: run.windows.map((window, n) => ({ ...window, records: n === 0 ? 2 : 1 })) },
      ],
      because,
    });
    // A second assembler sends the search again, and after it the windows that it found.
    await assemble({ runId, dataset, attempt: 1 }, deps);
    expect(await takeJson(deps.fetcherQueue)).toEqual([search]);
    await putAttempt(ofYear, [1, 2], deps.work);
    await assemble({ runId, dataset, attempt: 1 }, deps);
    expect(await tasksIn(deps)).toMatchObject([{ window: { number: 2 }, attempt: 2 }]);
    await putWindow(
      ofYear,
      { window: 2, attempt: 2, pages: [[recordOf(3, july), recordOf(4, july)]] },
      deps.work,
    );
    await putRecounts(ofYear, 2, deps.work);
    expect(await assemble({ runId, dataset, attempt: 2 }, deps)).toMatchObject({
      outcome: "published",
      rows: 4,
    });
    expect((await deps.work.getJson(keys.result(runId), runResult))?.windows).toMatchObject([
      { period: 1, attempt: 1, pages: 1, totalRecords: 2 },
      { period: 1, attempt: 2, pages: 1, totalRecords: 2 },
    ]);
  });

  test("refetches the only window of a period if its recount finds a record that moved to it", async () => {
    const deps = start();
    const run = await completeRun(deps, contents);
    await putRecounts(run, 1, deps.work, new Map([[1, { totalRecords: 3 }]]));
    expect(await assembleRun(run, deps)).toBeUndefined();
    expect(await deps.work.getJson(keys.attempt(run.runId, 2), runAttempt)).toMatchObject({
      windows: [2, 1],
      because: ["2023-01-01 to 2023-06-30: LibInsight announced 2 records at first and 3 in the recount"],
    });
    await putWindow(run, { window: 1, attempt: 2, pages: [recordsOf(1, 2), recordsOf(5, 5)] }, deps.work);
    expect(await assembleRun(run, deps, 2)).toMatchObject({ state: "published", rows: 5, attempt: 2 });
  });
});

describe("a dataset with refresh", () => {
  const first: WindowContent = { window: 1, pages: [recordsOf(1, 9)] };
  const second: WindowContent = { window: 2, pages: [recordsOf(10, 12)] };
  const full = { reason: "it is the first run of the month" };

  /** Publishes a full run, then prepares one that reuses the full run's first window. */
  async function incrementalRun(deps: Deps): Promise<Run> {
    const lastFull = { runId: runOf(older.requestId).runId, requestedAt: older.requestedAt };
    await assembleNew(deps, [first, second], { ...older, refresh: full });
    const [kept] = (await readKeptIndex(defaultDataset.name, deps.work))?.windows ?? [];
    if (!kept) throw new Error("The full run kept no window.");
    const { from: _from, to: _to, ...reused } = kept;
    const refresh = { reason: "a run of this month has collected everything", lastFull };
    const run = await completeRun(deps, [{ window: 1, pages: [] }, second], { ...usual, refresh, reused });
    await putRecounts(run, 1, deps.work, new Map([[1, { totalRecords: 9 }]]));
    return run;
  }

  test("says of a reused window which run fetched it", async () => {
    const deps = start();
    const result = await assembleRun(await incrementalRun(deps), deps);
    const reused = { runId: runOf(older.requestId).runId, at: older.requestedAt };
    expect(result).toMatchObject({ state: "published", rows: 12, refresh: { full: false, reused: 1 } });
    expect(result?.windows.map((window) => window.reused)).toEqual([reused, undefined]);
  });

  test("does not call a window reused that is fetched after all", async () => {
    const deps = start();
    const run = await incrementalRun(deps);
    await putAttempt(run, [2, 1], deps.work);
    await putWindow(run, { ...first, attempt: 2 }, deps.work);
    const result = await assembleRun(run, deps, 2);
    expect(result).toMatchObject({ state: "published", rows: 12, refresh: { full: false, reused: 0 } });
    expect(result?.windows.map((window) => window.reused)).toEqual([undefined, undefined]);
  });

  test("counts the changes that a reused window hid, also if the full run was held and is published by force", async () => {
    const deps = start();
    await assembleRun(await incrementalRun(deps), deps);
    const edited = [...recordsOf(1, 8), recordOf(9, { who: "Faculty" }), "not a record"];
    const contents = [{ window: 1, pages: [edited] }, second];
    const run = await completeRun(deps, contents, { ...newer, refresh: full });
    const refresh = { full: true, ...full, reused: 0 };
    expect(await assembleRun(run, deps)).toMatchObject({ state: "held", refresh });
    const result = await assembleRun(run, deps, 1, "the reject is expected");
    // From May 1, the day of the record, to December 31, the last day of the run.
    const missed = { changes: 1, since: older.requestedAt, adviceDays: 244 };
    expect(result).toMatchObject({ state: "published", changes: { edited: 1 } });
    expect(result?.refresh).toEqual({ ...refresh, missed });
  });
});

describe("a second assembler", () => {
  const contents: WindowContent[] = [
    { window: 1, pages: [recordsOf(1, 3)] },
    { window: 2, pages: [[recordOf(2, { Extra: 1 }), recordOf(4)]] },
  ];

  test("writes nothing after the first one, and emits the same event again", async () => {
    const deps = start();
    const run = await completeRun(deps, contents);
    const result = await assembleRun(run, deps);
    const heads = await headsIn(deps);
    expect(await assembleRun(run, { ...deps, now: () => new Date("2030-01-01T00:00:00Z") })).toEqual(result);
    expect(await headsIn(deps)).toEqual(heads);
    expect(deps.events).toHaveLength(2);
    expect(deps.events[1]).toEqual(deps.events[0]);
  });

  // The first three uploads belong to the pass that finds the column Extra.
  test.each([
    { died: "before the CSV was published", port: "data", call: 4, effect: false, files: 1 },
    { died: "right after the CSV was published", port: "data", call: 4, effect: true, files: 2 },
    { died: "before the JSON lines were published", port: "data", call: 5, effect: false, files: 2 },
    { died: "right after both were published", port: "data", call: 5, effect: true, files: 3 },
    { died: "before the changes were published", port: "data", call: 7, effect: false, files: 3 },
    { died: "right after the changes were published", port: "data", call: 7, effect: true, files: 4 },
    { died: "before its result was written", port: "work", call: 3, effect: false, files: 4 },
  ] as const)("publishes the same bytes if the first one died $died", async (fault) => {
    const undisturbed = start();
    const expected = await assembleNew(undisturbed, contents);
    const deps = start();
    const run = await completeRun(deps, contents);
    const method = fault.port === "data" ? "upload" : "put";
    const dying = { ...deps, [fault.port]: failing(deps[fault.port], method, fault) };
    await expect(assembleRun(run, dying)).rejects.toThrow("failed");
    const changes = keys.changesFile(run.dataset, run.runId);
    const files = [parquetKey(csvKey, run.runId), csvKey, jsonlKey, changes];
    expect(await keysIn(deps)).toEqual(files.slice(0, fault.files).sort());
    expect(deps.events).toEqual([]);
    const { published, ...result } = (await assembleRun(run, deps)) ?? {};
    expect(published).toBeDefined();
    expect(expected).toMatchObject(result);
    expect(await filesIn(deps)).toEqual(await filesIn(undisturbed));
    expect(deps.events).toHaveLength(1);
  });

  test("publishes the same changes if the first one died at any upload", async () => {
    const filesOf = async (deps: Deps) => (await changeFiles(defaultDataset.name, deps.data))[1];
    const changed = [{ window: 1, pages: [[recordOf(2, { who: "Faculty" })], recordsOf(3, 4)] }];
    const startWith = async () => {
      const deps = start();
      await assembleNew(deps, pagesOf(recordsOf(1, 3)), older);
      return { deps, run: await completeRun(deps, changed) };
    };
    const undisturbed = await startWith();
    const expected = await assembleRun(undisturbed.run, undisturbed.deps);
    expect(expected?.changes).toMatchObject({ added: 1, edited: 1, deleted: 1, columns: { who: 1 } });
    for (const port of ["work", "data"] as const) {
      for (const [call, effect] of [1, 2, 3].flatMap((nth) => [
        [nth, false] as const,
        [nth, true] as const,
      ])) {
        if (port === "work" && call > 1) continue;
        const { deps, run } = await startWith();
        const dying = { ...deps, [port]: failing(deps[port], "upload", { call, effect }) };
        await expect(assembleRun(run, dying)).rejects.toThrow("failed");
        expect((await assembleRun(run, deps))?.changes).toEqual(expected?.changes);
        expect(await filesOf(deps)).toEqual(await filesOf(undisturbed.deps));
      }
    }
  });

  test("stores the changes since the publication before, even if the first one publishes meanwhile", async () => {
    const deps = start();
    await assembleNew(deps, pagesOf(recordsOf(1, 3)), older);
    const run = await completeRun(deps, pagesOf(recordsOf(2, 4)));
    let first: RunResult | undefined;
    // The names of the columns are read after the published file and before the upload.
    const results = before(deps.results, "head", async () => {
      first ??= await assembleRun(run, deps);
    });
    const second = await assembleRun(run, { ...deps, results });
    expect(second?.changes).toMatchObject({
      since: { requestedAt: older.requestedAt },
      ...{ added: 1, edited: 0, deleted: 1 },
    });
    expect(second).toEqual(first);
  });

  test("emits the failure of a failed run again and does not retry it", async () => {
    const deps = start();
    const run = await completeRun(deps, contents);
    const { runId, dataset } = run;
    const { published: _none, ...failed } = firstResultOf({ runId, state: "failed", reason: "because" });
    await deps.work.put(keys.result(runId), JSON.stringify(failed), "application/json");
    await assembleRun(run, deps);
    expect(deps.events).toEqual([{ type: "run.failed", detail: { runId, dataset, reason: "because" } }]);
    expect(await keysIn(deps)).toEqual([]);
  });
});

test("emits run.failed for a published result without files", async () => {
  const deps = start();
  const run = await completeRun(deps, pagesOf(recordsOf(1, 1)));
  const { runId, dataset } = run;
  const { published: _none, ...claims } = firstResultOf({ runId, dataset });
  await deps.work.put(keys.result(runId), JSON.stringify(claims), "application/json");
  await assembleRun(run, deps);
  const reason = "The run ended as published.";
  expect(deps.events).toEqual([{ type: "run.failed", detail: { runId, dataset, reason } }]);
});

describe("two runs", () => {
  const one = pagesOf(recordsOf(1, 1));
  const two = pagesOf(recordsOf(1, 2));

  test("supersedes the older run with its own counts, and keeps the files of the newer one", async () => {
    const deps = start();
    const newerResult = await assembleNew(deps, two, newer);
    const expected = await headsIn(deps);
    const run = await completeRun(deps, one, older);
    const result = await assembleRun(run, deps);
    const reason = expect.stringContaining(newerResult?.runId ?? "");
    expect(result).toMatchObject({ state: "superseded", records: 1, rows: 1, reason });
    expect(result?.published).toBeUndefined();
    const { runId, dataset } = run;
    const detail = { runId, dataset, reason: result?.reason };
    expect(deps.events[1]).toEqual({ type: "run.superseded", detail });
    expect(await headsIn(deps)).toEqual(expected);
  });

  test("does not supersede a run by one dated in the future", async () => {
    const deps = start();
    await assembleNew(deps, two, { requestId: "future", requestedAt: "2025-04-19T12:00:00Z" });
    expect(await assembleNew(deps, two, usual)).toMatchObject({ state: "published", rows: 2 });
  });
});

describe("another writer during the upload", () => {
  const contents = pagesOf(recordsOf(1, 2), recordsOf(3, 3));
  const counts = { records: 3, rows: 3, duplicates: 0 };

  /** Assembles a run while a rival writes `key` before each of the first `times` reads of page 2. */
  async function contended(deps: Deps, rival: typeof older, key: string, times: number) {
    const metadata = { "run-id": rival.requestId, "requested-at": rival.requestedAt };
    let writes = 0;
    const work = before(deps.work, "getBytes", async (read) => {
      if (!z.string().parse(read).endsWith("000002_000002") || writes === times) return;
      writes += 1;
      await overwrite(deps.data, key, `rival ${writes}`, metadata);
    });
    return assembleNew({ ...deps, work }, contents);
  }

  test.each([csvKey, jsonlKey])("overwrites %s of an older run", async (key) => {
    const deps = start();
    expect(await contended(deps, older, key, 4)).toMatchObject({ state: "published", ...counts });
    const { ids, lines } = await publishedIn(deps);
    expect(ids).toEqual([1, 2, 3]);
    expect(lines).toHaveLength(3);
  });

  test("supersedes the run if a newer one writes its CSV", async () => {
    const deps = start();
    expect(await contended(deps, newer, csvKey, 1)).toMatchObject({ state: "superseded", ...counts });
    expect(await filesIn(deps)).toEqual(["rival 1", undefined]);
  });

  test.each([
    { rival: older, key: csvKey, state: "published" },
    { rival: older, key: jsonlKey, state: "published" },
    { rival: newer, key: csvKey, state: "superseded" },
    { rival: newer, key: jsonlKey, state: "superseded" },
  ])("ends as $state if a writer replaces $key right after both uploads", async ({ rival, key, state }) => {
    const deps = start();
    const metadata = { "run-id": rival.requestId, "requested-at": rival.requestedAt };
    let uploads = 0;
    const data = intercepted(deps.data, (method, _args, act) => {
      const followed = async () => {
        const result = await act();
        uploads += 1;
        if (uploads === 2) await overwrite(deps.data, key, "rival", metadata);
        return result;
      };
      return method === "upload" ? followed() : act();
    });
    expect(await assembleNew({ ...deps, data }, contents)).toMatchObject({ state, ...counts });
    const text = await deps.data.getText(key);
    if (state === "superseded") expect(text).toBe("rival");
    else expect((await publishedIn(deps)).ids).toEqual([1, 2, 3]);
  });

  test("throws a transient error after five contended attempts", async () => {
    const deps = start();
    await expect(contended(deps, older, csvKey, 9)).rejects.toMatchObject({
      name: "PublishContended",
      kind: "transient",
      ids: { run: runOf("run").runId },
    });
    expect(await filesIn(deps)).toEqual(["rival 5", undefined]);
  });
});

/** Creates a run with more bytes than an upload buffers. */
function completeLongRun(deps: Deps): Promise<Run> {
  const long = { "Comments/Notes": "x".repeat(100_000) };
  return completeRun(deps, pagesOf(...Array.from({ length: 80 }, (_, n) => [recordOf(n + 1, long)])));
}

test("stops a pass whose upload the store refuses, and publishes in the next one", async () => {
  const deps = start();
  const run = await completeLongRun(deps);
  let uploads = 0;
  // A store may refuse the upload before the whole body is sent, if another writer changed the object.
  const data = intercepted(deps.data, (method, _args, act) => {
    if (method !== "upload") return act();
    uploads += 1;
    return uploads === 1 ? Promise.resolve(undefined) : act();
  });
  const { port: work, calls } = recorded(deps.work);
  expect(await assembleRun(run, { ...deps, data, work })).toMatchObject({ state: "published", rows: 80 });
  expect(readsOf(calls).length).toBeLessThan(2 * 80);
});

test.each([
  { what: "is published", content: [recordOf(1)], fault: undefined },
  { what: "needs a second pass", content: [recordOf(1, { Extra: 1 })], fault: undefined },
  { what: "is held", content: ["x"], fault: undefined },
  { what: "can't be read", content: [recordOf(1)], fault: { call: 1, effect: false } },
])("leaves no upload open if a run $what", async ({ content, fault }) => {
  const deps = start();
  let open = 0;
  const counting = <T extends object>(store: T): T =>
    intercepted(store, (method, _args, act) => {
      const counted = async () => {
        open += 1;
        try {
          return await act();
        } finally {
          open -= 1;
        }
      };
      return method === "upload" ? counted() : act();
    });
  const read = fault ? failing(deps.work, "getBytes", fault) : deps.work;
  const assembled = assembleNew(
    { ...deps, data: counting(deps.data), work: counting(read) },
    pagesOf(content),
  );
  await assembled.catch(() => {});
  expect(open).toBe(0);
});

test.each([
  { port: "data", method: "upload", call: 1, effect: false },
  { port: "data", method: "upload", call: 2, effect: false },
  { port: "work", method: "getBytes", call: 40, effect: true },
] as const)("publishes nothing if call $call of $method fails during the pass", async (fault) => {
  const deps = start();
  const run = await completeLongRun(deps);
  const faulty = { ...deps, [fault.port]: failing(deps[fault.port], fault.method, fault) };
  const { port: work, calls } = recorded(faulty.work);
  await expect(assembleRun(run, { ...faulty, work })).rejects.toThrow(`of ${fault.method} failed`);
  expect(readsOf(calls).length).toBeLessThan(80);
  expect(await keysIn(deps)).toEqual([]);
});

test.each([
  { what: "run.json", error: "RunMissing", attempt: 1, prepare: async () => {} },
  { what: "a window's totals", error: "WindowMissing", attempt: 1, prepare: putRun },
  { what: "an attempt", error: "AttemptMissing", attempt: 2, prepare: putRun },
])("throws an error that names the run if $what has expired", async ({ error, attempt, prepare }) => {
  const deps = start();
  const run = runOf("run");
  await prepare(run, deps.work);
  await expect(assembleRun(run, deps, attempt)).rejects.toMatchObject({
    name: error,
    ids: expect.objectContaining({ run: run.runId }),
  });
});

describe("the service", () => {
  /** @returns the dead letters */
  async function deliver(run: Run, deps: Deps) {
    const { runId, dataset } = run;
    const queuePair = local.queuePair("assembler");
    await putRecounts(run, 1, deps.work);
    const body = messageBody({ runId, dataset, attempt: 1 });
    await queuePair.source.send(body, { group: dataset, deduplicationId: runId });
    await runService(assemblerService, deps, queuePair, await receive(queuePair.source));
    return receive(queuePair.deadLetters);
  }

  test("dead-letters the task of a run with a damaged part, and publishes nothing", async () => {
    const deps = start();
    const run = await completeRun(deps, pagesOf(recordsOf(1, 2), recordsOf(3, 4)));
    const damaged = keys.part(addressOf(run, { window: 1, pages: [[1], [2]] }, 2));
    await deps.work.put(damaged, (await deps.work.getBytes(damaged))?.subarray(1) ?? "", "text/plain");
    const attributes = { Error: "PartUnreadable", ErrorText: expect.stringContaining(damaged) };
    expect(await deliver(run, deps)).toMatchObject([{ attributes }]);
    expect(await keysIn(deps)).toEqual([]);
    expect(deps.events).toEqual([]);
  });
});
