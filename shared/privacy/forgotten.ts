// The forgotten list of a dataset: the records that `npm run privacy -- forget` has removed. The fetcher drops them from every
// page, so that no later run stores them. It holds ids and a date, and nothing else of the records.
import * as z from "zod/mini";
import { keys } from "../keys.ts";
import type { LibInsightPage } from "../kinds/kind.ts";
import type { ObjectStore } from "../ports.ts";
import { isoDate, nonNegativeInt } from "../schemas.ts";

/** The fetcher reads the list for each page. This many ids are a megabyte. */
export const maxForgotten = 100_000;

/** `forgotten/{dataset}.json` */
export const forgottenList = z.strictObject({
  ids: z.array(nonNegativeInt).check(z.maxLength(maxForgotten)),
  /** Every record with an earlier date. */
  before: z.optional(isoDate),
});
export type ForgottenList = z.infer<typeof forgottenList>;

/** Returns the forgotten list of a dataset, or undefined if nothing was ever forgotten. */
export function readForgotten(
  dataset: string,
  work: Pick<ObjectStore, "getJson">,
): Promise<ForgottenList | undefined> {
  return work.getJson(keys.forgotten(dataset), forgottenList);
}

/** Returns both lists as one. */
export function joinedLists(one: ForgottenList, other: ForgottenList): ForgottenList {
  const before = [one.before, other.before]
    .filter((date) => date !== undefined)
    .sort()
    .at(-1);
  const ids = [...new Set([...one.ids, ...other.ids])].sort((a, b) => a - b);
  return { ids, ...(before !== undefined && { before }) };
}

/**
 * Returns the page's records that are not forgotten, and the `_id` of each other one, or null without a valid one.
 * @param dateField the field with a record's date
 */
export function withoutForgotten(
  records: LibInsightPage["records"],
  { ids, before }: ForgottenList,
  dateField: string,
): { records: unknown[]; forgotten: (number | null)[] } {
  const listed = new Set(ids);
  const kept: unknown[] = [];
  const forgotten: (number | null)[] = [];
  for (const record of records) {
    const id = idOf(record);
    const day = dayOf(record, dateField);
    const isForgotten =
      (id !== undefined && listed.has(id)) || (before !== undefined && day !== undefined && day < before);
    if (isForgotten) forgotten.push(id ?? null);
    else kept.push(record);
  }
  return { records: kept, forgotten };
}

function idOf(record: unknown): number | undefined {
  const value = fieldOf(record, "_id");
  // LibInsight may send a number as text.
  const id = typeof value === "string" && /^\s*\d+\s*$/.test(value) ? Number(value) : value;
  return typeof id === "number" && Number.isSafeInteger(id) && id >= 0 ? id : undefined;
}

/** Returns the day of a record, or undefined if it has no date. @param dateField the field with the date */
export function dayOf(record: unknown, dateField: string): string | undefined {
  const date = fieldOf(record, dateField);
  return typeof date === "string" ? /^\s*(\d{4}-\d{2}-\d{2})/.exec(date)?.[1] : undefined;
}

/** Returns the value of an own field, because a field may be called `constructor`. */
function fieldOf(record: unknown, field: string): unknown {
  if (typeof record !== "object" || record === null) return undefined;
  return Object.getOwnPropertyDescriptor(record, field)?.value;
}
