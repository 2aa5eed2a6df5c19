// Parses every statement about a published file with Athena's grammar. Add new statements to `statements`.
import { readdirSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { measuresView } from "../../../services/athena/measures.ts";
import { loadQuery } from "../../../services/athena/queries.ts";
import { analysisView, typedView, withRunComment } from "../../../services/athena/sql.ts";
import { createView } from "../../../shared/aws/hive.ts";
import { columnType } from "../../../shared/column-types.ts";
import { type Dataset, viewNames } from "../../../shared/dataset-schema.ts";
import { declaredColumns, tableColumns } from "../../../shared/table-columns.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { grammarErrors } from "../../support/athena-grammar.ts";
import { statisticsDataset } from "../../support/statistics-dataset.ts";

type Case = { dataset: Dataset; headers: string[]; database: string };

/** Returns the statements for a published file by their purpose. */
function statements({ dataset, headers, database }: Case) {
  const columns = tableColumns(headers, dataset);
  const { table } = dataset.publish;
  const { typed, analysis, measures } = viewNames(table);
  const origin = {
    runId: "gates-0123456789ab",
    dataset: dataset.name,
    requestedAt: "2024-03-15T12:00:00.123Z",
    attempt: 2,
  };
  return {
    createTypedView: createView(database, typed, typedView(dataset, columns, database).select),
    createAnalysisView: createView(database, analysis, analysisView(dataset, columns, database).select),
    createMeasuresView: createView(database, measures, measuresView(dataset, columns, database).select),
    datasetQuery: withRunComment(`SELECT * FROM "${database}"."${table}"`, origin),
  };
}

const words = "select table from order date timestamp year day_of_week try_cast as end".split(" ");
const name = fc.oneof(fc.stringMatching(/^[a-z][a-z0-9_]{0,40}$/), fc.constantFrom(...words));
const header = fc
  .oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 30 }),
    fc.string({
      unit: fc.constantFrom("`", '"', "'", "\\", ";", "-", "/", "*", "(", ",", "a", "1", " "),
      minLength: 1,
    }),
    fc.constantFrom(...words, "Question Type", "2024 Survey", "it's; DROP TABLE x --", "図書館", "/* x"),
  )
  .map((text) => text.replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, "_"));
const cases = fc
  .record({
    headers: fc.uniqueArray(
      header.filter((text) => text !== "_id"),
      { maxLength: 12 },
    ),
    types: fc.array(fc.constantFrom(...columnType.options), { minLength: 12, maxLength: 12 }),
    declared: fc.nat(12),
    name: fc.stringMatching(/^[a-z][a-z0-9-]{1,47}$/),
    table: name,
    database: name,
  })
  .map(({ headers, types, declared, name, table, database }): Case => {
    const columns = headers.slice(0, declared).map((header, n) => ({
      name: header,
      type: types[n] ?? "text",
      meaning: headers.at(-1 - n)?.slice(0, 150),
    }));
    const dataset = datasetOf(columns);
    const publish = { ...dataset.publish, table };
    return { dataset: { ...dataset, name, publish }, headers: ["_id", ...headers], database };
  });

test.each(readdirSync("services/athena/queries"))("%s is valid in Athena's grammar", async (file) => {
  const named = { ...datasetOf([]), name: file.replace(/\.sql$/, "") };
  expect(grammarErrors(await loadQuery(named, "library"))).toEqual([]);
});

test("every statement is valid in Athena's grammar for any headers, types and names", () => {
  fc.assert(
    fc.property(cases, (given) => {
      const errors = Object.entries(statements(given)).map(([what, sql]) => [what, grammarErrors(sql)]);
      expect(errors).toEqual(Object.keys(statements(given)).map((what) => [what, []]));
    }),
    { numRuns: 200 },
  );
});

test("the view of declared measures is valid in Athena's grammar", () => {
  for (const several of [false, true]) {
    const dataset = statisticsDataset({ several });
    const { select } = measuresView(dataset, declaredColumns(dataset), "library");
    expect(grammarErrors(createView("library", "measures", select))).toEqual([]);
  }
});

describe("the grammar rejects", () => {
  const sample = statements({
    dataset: datasetOf([{ name: "Opened", type: "timestamp" }]),
    headers: ["_id", "Opened"],
    database: "library",
  });

  test.each<[keyof typeof sample, string, (sql: string) => string]>([
    ["createTypedView", "names in backticks", (sql) => sql.replaceAll('"', "`")],
    ["createTypedView", "a name that begins with a digit", (sql) => sql.replace('AS "opened"', "AS 2nd")],
    ["createTypedView", "an empty name", (sql) => sql.replace('AS "opened"', 'AS ""')],
    ["datasetQuery", "a second statement", (sql) => `${sql};\n${sql}`],
    ["datasetQuery", "only its comment", (sql) => sql.replace(/SELECT.*/, "")],
  ])("%s with %s", (what, _how, breakIt) => {
    const broken = breakIt(sample[what]);
    expect(broken).not.toBe(sample[what]);
    expect(grammarErrors(sample[what])).toEqual([]);
    expect(grammarErrors(broken)).not.toEqual([]);
  });
});
