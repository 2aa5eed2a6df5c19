// The typed view shows exactly the values that the transformer accepts as values of a column's type.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { followFile } from "../../../services/athena/follow-file.ts";
import { transformPage } from "../../../services/transformer/page.ts";
import { columnType } from "../../../shared/column-types.ts";
import { csvRows } from "../../../shared/csv.ts";
import { openLocal } from "../../../shared/local/open-local.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { overwrite } from "../../support/objects.ts";

const types = columnType.options.filter((type) => type !== "text");
const dataset = datasetOf([
  ...types.map((type) => ({ name: type, type })),
  { name: "minutes", type: "number", unit: "min" },
]);
const headers = [...types, "minutes"];

let folder = "";
let local: Awaited<ReturnType<typeof openLocal>>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "types-"));
  local = await openLocal(folder, { inMemory: true });
});
afterAll(async () => {
  await local.close();
  await rm(folder, { recursive: true, force: true });
});

let published = 0;

/** Publishes rows and returns them as the typed view shows them. */
async function viewOf(csv: string) {
  published += 1;
  const metadata = { "run-id": `run-${published}`, "requested-at": "2024-03-15T12:00:00Z" };
  await overwrite(local.data, dataset.publish.csv, csvRows([["_id", ...headers]]) + csv, metadata);
  await followFile(dataset, {
    ...local,
    datasets: [dataset],
    athenaQueue: local.queues.athena,
    checkSeconds: 60,
  });
  const names = headers.map((header) => `"${header}"`).join(", ");
  const sql = `SELECT ${names} FROM "test_dataset_typed" ORDER BY "_id"`;
  return (await local.engine.firstRows(sql, "queries", 999)).rows;
}

const jsonRow = z.record(z.string(), z.unknown());

/** Returns each value in a column of each type: the transformer's cell and the view's value. */
async function readAll(values: readonly unknown[]) {
  const records = values.map((value, index) => ({
    _id: index,
    ...Object.fromEntries(headers.map((header) => [header, value])),
  }));
  const pages = records.map((record) => transformPage([record], dataset));
  const view = await viewOf(pages.map(({ csv }) => csv).join(""));
  expect(view).toHaveLength(values.length);
  return pages.map(({ jsonl, summary }, row) => {
    const cells = jsonRow.parse(JSON.parse(jsonl));
    return headers.map((header, column) => ({
      header,
      cell: cells[header],
      isMistyped: summary.mistyped[header] === 1,
      shown: view[row]?.[column] ?? null,
    }));
  });
}

/** Returns an accepted cell as Athena writes its value in a result. */
function spelled(header: string, cell: unknown): unknown {
  if (header === "timestamp") return `${String(cell)}.000`;
  return header === "number" || header === "minutes" ? Number(cell) : String(cell);
}

/** Returns the cells with different values in the view and the transformer. */
function disagreements(cells: Awaited<ReturnType<typeof readAll>>[number]) {
  return cells.filter(({ header, cell, isMistyped, shown }) => {
    const expected = cell === null || isMistyped ? null : spelled(header, cell);
    return expected !== (typeof expected === "number" && shown !== null ? Number(shown) : shown);
  });
}

const nothing = {};
const numbers = (integer: string) => ({ integer, number: integer, minutes: integer });
const decimal = (number: string) => ({ number, minutes: number });

