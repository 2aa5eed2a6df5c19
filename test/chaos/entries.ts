// The dataset entries that a plan deploys: the default dataset or one of statistics, with or without some changes.
import { type Column, type Dataset, type DatasetInput, dataset } from "../../shared/dataset-schema.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { type KindName, kinds } from "../../shared/kinds/kinds.ts";
import type { FaultAt, Plan } from "./fault-plan.ts";
import { addedField } from "./faulty-source.ts";
import { dataSource } from "./tableau-server.ts";

export type DeployKind = FaultAt<"deploy">["kind"];
/** `rows`: with child tables. */
type EntryPlan = Pick<Plan, "kind" | "rows" | "refresh">;

const renamed = "How";
/** A column whose child table every entry has, if it has any. */
export const followedChild = "who";

/** The columns that change, by kind of dataset. Statistics have no further fields. */
const changing: Record<DeployKind, readonly string[]> = {
  "declares a field": ["Location"],
  "drops a column": ["studio", "local_start", "data_type"],
  "renames a column": ["mode", "library", "platform"],
};

const changes: Record<DeployKind, (column: Column) => DatasetInput["columns"]> = {
  // The new column is inserted, so that the columns after it move. Free text is personal (shared/dataset-schema.ts).
  "declares a field": (column) => [{ name: addedField, type: "text", personal: true }, column],
  "drops a column": (column) => [{ name: column.name, drop: true }],
  "renames a column": (column) => [{ name: renamed, labels: [column.name], type: "text" }],
};

/** Two windows of gate counts, and three of e-resources. */
const statistics = {
  "gate-count": { firstDate: "2024-11-22" },
  "e-resources": { firstDate: "2024-09-01" },
};

/** A column that every entry has, and one that a deployment may drop. */
const withRows = [followedChild, "studio"];

function baseOf(kind: KindName, rows: boolean): DatasetInput {
  if (kind === "records") {
    const answers = "rows" as const;
    const columns = defaultDataset.columns.map((column) =>
      rows && "type" in column && withRows.includes(column.name) ? { ...column, answers } : column,
    );
    return { ...defaultDataset, columns };
  }
  const { statistics: _statistics, roles: _roles, redaction: _redaction, ...others } = defaultDataset;
  const { expectations: _expectations, ...rest } = others;
  return { ...rest, ...statistics[kind], kind, columns: kinds[kind].columns ?? [] };
}

const entries = new Map<string, Dataset>();

/** Returns the plan's entry with these changes: the same object for the same columns. */
export function entryWith(deployed: ReadonlySet<DeployKind>, plan: EntryPlan): Dataset {
  const { kind, rows } = plan;
  const base = baseOf(kind, rows);
  // Only datasets of records can be collected incrementally.
  const refresh = kind === "records" && plan.refresh !== null ? plan.refresh : undefined;
  let columns = dataset.shape.columns.parse(base.columns);
  for (const change of deployed) {
    const changed = columns.flatMap((column) =>
      changing[change].includes(column.name) ? changes[change](column) : [column],
    );
    columns = dataset.shape.columns.parse(changed);
  }
  const name = JSON.stringify([columns, refresh]);
  const known = entries.get(name);
  if (known) return known;
  const entry = dataset.parse({
    ...base,
    columns,
    refresh,
    // The role names the column, so it is renamed too.
    roles: { ...base.roles, ...(base.roles && deployed.has("renames a column") && { mode: renamed }) },
    tableau: { dataSources: [{ name: dataSource }] },
  });
  entries.set(name, entry);
  return entry;
}
