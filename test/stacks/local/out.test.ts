// The copies of child files in the folder of `npm start --out`.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { copyPublished } from "../../../stacks/local/out.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { openLocalInMemory } from "../../support/local-adapters.ts";
import { overwrite } from "../../support/objects.ts";

test("the child files of the live run are copied, and those of another run are removed", async () => {
  const dataset = datasetOf([{ name: "Topics", type: "text", answers: "rows" }]);
  const local = await openLocalInMemory();
  const out = join(local.folder, "out");
  await overwrite(local.data, dataset.publish.csv, "main");
  await overwrite(local.data, "csv-topics/first/test.csv", "answers");
  expect(await copyPublished(dataset, "first", out, local)).toEqual(["test.csv", "test-topics.csv"]);
  expect(await readFile(join(out, "test-topics.csv"), "utf8")).toBe("answers");
  expect(await copyPublished(dataset, "older", out, local)).toEqual(["test.csv"]);
  expect(await readdir(out)).toEqual(["test.csv"]);
});