const examples: [unknown, Record<string, unknown>][] = [
  // Athena casts these to a number or a time, but people do not write them as one.
  ...["NaN", "Infinity", "-Infinity", "1d", "1f", "0x1p3", ".5", "5.", "５", "1_000", "1,5", "1 2"].map(
    (given): [string, Record<string, unknown>] => [given, nothing],
  ),
  [" 5", numbers("5")],
  ["5\u0000", numbers("5")],
  [[["5"]], numbers("5")],
  ["+07.50", decimal("7.5")],
  ["1e3", numbers("1000")],
  ["12.5e-1", decimal("1.25")],
  ["1E+400", nothing],
  ["1e-400", nothing],
  [Number.POSITIVE_INFINITY, nothing],
  [JSON.rawJSON("1e400"), nothing],
  [JSON.rawJSON("9007199254740993"), nothing],
  ["9007199254740991", numbers("9007199254740991")],
  [9007199254740992, nothing],
  [1e21, nothing],
  // A double has 17 digits. The file keeps these digits, and the view shows the nearest double.
  ["0.12345678901234567", decimal("0.12345678901234567")],
  [JSON.rawJSON("0.12345678901234567"), decimal("0.12345678901234567")],
  [JSON.rawJSON("0.123456789012345678"), nothing],
  [0.1 + 0.2, decimal("0.30000000000000004")],
  [1.5e-299, decimal("1.5e-299")],
  [5e-324, nothing],
  ["45 min", { minutes: "45" }],
  ["45MIN", { minutes: "45" }],
  ["1.5  Min ", { minutes: "1.5" }],
  ["45 mins", nothing],
  ["min", nothing],
  ["45 min min", nothing],
  ["2024-02-29", { date: "2024-02-29" }],
  [" 2024-02-29 ", { date: "2024-02-29" }],
  ["2023-02-29", nothing],
  ["2024-1-5", nothing],
  ["2024-01-05Z", nothing],
  ["02/29/2024", nothing],
  ["0000-01-01", nothing],
  ["2024-02-29T23:59", { timestamp: "2024-02-29 23:59:00" }],
  ["2024-01-05 10:00:00 UTC", nothing],
  ["2024-01-05 10:00:00+05:00", nothing],
  ["2024-01-05 10:00:00.5", nothing],
  ["2024-1-5 10:00:00", nothing],
  ["+2024-01-05 10:00:00", nothing],
  ["14:30", { time: "14:30:00" }],
  ["00:00:59", { time: "00:00:59" }],
  ["2:30 PM", { time: "14:30:00" }],
  ["12:05am", { time: "00:05:00" }],
  ["12:00:30 Pm", { time: "12:00:30" }],
  ["2:30", nothing],
  ["24:00", nothing],
  ["13:00 PM", nothing],
  ["0:30 AM", nothing],
  ["14:60", nothing],
  [true, { boolean: "true" }],
  [false, { boolean: "false" }],
  ["YES", { boolean: "true" }],
  ["no", { boolean: "false" }],
  [1, { ...numbers("1"), boolean: "true" }],
  ["0", { ...numbers("0"), boolean: "false" }],
  ["y", nothing],
  [{ a: true }, nothing],
];

test("each example is accepted by exactly the listed types and written in one canonical form", async () => {
  const found = await readAll(examples.map(([given]) => given));
  const accepted = found.map((cells) =>
    Object.fromEntries(
      cells.filter(({ isMistyped }) => !isMistyped).map(({ header, cell }) => [header, String(cell)]),
    ),
  );
  expect(accepted.map((types, index) => [examples[index]?.[0], types])).toEqual(examples);
  expect(found.flatMap(disagreements)).toEqual([]);
});

const digits = fc.stringMatching(/^[0-9]{1,19}$/);
const pieces = (...texts: string[]) => fc.constantFrom(...texts);
const numberText = fc
  .tuple(
    ...[pieces("", "", " ", "\t", "\u0000"), pieces("", "-", "+", "--"), digits],
    ...[
      fc.oneof(
        pieces("", "", ".", ".5"),
        digits.map((text) => `.${text}`),
      ),
      pieces("", "", "e5", "E-3", "e-320"),
    ],
    pieces("", "", "d", "f", " min", "min", " "),
  )
  .map((parts) => parts.join(""));
const two = fc.nat(61).map((n) => String(n).padStart(2, "0"));
const timeText = fc
  .tuple(
    ...[fc.oneof(two, fc.nat(24).map(String)), pieces(":", ":", "."), two],
    ...[
      fc.oneof(
        pieces(""),
        two.map((text) => `:${text}`),
      ),
      pieces("", "", " PM", "am", "Z", ".5", "+05:00"),
    ],
  )
  .map((parts) => parts.join(""));
const dayText = fc
  .tuple(fc.nat(9999), pieces("-", "-", "/"), fc.nat(13), fc.nat(32), fc.boolean())
  .map(([year, mark, month, day, padded]) => {
    const [y, ...rest] = [year, month, day].map((n, index) => String(n).padStart(index === 0 ? 4 : 2, "0"));
    return [y, ...(padded ? rest : [month, day])].join(mark);
  });
const text = fc.oneof(
  numberText,
  timeText,
  dayText,
  fc.tuple(dayText, pieces(" ", "T", "  "), timeText).map((parts) => parts.join("")),
  fc.double().map(String),
  pieces("true", "False", "yes", "NO", "1", "0", "", " ", "NaN", "Infinity", "null", "t"),
  fc.string({ unit: fc.constantFrom(..."0159+-.eE: TZ\u0000\u2003\uff15") }),
  fc.string({ unit: "binary", maxLength: 8 }),
);
const value = fc.oneof(
  { weight: 6, arbitrary: text },
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.array(text, { maxLength: 2 }),
  fc.jsonValue({ maxDepth: 2 }),
  numberText
    .filter((given) => /^-?(0|[1-9]\d*)(\.\d+)?([eE]-?\d+)?$/.test(given))
    .map((given) => JSON.rawJSON(given)),
);

test("the typed view is null for mistyped and missing values and shows every other value", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(value, { minLength: 400, maxLength: 900 }), async (values) => {
      expect((await readAll(values)).flatMap(disagreements)).toEqual([]);
    }),
    { numRuns: 5, endOnFailure: true },
  );
});
