import { expect, test } from "vitest";
import { transform } from "../../../services/transformer/transform.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { fingerprintOf } from "../../../shared/fingerprint.ts";
import { keys } from "../../../shared/keys.ts";
import { type PageMessage, pageAddress } from "../../../shared/messages.ts";
import { decodePart, partContentType } from "../../../shared/part.ts";
import type { ObjectStore } from "../../../shared/ports.ts";
import { datasetOfKind } from "../../factories/dataset-entries.ts";
import { recordOf, recordsOf } from "../../factories/libinsight-records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { failing, recorded } from "../../support/intercepted-ports.ts";
import { useLocal } from "../../support/local-adapters.ts";

const local = useLocal();

const run = runOf("transform");
const task = taskOf(run, { attempt: 2, page: 3, pages: 5 });
const address = pageAddress(task);
const totals = { totalPages: 5, totalRecords: 402 };
const partKey = keys.part(address);

const pageOf = (records: unknown[]): PageMessage => ({
  task,
  totals,
  records: { inline: records },
});

async function partIn(work: ObjectStore) {
  const { summary, csv, jsonl } = decodePart(partKey, (await work.getBytes(partKey)) ?? Buffer.of());
  return {
    summary,
    csv: Buffer.from(csv).toString("utf8"),
    jsonl: Buffer.from(jsonl).toString("utf8"),
  };
}

test("writes one part with the page's counts and its rows as CSV and as JSON lines", async () => {
  const { port: work, calls } = recorded(local.store());
  await transform(pageOf(recordsOf(1, 2)), { work, datasets });
  expect(calls).toEqual([`create ${partKey}`]);
  const { summary, csv, jsonl } = await partIn(work);
  const entry = fingerprintOf(defaultDataset);
  expect(summary).toMatchObject({ page: 3, entry, totals, outside: 0, records: 2, ids: [1, 2], rejects: {} });
  expect(csv).toMatch(/^1,"2023-05-01 09:30:00",[^\n]+\n2,[^\n]+\n$/);
  const lines = jsonl.split("\n").slice(0, -1);
  expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([{ _id: 1 }, { _id: 2 }]);
});

test("counts the records that the fetcher dropped, and has nothing else of them", async () => {
  const work = local.store();
  const forgotten = [3, null];
  const fields = await transform({ ...pageOf(recordsOf(1, 2)), forgotten }, { work, datasets });
  expect(fields).toMatchObject({ records: 4, rows: 2 });
  expect((await partIn(work)).summary).toMatchObject({ records: 4, ids: [1, 2], forgotten, rejects: {} });
});

test("counts the records dated outside the requested window", async () => {
  const work = local.store();
  await transform(pageOf([recordOf(1), recordOf(2, { _start_date: "1999-12-31 23:59:59" })]), {
    work,
    datasets,
  });
  expect((await partIn(work)).summary).toMatchObject({ records: 2, outside: 1 });
});

test.each([
  ["gate-count", "date"],
  ["e-resources", "month"],
] as const)("counts the rows of %s outside the requested window by their %s", async (kind, field) => {
  const work = local.store();
  const statistics = [{ ...datasetOfKind(kind), name: task.dataset }];
  const records = [task.window.from, "1999-12-01"].map((date, n) => ({ _id: n + 1, [field]: date }));
  await transform(pageOf(records), { work, datasets: statistics });
  expect((await partIn(work)).summary).toMatchObject({ records: 2, outside: 1 });
});

test("writes nothing for a range that was split before", async () => {
  const work = local.store();
  await work.create(partKey, "", partContentType);
  await transform(pageOf([recordOf(1), recordOf(2, { _start_date: "" })]), { work, datasets });
  expect(await Array.fromAsync(work.objects("", 10), ({ key, bytes }) => [key, bytes])).toEqual([
    [partKey, 0],
  ]);
});

test("writes rejects as a separate object after the part", async () => {
  const { port: work, calls } = recorded(local.store());
  const reject = recordOf(2, { _start_date: "" });
  await transform(pageOf([recordOf(1), reject]), { work, datasets });
  expect(calls).toEqual([`create ${partKey}`, `put ${keys.rejects(address)}`]);
  expect((await partIn(work)).summary).toMatchObject({
    records: 2,
    ids: [1],
    rejects: { "missing _start_date": 1 },
  });
  expect(JSON.parse((await work.getText(keys.rejects(address))) ?? "")).toEqual({
    reason: "missing _start_date",
    record: reject,
  });
});

test("keeps the rejects of the first part if the page was fetched again with other records", async () => {
  const work = local.store();
  const reject = recordOf(2, { _start_date: "" });
  await transform(pageOf(recordsOf(1, 2)), { work, datasets });
  await transform(pageOf([recordOf(1), reject]), { work, datasets });
  expect((await partIn(work)).summary.rejects).toEqual({});
  expect(await work.getText(keys.rejects(address))).toBeUndefined();
});

test("writes missing rejects at the next delivery if the handler died before it wrote them", async () => {
  const work = local.store();
  const page = pageOf([recordOf(1), recordOf(2, { _start_date: "" })]);
  await expect(
    transform(page, { work: failing(work, "put", { effect: false }), datasets }),
  ).rejects.toThrow();
  await transform(page, { work, datasets });
  expect(await work.getText(keys.rejects(address))).toContain("missing _start_date");
});

test("makes the same part of records in the message and of records in the work bucket", async () => {
  const [inline, stored] = [local.store(), local.store()];
  const records = recordsOf(1, 2);
  await transform(pageOf(records), { work: inline, datasets });
  await stored.put(keys.page(address), JSON.stringify(records), "application/json");
  const pointer: PageMessage = { task, totals, records: { key: keys.page(address) } };
  await transform(pointer, { work: stored, datasets });
  expect(await partIn(stored)).toEqual(await partIn(inline));
});

test("throws a terminal error that names the run if a page's stored records have expired", async () => {
  const work = local.store();
  const pointer: PageMessage = { task, totals, records: { key: keys.page(address) } };
  await expect(transform(pointer, { work, datasets })).rejects.toMatchObject({
    name: "PageMissing",
    kind: "terminal",
    ids: { run: run.runId, window: 1, page: 3 },
  });
  expect(await work.list("", 10)).toEqual([]);
});
