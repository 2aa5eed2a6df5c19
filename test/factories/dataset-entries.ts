// Small datasets, for rules that the default dataset does not use.
import { type Dataset, type DatasetInput, dataset } from "../../shared/dataset-schema.ts";
import { type KindName, kinds } from "../../shared/kinds/kinds.ts";

/** Returns a dataset with `_id` and the given columns. */
export function datasetOf(
  columns: DatasetInput["columns"],
  undeclared: Dataset["undeclared"] = "append",
): Dataset {
  return dataset.parse({
    name: "test-dataset",
    libinsightId: 1,
    firstDate: "2020-01-01",
    timeZone: "America/New_York",
    columns: [{ name: "_id", type: "integer", required: true }, ...columns],
    undeclared,
    publish: {
      csv: "csv/test.csv",
      jsonl: "jsonl/test.jsonl",
      results: "published/test.csv",
      queryResults: "queries",
      table: "test_dataset",
    },
  });
}

/** Returns a dataset with the columns of a kind. */
export function datasetOfKind(kind: KindName): Dataset {
  const { columns = [] } = kinds[kind];
  return { ...datasetOf(columns.slice(1)), kind };
}
