// Maps columns to the positions of their fields in a record. Records of one form have the same fields in the same order,
// so one mapping serves many records. Pure functions.
import { type Column, type JoinedColumn, type KeptColumn, sourceNames } from "../../shared/dataset-schema.ts";

/** A published column and the indexes of its fields; undefined if the record lacks the field. */
type Step =
  | { joined?: never; kept: KeptColumn; index: number | undefined }
  | { joined: JoinedColumn; kept?: never; indexes: readonly (number | undefined)[] };

export type Layout = {
  steps: readonly Step[];
  /** Fields that no column reads: unknown ones, and further labels of a column that already has a value. */
  undeclared: readonly { field: string; index: number }[];
};

/** Most records have all fields, and some lack one. Further layouts are computed for each record. */
const maxCached = 16;

/** Returns a function from a record's field names, in order, to their layout. It caches the first 16 layouts. */
export function layouts(columns: readonly Column[]): (fields: readonly string[]) => Layout {
  const cached: { fields: readonly string[]; layout: Layout }[] = [];
  return (fields) => {
    for (const known of cached) if (isSame(known.fields, fields)) return known.layout;
    const layout = layoutOf(fields, columns);
    if (cached.length < maxCached) cached.push({ fields, layout });
    return layout;
  };
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  if (some.length !== others.length) return false;
  // A plain loop, because it runs for every record.
  for (let n = 0; n < some.length; n++) if (some[n] !== others[n]) return false;
  return true;
}

function layoutOf(fields: readonly string[], columns: readonly Column[]): Layout {
  const indexOf = new Map(fields.map((field, index) => [field, index]));
  const taken = new Set<number | undefined>();
  const steps: Step[] = [];
  for (const column of columns) {
    const indexes = sourceNames(column).map((label) => indexOf.get(label));
    if ("join" in column) {
      for (const index of indexes) taken.add(index);
      steps.push({ joined: column, indexes });
      continue;
    }
    const index = indexes.find((one) => one !== undefined);
    taken.add(index);
    if ("type" in column) steps.push({ kept: column, index });
  }
  const undeclared = fields
    .map((field, index) => ({ field, index }))
    .filter(({ index }) => !taken.has(index));
  return { steps, undeclared };
}
