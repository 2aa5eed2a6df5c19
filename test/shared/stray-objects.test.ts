import { expect, test } from "vitest";
import { strayObjects, strayText } from "../../shared/stray-objects.ts";
import { datasetOf } from "../factories/dataset-entries.ts";
import { useLocal } from "../support/local-adapters.ts";

const local = useLocal();
const dataset = datasetOf([]);
const { csv, jsonl } = dataset.publish;

async function storeWith(keys: string[]) {
  const data = local.store();
  for (const key of [csv, jsonl, ...keys]) await data.put(key, "1\n", "text/csv");
  return data;
}

test("finds objects that Athena would read beside the published file, at any depth", async () => {
  const stray = ["csv/TEST.csv", "csv/a/b", "csv/test.csv.bak"];
  const others = ["csv-previous/test.csv", "csvs/x", "csv/_x", "csv/.x", "csv/a/_x"];
  const data = await storeWith([...stray, ...others]);
  await data.put("csv/", "", "text/plain");
  expect(await strayObjects(dataset, data)).toEqual(stray);
  expect(strayText(stray.slice(0, 1), "bucket")).toContain("s3://bucket/csv/TEST.csv");
});

test("finds objects beside the child files of a run, and not of other runs", async () => {
  const data = await storeWith(["csv-topics/run/test.csv", "csv-topics/run/x.csv", "csv-topics/other/x.csv"]);
  const parent = datasetOf([{ name: "Topics", type: "text", answers: "rows" }]);
  expect(await strayObjects(parent, data, "run")).toEqual(["csv-topics/run/x.csv"]);
  expect(await strayObjects(parent, data)).toEqual([]);
});

test("returns at most five objects", async () => {
  const data = await storeWith(Array.from({ length: 20 }, (_, n) => `csv/a${n}`));
  expect(await strayObjects(dataset, data)).toHaveLength(5);
});
