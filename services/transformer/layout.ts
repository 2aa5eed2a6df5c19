// Where the columns' values are among a record's fields. Records of one form have the same fields in the same order, so
// it is worked out once for many records. Pure functions.
import { type Column, type JoinedColumn, type KeptColumn, sourceNames } from "../../shared/dataset-schema.ts";

/** A column that is published, and the places of its fields; a field that the record lacks has none. */
export type Step =
  | { joined?: never; kept: KeptColumn; place: number | undefined }
  | { joined: JoinedColumn; kept?: never; places: readonly (number | undefined)[] };

export type Layout = {
  steps: readonly Step[];
  /** The fields that no column takes: unknown ones, and a further label of a column that has its value already. */
  left: readonly { field: string; place: number }[];
};

/** Records have all fields, or lack one here and there. Layouts beyond these are worked out for each record. */
const maxRemembered = 16;

/** @returns a function from a record's fields, in its order, to their layout; it remembers the first few */
export function layouts(columns: readonly Column[]): (fields: readonly string[]) => Layout {
  const remembered: { fields: readonly string[]; layout: Layout }[] = [];
  return (fields) => {
    for (const known of remembered) if (isSame(known.fields, fields)) return known.layout;
    const layout = layoutOf(fields, columns);
    if (remembered.length < maxRemembered) remembered.push({ fields, layout });
    return layout;
  };
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  if (some.length !== others.length) return false;
  // A loop, because this is the only thing left to do for each record.
  for (let n = 0; n < some.length; n++) if (some[n] !== others[n]) return false;
  return true;
}

function layoutOf(fields: readonly string[], columns: readonly Column[]): Layout {
  const placeOf = new Map(fields.map((field, place) => [field, place]));
  const taken = new Set<number | undefined>();
  const steps: Step[] = [];
  for (const column of columns) {
    const places = sourceNames(column).map((label) => placeOf.get(label));
    if ("join" in column) {
      for (const place of places) taken.add(place);
      steps.push({ joined: column, places });
      continue;
    }
    const place = places.find((one) => one !== undefined);
    taken.add(place);
    if ("type" in column) steps.push({ kept: column, place });
  }
  const left = fields.map((field, place) => ({ field, place })).filter(({ place }) => !taken.has(place));
  return { steps, left };
}
