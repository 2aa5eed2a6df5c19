// The Parquet file has the values of the typed view over the CSV: the same view, read from each of them, shows the same rows.
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { followFile } from "../../services/athena/follow-file.ts";
import { transformPage } from "../../services/transformer/page.ts";
import { childTables } from "../../shared/child-tables.ts";
import { knownNames } from "../../shared/column-names.ts";
import { columnType } from "../../shared/column-types.ts";
import { csvRows } from "../../shared/csv.ts";
import { viewNames } from "../../shared/dataset-schema.ts";
import { parquetColumns, parquetKey, parquetMetadata } from "../../shared/parquet-file.ts";
import { decodePart, encodePart } from "../../shared/part.ts";
import { tableColumns } from "../../shared/table-columns.ts";
import { TypedRows } from "../../shared/typed-rows.ts";
import { datasetOf } from "../factories/dataset-entries.ts";
import { openLocalInMemory } from "../support/local-adapters.ts";
import { overwrite } from "../support/objects.ts";
import { parquetRecords } from "../support/parquet-records.ts";

const dataset = datasetOf([
  ...columnType.options.map((type) => ({ name: `A ${type}`, type })),
  { name: "Topics", type: "text", answers: "rows" },
  { name: "Who?", type: "text", answers: "rows", personal: true },
]);
const headers = ["_id", ...columnType.options.map((type) => `A ${type}`), "Topics", "Who?", "Extra"];
const isList = (column: number) => ["Topics", "Who?"].includes(headers[column] ?? "");
const { csv: csvKey, table } = dataset.publish;
const names = viewNames(table);

let local: Awaited<ReturnType<typeof openLocalInMemory>>;

type Page = { records: object[]; skip: number[] };

/** Returns the published CSV and the typed rows of some pages. */
async function filesOf(pages: readonly Page[], metadata = {}) {
  const known = await knownNames(dataset, local.results);
  const columns = parquetColumns(tableColumns(headers, dataset, known), dataset);
  const typed = new TypedRows(columns, childTables(dataset), metadata);
  let csv = csvRows([headers]);
  const bytes: Uint8Array[] = [];
  for (const { records, skip } of pages) {
    const { summary, ...rows } = transformPage(records, dataset);
    const totals = { totalPages: 1, totalRecords: records.length };
    const whole = {
      ...summary,
      from: "2023-01-01",
      to: "2023-12-31",
      page: 1,
      entry: "entry",
      totals,
      outside: 0,
    };
    const part = decodePart("part", encodePart(whole, rows.csv, rows.jsonl, rows.children));
    const kept = rows.csv.split("\n").filter((line, index) => line !== "" && !skip.includes(index));
    const published = kept.map((line) => `${line}\n`).join("");
    csv += published;
    bytes.push(typed.add(Buffer.from(published), part, skip));
  }
  bytes.push(typed.finish());
  return { csv, columns, parquet: Buffer.concat(bytes) };
}

let published = 0;

/** Publishes the files and returns the rows of the typed view, and the table that it reads. */
async function typedView({ csv, parquet, mark }: { csv: string; parquet?: Buffer; mark?: string }) {
  published += 1;
  const runId = `run-${published}`;
  if (parquet) await overwrite(local.data, parquetKey(csvKey, runId), parquet, mark ? { columns: mark } : {});
  const metadata = { "run-id": runId, "requested-at": "2024-03-15T12:00:00Z" };
  await overwrite(local.data, csvKey, csv, metadata);
  const { queues, ...ports } = local;
  await followFile(dataset, {
    ...ports,
    datasets: [dataset],
    athenaQueue: queues.athena,
    checkSeconds: 60,
  });
  const definition = z.object({ select: z.string() });
  const { select } = definition.parse(
    JSON.parse((await local.work.getText(`catalog/${names.typed}.json`)) ?? ""),
  );
  const { rows } = await local.engine.firstRows(`SELECT * FROM "${names.typed}" ORDER BY "_id"`, "out", 999);
  return { rows, from: /FROM .*"(\w+)"$/.exec(select)?.[1] };
}

