// The dataset entries that a plan deploys: the default dataset, with or without some changes.
import { type Column, type Dataset, type DatasetInput, dataset } from "../../shared/dataset-schema.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import type { FaultAt } from "./fault-plan.ts";
import { addedField } from "./faulty-source.ts";
import { dataSource } from "./tableau-server.ts";

export type DeployKind = FaultAt<"deploy">["kind"];

const renamed = "How";

const changes: Record<DeployKind, (column: Column) => DatasetInput["columns"]> = {
  // The new column is inserted, so that the columns after it move.
  "declares a field": (column) =>
    column.name === "Location" ? [{ name: addedField, type: "text" }, column] : [column],
  "drops a column": (column) => (column.name === "studio" ? [{ name: column.name, drop: true }] : [column]),
  "renames a column": (column) =>
    column.name === "mode" ? [{ name: renamed, labels: [column.name], type: "text" }] : [column],
};

const entries = new Map<string, Dataset>();

/** Returns the default entry with these changes: the same object for the same changes. */
export function entryWith(kinds: ReadonlySet<DeployKind>): Dataset {
  const name = [...kinds].sort().join();
  const known = entries.get(name);
  if (known) return known;
  const applied = [...kinds].map((kind) => changes[kind]);
  const columns = applied.reduce<DatasetInput["columns"]>(
    (all, change) => dataset.shape.columns.parse(all).flatMap(change),
    defaultDataset.columns,
  );
  const entry = dataset.parse({
    ...defaultDataset,
    columns,
    // The role names the column, so it is renamed too.
    roles: { ...defaultDataset.roles, ...(kinds.has("renames a column") && { mode: renamed }) },
    tableau: { dataSources: [{ name: dataSource }] },
  });
  entries.set(name, entry);
  return entry;
}
