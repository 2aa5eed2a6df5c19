// Checks that LibInsight honored the requested dates. Pure.
import type { DateRange } from "../../shared/kinds/kind.ts";
import { dayOf } from "../../shared/privacy/forgotten.ts";

/**
 * Returns the number of records dated outside the range. Records without a date are not counted.
 * @param dateField the field with the date
 */
export function recordsOutside(
  records: readonly unknown[],
  { from, to }: DateRange,
  dateField: string,
): number {
  let outside = 0;
  for (const record of records) {
    const day = dayOf(record, dateField);
    if (day !== undefined && (day < from || day > to)) outside += 1;
  }
  return outside;
}
