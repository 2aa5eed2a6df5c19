// A kind of LibInsight dataset: how a range is cut into periods, what is requested for a range, how the response becomes
// records with ids, and how these are counted again. Each kind is a folder, and only kinds.ts knows all of them.
import type { ColumnType } from "../column-types.ts";
import { addDays } from "../dates.ts";
import type { PipelineError } from "../errors.ts";
import type { Failure, HttpRequest } from "../http.ts";
import type { Totals } from "../messages.ts";
import type { LeftOut } from "./records/limits.ts";

/** Both days are inclusive. */
export type DateRange = { from: string; to: string };

export type RangeRequest = DateRange & {
  datasetId: number;
  /** The dataset's `request_id`, if its site requires one. */
  requestId?: number | undefined;
  /** The library's time zone. */
  timeZone: string;
};

export type LibInsightPage = {
  totals: Totals;
  records: unknown[];
  /** The page's records that exceed a limit (shared/kinds/records/limits.ts), if any. */
  leftOut?: LeftOut[];
};

/** What LibInsight says about a period apart from its pages. Without both, nothing proves that the pages are complete. */
export type Recount = {
  totalRecords?: number | undefined;
  /** Compared with the `sum` of the totals. */
  sum?: number | undefined;
};

/** Requests to LibInsight, for one dataset. */
export type Api = {
  /**
   * Returns the JSON of a response that reports success.
   * @param path below `/v1.0`
   * @throws PipelineError by LibInsight's error policy (shared/libinsight/policy.ts)
   */
  get(
    path: string,
    params?: NonNullable<HttpRequest["params"]>,
    keep?: HttpRequest["keep"],
  ): Promise<ApiResponse>;
};
export type ApiResponse = {
  body: unknown;
  /** Returns the error for a response that says something else than expected. */
  failed(failure: Failure): PipelineError;
};

export type KindColumn = {
  name: string;
  type: ColumnType;
  required?: boolean;
  /** Set for a text, which is free text otherwise. */
  privacy?: "keep";
  meaning: string;
};

/** Without a plural s. */
export type Nouns = {
  row: string;
  /** Explains it in a sentence. */
  meaning: string;
  /** What people count: rows, or what the dataset's quantity (`roles.quantity`) sums up. Undefined if neither is. */
  amount: string | undefined;
};

export type Kind = {
  /** `quantity` is what the dataset's quantity sums up, if an entry names one. */
  nouns: Nouns & { quantity: string };
  /** Whether a row is of a whole month, so that its date is the first day of it. */
  isMonthly: boolean;
  /**
   * Cuts a range into periods, in order: LibInsight can return and count each with one request. Days that belong to no
   * period are not collected.
   */
  periods(range: DateRange): DateRange[];
  /** Whether a period may have many pages, so that it is cut into windows (shared/ranges.ts). */
  isPaged: boolean;
  /** The columns of the records, if they are the same in every dataset of the kind. */
  columns?: KindColumn[];
  /** Roles of these columns (`roles` of an entry). */
  roles?: { location: string; quantity: string };
  /** The field with the record's day, at the beginning of its text. */
  dateField: string;
  /** @param page from 1 @throws PipelineError */
  fetchPage(api: Api, request: RangeRequest, page: number): Promise<LibInsightPage>;
  /** @throws PipelineError */
  recount(api: Api, request: RangeRequest): Promise<Recount>;
};

/** Cuts a range without gaps or overlaps. @param lastDay returns the last day of a period that begins on this day */
export function cutRange({ from, to }: DateRange, lastDay: (start: string) => string): DateRange[] {
  const periods: DateRange[] = [];
  // ISO dates compare as text. Each iteration advances `start`, so the loop ends.
  for (let start = from; start <= to; ) {
    const last = lastDay(start);
    const end = last < to ? last : to;
    periods.push({ from: start, to: end });
    start = addDays(end, 1);
  }
  return periods;
}