const texts = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", '"', ",", ";", " ", "\n", "é", "💥", "\\"), maxLength: 6 }),
  fc.constantFrom(
    "",
    "  ",
    "Maps; Data",
    "yes",
    "TRUE",
    "1",
    "0",
    "-0",
    "12.50",
    "1e3",
    "1e-7",
    "9007199254740993",
  ),
  fc.constantFrom(
    "2024-02-29",
    "2023-02-29",
    "0999-12-31",
    "2024-02-29 23:59:59",
    "2024-02-29T09:30",
    "24:00:00",
  ),
  fc.constantFrom("9:30 pm", "09:30", "1.2.3", "0.1", "12345678901234567890", "false", "no"),
);
const value = fc.oneof(
  texts,
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.maxSafeInteger(),
  fc.constantFrom(null, true, false, {}),
  fc.array(fc.oneof(texts, fc.constant(null)), { maxLength: 3 }),
);
const record = fc.record({
  ...Object.fromEntries(headers.slice(1, -1).map((header) => [header, value])),
  // Each part of this test has the undeclared column.
  Extra: fc.oneof(texts, fc.integer()),
});
const pages = fc
  .array(fc.tuple(fc.array(record, { maxLength: 8 }), fc.array(fc.nat(8), { maxLength: 2 })), {
    maxLength: 3,
  })
  .map((all) =>
    all.map(
      ([records, skip], page): Page => ({
        records: records.map((each, index) => ({ _id: 100 * page + index, ...each })),
        skip,
      }),
    ),
  );

test("the typed view shows the same values from Parquet as from the CSV", async () => {
  local = await openLocalInMemory();
  await fc.assert(
    fc.asyncProperty(pages, async (given) => {
      const { csv, parquet, columns } = await filesOf(given);
      const fromCsv = await typedView({ csv });
      expect(fromCsv.from).toBe(table);
      const mark = parquetMetadata(columns).columns;
      // A blank text is no answer, so a list does not have it.
      const rows = fromCsv.rows.map((row) =>
        row.map((text, n) => (isList(n) && text?.trim() === "" ? "" : text)),
      );
      expect(await typedView({ csv, parquet, mark })).toEqual({ rows, from: names.parquet });
    }),
    { numRuns: 25, interruptAfterTimeLimit: 40_000 },
  );
});

test("Parquet keeps null apart from the empty text, and each answer of a list", async () => {
  local = await openLocalInMemory();
  const answers = { Topics: ["Maps; Data", " ", 'a "b"', "Maps"], Extra: 1 };
  const records = [
    { _id: 1, ...answers, "A text": "", "A timestamp": "2024-03-10 02:30:00", "A date": "someday" },
    { _id: 2, ...answers },
    { _id: 3, "Who?": "Staff", "A integer": "7", Extra: 2 },
  ];
  const { parquet } = await filesOf([{ records, skip: [1] }]);
  const none = { a_integer: null, a_number: null, a_date: null, a_time: null, a_boolean: null };
  expect(await parquetRecords(parquet)).toEqual([
    {
      ...{ ...none, _id: 1n, a_text: "", a_timestamp: new Date("2024-03-10T02:30:00Z"), extra: "1" },
      ...{ topics: ["Maps; Data", 'a "b"', "Maps"], who: [] },
    },
    {
      ...none,
      _id: 3n,
      a_text: null,
      a_integer: 7n,
      a_timestamp: null,
      topics: [],
      who: ["Staff"],
      extra: "2",
    },
  ]);
});

test("a file of other columns, or none, is not read, and the Parquet table then has no rows of another run", async () => {
  local = await openLocalInMemory();
  const { csv, parquet, columns } = await filesOf([{ records: [{ _id: 1, Extra: "x" }], skip: [] }]);
  const mark = parquetMetadata(columns).columns;
  const read = await typedView({ csv, parquet, mark });
  expect(read.from).toBe(names.parquet);
  for (const files of [{ csv }, { csv, parquet }, { csv, parquet, mark: "0123456789abcdef" }]) {
    expect(await typedView(files)).toEqual({ rows: read.rows, from: table });
    const query = local.engine.firstRows(`SELECT * FROM "${names.parquet}"`, "out", 999);
    await expect(query).rejects.toMatchObject({ name: "StatementFailed" });
  }
  expect(await typedView({ csv, parquet, mark })).toEqual(read);
});
