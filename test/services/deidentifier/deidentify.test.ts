// A published file becomes the de-identified file, which has its own keys, and nothing else leaves the service.
import { beforeEach, expect, test } from "vitest";
import { type DeidentifierDeps, deidentify } from "../../../services/deidentifier/deidentify.ts";
import { deidentifierService } from "../../../services/deidentifier/service.ts";
import type { Cell } from "../../../shared/csv.ts";
import { csvRows } from "../../../shared/csv.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { fingerprintOf } from "../../../shared/fingerprint.ts";
import { keys } from "../../../shared/keys.ts";
import { parquetKey } from "../../../shared/parquet-file.ts";
import { deidentified } from "../../../shared/privacy/deidentified.ts";
import { pseudonymKey, pseudonymOf } from "../../../shared/privacy/pseudonym.ts";
import { deidentification } from "../../../shared/run.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { eventMessage } from "../../factories/event-details.ts";
import { before, recorded } from "../../support/intercepted-ports.ts";
import { openLocalInMemory, receive, runService, takeJson } from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";
import { parquetRecords } from "../../support/parquet-records.ts";

const key = "5e".repeat(32);
const dataset: Dataset = {
  ...datasetOf([
    { name: "When", type: "timestamp" },
    { name: "By", type: "text", personal: true, privacy: "hash" },
    { name: "Notes", type: "text", privacy: "redact", after: { months: 12, then: "drop" } },
    { name: "Minutes", type: "integer", privacy: "generalise", generalise: { bands: [0, 15, 60] } },
    { name: "Secret", type: "text", personal: true },
  ]),
  redaction: { nameColumns: ["By"], ids: ["\\b9\\d{8}\\b"] },
};
const entry = deidentified(dataset);
const headers = ["_id", "When", "By", "Notes", "Minutes", "Secret", "undeclared"];
const rows: Cell[][] = [
  [
    1,
    "2026-11-02 09:00:00",
    "Ada Lovelace",
    "Ada Lovelace wrote to jo@example.org, 912345678",
    20,
    "s1",
    "u1",
  ],
  [2, "2026-11-03 10:00:00", null, 'He said "no"', null, "s2", null],
  [3, "2020-11-03 10:00:00", "Grace Hopper", "A note that is old", 90, "", "u3"],
];
const run = { "run-id": "test-dataset-000000000001", "requested-at": "2026-11-27T11:00:00Z" };

let local: Awaited<ReturnType<typeof openLocalInMemory>>;
let deps: DeidentifierDeps;
beforeEach(async () => {
  local = await openLocalInMemory();
  deps = {
    ...local,
    tables: local.engine,
    now: () => new Date("2026-11-28T12:00:00Z"),
    datasets: [dataset],
    pseudonymKey: () => key,
  };
});

/** Publishes a full file. */
function publish(cells: readonly Cell[][] = rows, metadata: Record<string, string> = run, header = headers) {
  return overwrite(local.data, dataset.publish.csv, csvRows([header, ...cells]), metadata);
}
const read = (name: "csv" | "jsonl") => local.data.getText(entry.publish[name]);
const errorOf = (call: Promise<unknown>) =>
  call.then(
    () => "no error",
    (error: unknown) => (error instanceof Error ? error.name : String(error)),
  );

test("the de-identified file has the rows after the rules of the columns, as CSV, JSON lines and Parquet", async () => {
  await publish();
  const by = (name: string) => pseudonymOf(name, pseudonymKey(key));
  expect(await deidentify(dataset, deps)).toEqual({
    run: run["run-id"],
    deidentified: "written",
    rows: 3,
  });
  const expected: Cell[][] = [
    [1, "2026-11-02 09:00:00", by("Ada Lovelace"), "[name] wrote to [email], [id]", 15],
    [2, "2026-11-03 10:00:00", null, 'He said "no"', null],
    [3, "2020-11-03 10:00:00", by("Grace Hopper"), null, 60],
  ];
  const header = ["_id", "When", "By", "Notes", "Minutes"];
  expect(await read("csv")).toBe(csvRows([header, ...expected]));
  const objects = ((await read("jsonl")) ?? "").trimEnd().split("\n");
  expect(objects.map((line) => Object.values(JSON.parse(line)))).toEqual(expected);
  const parquet = await local.data.getBytes(parquetKey(entry.publish.csv, run["run-id"]));
  expect((await parquetRecords(parquet ?? new Uint8Array())).map((row) => [row._id, row.minutes])).toEqual([
    [1n, 15n],
    [2n, null],
    [3n, 60n],
  ]);
  expect((await local.data.head(entry.publish.csv))?.metadata).toMatchObject({
    ...run,
    dataset: entry.name,
    entry: fingerprintOf(entry),
  });
});

test("the service handles a publication, and its event has keys and counts only", async () => {
  await publish();
  const detail = { runId: run["run-id"], dataset: dataset.name, bucket: "data", key: "k", rows: 3 };
  const { deidentifier, athena } = local.queues;
  await takeJson(athena);
  await deidentifier.send(eventMessage("run.published", detail));
  await deidentifier.send(
    eventMessage("deidentification.requested", { dataset: dataset.name, reason: "test" }),
  );
  const pair = { source: deidentifier, deadLetters: local.deadLetters.deidentifier };
  const outcome = await runService(deidentifierService, deps, pair, await receive(deidentifier));
  expect(outcome.done).toHaveLength(2);
  const place = { bucket: "data", key: entry.publish.csv };
  const sent = { runId: run["run-id"], dataset: entry.name, ...place, rows: 3 };
  const events = await takeJson(athena);
  expect(events).toEqual(Array(2).fill(expect.objectContaining({ detail: sent })));
  const stored = await local.work.getJson(keys.deidentification(run["run-id"]), deidentification);
  const none = { dropped: 0, hashed: 0, generalized: 0, expired: 0 };
  const redacted = { email: 0, phone: 0, id: 0, url: 0, name: 0 };
  expect(stored).toMatchObject({
    dataset: entry.name,
    rows: 3,
    counts: {
      By: { ...none, hashed: 2, redacted },
      Minutes: { ...none, generalized: 2, redacted },
      Notes: { ...none, dropped: 1, expired: 1, redacted: { ...redacted, email: 1, id: 1, name: 1 } },
      Secret: { ...none, dropped: 2, redacted },
    },
  });
  expect(Object.keys(stored?.counts ?? {})).toHaveLength(4);
});

