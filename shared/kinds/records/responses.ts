// The schema of a page of records. It allows variations, because no public samples exist.
import * as z from "zod/mini";
import { nonNegativeInt } from "../../schemas.ts";

const digits = z.pipe(z.string().check(z.regex(/^\d+$/)), z.transform(Number));
const count = z.pipe(z.union([z.number(), digits]), nonNegativeInt);
/** PHP writes null for a value that was never set. */
const nothing = z.union([z.undefined(), z.null()]);
const optionalCount = z.union([
  count,
  z.pipe(
    nothing,
    z.transform(() => undefined),
  ),
]);

/** PHP may write an empty list as `{}` or null, and a list from which it removed a member as an object with numbers. */
const recordList = z.union([
  z.array(z.unknown()),
  z.pipe(
    z.record(z.string().check(z.regex(/^\d+$/)), z.unknown()),
    z.transform((members) =>
      Object.entries(members)
        .sort(([one], [other]) => Number(one) - Number(other))
        .map(([, record]) => record),
    ),
  ),
  z.pipe(
    nothing,
    z.transform(() => undefined),
  ),
]);

/** A page of records. Every part may be missing. The transformer checks each record. */
const pageParts = z.object({
  records: z.optional(recordList),
  total_pages: z.optional(optionalCount),
  total_records: z.optional(optionalCount),
  displayed_page: z.optional(optionalCount),
});

export const pageResponse = z.object({
  type: z.literal("success"),
  payload: z.union([pageParts, z.tuple([])]),
});

export type Page = {
  records: unknown[];
  totalPages: number;
  totalRecords: number;
  displayedPage: number | undefined;
};

/**
 * Returns a page, with 0 and no records for parts that the response of an empty range leaves out.
 * @param page requested page; an empty payload is valid only for page 1, because it may mean a page beyond the last
 * @returns undefined if a part of any other response is missing
 */
export function pageOf({ payload }: z.infer<typeof pageResponse>, page: number): Page | undefined {
  const isEmpty = Array.isArray(payload);
  if (isEmpty && page > 1) return undefined;
  const parts: z.infer<typeof pageParts> = isEmpty ? { total_records: 0 } : payload;
  const { total_records, total_pages, displayed_page: displayedPage } = parts;
  const isProvenEmpty = (total_records ?? total_pages) === 0 && (parts.records ?? []).length === 0;
  const nothing = isProvenEmpty ? 0 : undefined;
  const records = parts.records ?? (isProvenEmpty ? [] : undefined);
  const totalPages = total_pages ?? nothing;
  const totalRecords = total_records ?? nothing;
  if (!records || totalPages === undefined || totalRecords === undefined) return undefined;
  return { records, totalPages, totalRecords, displayedPage };
}
