// What the figures of a report count: rows or, if the dataset names a quantity, its sums. Rows of statistics are neither.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { kinds, nounsOf } from "../../shared/kinds/kinds.ts";
import { dateColumn, type Profile, quantityProfile, timeColumn } from "../../shared/profile.ts";

export type Counted = {
  /** "record" or "visit" */
  noun: string;
  /** Whether rows are counted. */
  isRows: boolean;
  profile: Profile;
  /** That of the last publication. */
  previous: Profile | undefined;
  /** What the rows have. */
  has: { dates: boolean; weeks: boolean; hours: boolean };
};

/** Returns undefined if nothing may be counted: the number of a statistic's rows says nothing about what it counts. */
export function countedOf(
  profile: Profile,
  previous: Profile | undefined,
  dataset: Dataset,
): Counted | undefined {
  const { amount: noun } = nounsOf(dataset);
  const isRows = dataset.roles.quantity === undefined;
  // A profile of an earlier entry has no quantity.
  const [shown, before] = isRows
    ? [profile, previous]
    : [profile, previous].map((one) => one && quantityProfile(one));
  if (noun === undefined || !shown) return undefined;
  const dates = dateColumn(dataset) !== undefined;
  const weeks = dates && !kinds[dataset.kind].isMonthly;
  const has = { dates, weeks, hours: weeks && timeColumn(dataset) !== undefined };
  return { noun, isRows, profile: shown, previous: before, has };
}
