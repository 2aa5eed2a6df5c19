// Tests the first rows of a dataset's views, whose errors never fail a run.
import { expect, test } from "vitest";
import { PipelineError } from "../../../shared/errors.ts";
import type { Rows } from "../../../shared/ports.ts";
import { firstRows } from "../../../stacks/local/views.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { ScriptedQueryEngine } from "../../support/scripted-query-engine.ts";

const typed = 'SELECT * FROM "library"."test_dataset_typed" LIMIT 3';
const analysis = 'SELECT * FROM "library"."test_dataset_analysis" LIMIT 3';
const rows: Rows = {
  columns: ["_id", "note"],
  rows: [
    ["1", null],
    ["2", ""],
  ],
};

/** Returns the first rows from an engine that returns these rows or throws these errors, by query. */
function shownOf(results: Record<string, Rows | Error>) {
  class Engine extends ScriptedQueryEngine {
    override async firstRows(sql?: string): Promise<Rows> {
      const result = results[sql ?? ""];
      if (!result || result instanceof Error) throw result;
      return result;
    }
  }
  return firstRows(datasetOf([]), new Engine());
}

test("queries both views as an analyst would", async () => {
  expect(await shownOf({ [typed]: rows, [analysis]: rows })).toEqual([
    { view: "test_dataset_typed", ...rows },
    { view: "test_dataset_analysis", ...rows },
  ]);
});

test("a failed view has its error's name, without values of records", async () => {
  const slow = new PipelineError("StatementTooSlow", { message: "MARKED", advice: "", ids: { query: "7" } });
  expect(await shownOf({ [typed]: slow, [analysis]: rows })).toEqual([
    { view: "test_dataset_typed", failed: "StatementTooSlow, query 7" },
    { view: "test_dataset_analysis", ...rows },
  ]);
  expect(await shownOf({ [typed]: rows, [analysis]: new TypeError("MARKED is no number") })).toEqual([
    { view: "test_dataset_typed", ...rows },
    { view: "test_dataset_analysis", failed: "TypeError" },
  ]);
});
