// Checks that LibInsight honored the requested dates. Pure.
import type { DateRange } from "../../shared/kinds/kind.ts";
import { isObject } from "./record.ts";

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
    const date = isObject(record) ? record[dateField] : undefined;
    if (typeof date !== "string" || !/^\s*\d{4}-\d{2}-\d{2}/.test(date)) continue;
    const day = date.trim().slice(0, "2024-01-01".length);
    if (day < from || day > to) outside += 1;
  }
  return outside;
}
