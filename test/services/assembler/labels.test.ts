// Follows fields whose labels are property names of every JavaScript object from the transformer to the published files.
import { expect, test } from "vitest";
import { assemble } from "../../../services/assembler/assemble.ts";
import { Ledger } from "../../../services/assembler/ledger.ts";
import { transformPage } from "../../../services/transformer/page.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import { decodePart, encodePart } from "../../../shared/part.ts";
import { runResult } from "../../../shared/run.ts";
import { tableColumns } from "../../../shared/table-columns.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { recordOf } from "../../factories/libinsight-records.ts";
import { runOf } from "../../factories/requests.ts";
import { capturedEvents, useLocal } from "../../support/local-adapters.ts";
import { ScriptedQueryEngine } from "../../support/scripted-query-engine.ts";
import { parseCsv } from "../../support/transformed.ts";
import { putRecounts, putRun, putWindow } from "../../support/work-bucket.ts";

const local = useLocal();
const labels = ["__proto__", "constructor", "toString"];

/** Returns a record parsed from JSON, in which `__proto__` is an own property. */
function recordWith(id: number, values: [string, unknown][]): unknown {
  const members = [...Object.entries(recordOf(id)), ...values];
  return JSON.parse(
    `{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`,
  );
}

/** Returns a Map, in which `__proto__` is a key like any other. */
const entriesOf = (counts: object) => new Map<string, unknown>(Object.entries(counts));

test("counts, publishes and names undeclared fields called __proto__, constructor and toString", async () => {
  const [work, data] = [local.store(), local.store()];
  const run = runOf("labels");
  await putRun(run, work);
  // The second page lacks two of the fields, so its part is changed when it is fitted into the file.
  const pages = [
    [
      recordWith(
        1,
        labels.map((label) => [label, `${label} 1`]),
      ),
    ],
    [recordWith(2, [["__proto__", 'a "2"']]), recordWith(3, [])],
  ];
  await putWindow(run, { window: 1, pages }, work);
  await putRecounts(run, 1, work);
  const { events: _, emit } = capturedEvents();
  await assemble(
    { runId: run.runId, dataset: run.dataset, attempt: 1 },
    {
      work,
      data,
      results: local.store(),
      datasets,
      tables: new ScriptedQueryEngine(),
      fetcherQueue: local.queue("fetcher"),
      emit,
      now: () => new Date(),
    },
  );

  const result = await work.getJson(keys.result(run.runId), runResult);
  expect(result).toMatchObject({ state: "published", rows: 3 });
  expect(entriesOf(result?.undeclared ?? {})).toEqual(
    new Map([
      ["__proto__", 2],
      ["constructor", 1],
      ["toString", 1],
    ]),
  );
  expect(entriesOf(result?.filled ?? {})).toEqual(
    new Map([...entriesOf(result?.filled ?? {}), ["__proto__", 2], ["constructor", 1], ["toString", 1]]),
  );
  const [header = [], ...rows] = parseCsv((await data.getText(defaultDataset.publish.csv)) ?? "");
  expect(header.slice(-3)).toEqual(labels);
  const values = [
    ["__proto__ 1", "constructor 1", "toString 1"],
    ['a "2"', null, null],
    [null, null, null],
  ];
  expect(rows.map((row) => row.slice(-3))).toEqual(values);
  const lines = ((await data.getText(defaultDataset.publish.jsonl)) ?? "").split("\n").slice(0, -1);
  const members = lines.map((line) => entriesOf(JSON.parse(line)));
  expect(members.map((row) => labels.map((label) => row.get(label)))).toEqual(values);
  const columns = tableColumns(
    header.map((name) => name ?? ""),
    defaultDataset,
  );
  expect(columns.slice(-3)).toMatchObject([
    { name: "__proto", header: "__proto__", declared: false, type: "text" },
    { name: "constructor", header: "constructor", declared: false, type: "text" },
    { name: "tostring", header: "toString", declared: false, type: "text" },
  ]);
});

test("counts declared columns called __proto__, constructor and toString, from the part to the ledger", () => {
  const dataset = datasetOf([
    { name: "__proto__", type: "number" },
    { name: "constructor", type: "text", answers: "first" },
    { name: "toString", type: "integer" },
  ]);
  const record: unknown = JSON.parse('{"_id":1,"__proto__":"many","constructor":["a","b","c"],"toString":7}');
  const page = transformPage([record], dataset);
  const totals = { totalPages: 1, totalRecords: 1 };
  const part = decodePart(
    "key",
    encodePart(
      { from: "2023-01-01", to: "2023-12-31", page: 1, entry: "entry", outside: 0, totals, ...page.summary },
      page.csv,
      page.jsonl,
    ),
  );
  const ledger = new Ledger("entry");
  ledger.beginWindow({ number: 1, from: "2023-01-01", to: "2023-12-31" });
  ledger.addPart(part.summary);
  expect(ledger.mistyped).toEqual(new Map([["__proto__", 1]]));
  expect(ledger.furtherAnswers).toEqual(new Map([["constructor", 2]]));
  expect([...ledger.filled.keys()].sort()).toEqual(["__proto__", "_id", "constructor", "toString"]);
});