test("a names file adds names, and without redaction nothing is searched for names", async () => {
  await publish([[1, "2026-11-02 09:00:00", null, "Met Alan Turing, not Ada", 1, null, null]]);
  await local.work.put(keys.namesFile(dataset.name), "\r\nAlan Turing\r\n \n", "text/plain");
  await deidentify(dataset, deps);
  expect(await read("csv")).toContain('"Met [name], not Ada"');
  const { port, calls } = recorded(local.data);
  const kept = { ...dataset, columns: dataset.columns.filter(({ name }) => name !== "Notes") };
  await deidentify(kept, { ...deps, data: port });
  expect(calls.filter((call) => call === `stream ${dataset.publish.csv}`)).toHaveLength(1);
});

test("names are found in text that is redacted only after some months", async () => {
  const later = dataset.columns.map((column) =>
    column.name === "Notes"
      ? { ...column, privacy: "keep" as const, after: { months: 12, then: "redact" as const } }
      : column,
  );
  const old = [1, "2024-11-02 09:00:00", "Ada Lovelace", "By Ada Lovelace", 1, null, null];
  const recent = [2, "2026-11-02 09:00:00", "Ada Lovelace", "By Ada Lovelace", 1, null, null];
  await publish([old, recent]);
  await deidentify({ ...dataset, columns: later }, deps);
  const texts = ((await read("jsonl")) ?? "")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).Notes);
  expect(texts).toEqual(["By [name]", "By Ada Lovelace"]);
});

test("more names than fit in memory are refused with what to do", async () => {
  await publish(
    Array.from({ length: 50_001 }, (_, n) => [n, null, `Name${n} Person${n}`, "Text", 1, null, null]),
  );
  expect(await errorOf(deidentify(dataset, deps))).toBe("TooManyNames");
});

test("a second delivery writes the same bytes", async () => {
  await publish();
  await deidentify(dataset, deps);
  const first = await local.data.head(entry.publish.csv);
  expect(await deidentify(dataset, deps)).toMatchObject({ deidentified: "written" });
  expect((await local.data.head(entry.publish.csv))?.etag).toBe(first?.etag);
});

test("the file of a newer run stays", async () => {
  await publish();
  const newer = { "run-id": "test-dataset-000000000002", "requested-at": "2026-11-28T11:00:00Z" };
  await overwrite(local.data, entry.publish.csv, "_id\n9\n", newer);
  expect(await deidentify(dataset, deps)).toEqual({ run: run["run-id"], deidentified: "superseded" });
  expect(await read("csv")).toBe("_id\n9\n");
});

test.each([
  ["other rows", rows.slice(1)],
  ["the same rows", rows],
])(
  "if another run publishes %s meanwhile, nothing of the earlier file is published",
  async (_, published) => {
    await publish();
    let isReplaced = false;
    const data = before(local.data, "stream", async () => {
      if (isReplaced) return;
      isReplaced = true;
      await publish(published, { ...run, "run-id": "test-dataset-000000000002" });
    });
    const without = { ...dataset, redaction: { nameColumns: [], ids: [] } };
    expect(await deidentify(without, { ...deps, data })).toEqual({
      run: run["run-id"],
      deidentified: "discarded",
    });
    expect(await read("csv")).toBeUndefined();
  },
);

test("a missing file, one without a header, and one that no run wrote are not de-identified", async () => {
  const problem = () => errorOf(deidentify(dataset, deps));
  expect(await problem()).toBe("PublishedFileMissing");
  await publish(rows, {});
  expect(await problem()).toBe("PublishedFileMissing");
  await publish(rows, { "run-id": "r" });
  expect(await problem()).toBe("PublishedFileMissing");
  await overwrite(local.data, dataset.publish.csv, "_id", run);
  expect(await problem()).toBe("PublishedFileMissing");
  expect(await read("csv")).toBeUndefined();
});

test("without a key, pseudonyms are refused and nothing is published", async () => {
  await publish();
  expect(await errorOf(deidentify(dataset, { ...deps, pseudonymKey: () => undefined }))).toBe(
    "PseudonymKeyMissing",
  );
  expect(await read("csv")).toBeUndefined();
  const withoutHash = { ...dataset, columns: dataset.columns.filter(({ name }) => name !== "By") };
  const other = { ...deps, pseudonymKey: () => undefined };
  expect(await deidentify(withoutHash, other)).toMatchObject({ deidentified: "written" });
});

test("a table that reads the de-identified file keeps the earlier columns while the header changes", async () => {
  await publish();
  await deidentify(dataset, deps);
  const folder = "csv-deidentified/";
  const table = { format: "csv" as const, folder, columns: [{ name: "_id", comment: "" }] };
  await local.engine.defineTable(entry.publish.table, table, undefined);
  await deidentify(dataset, deps);
  expect((await local.engine.table(entry.publish.table))?.folder).toBe(folder);
  const fewer = { ...dataset, columns: dataset.columns.filter(({ name }) => name !== "Minutes") };
  await deidentify(fewer, deps);
  expect((await local.engine.table(entry.publish.table))?.folder).not.toBe(folder);
});
