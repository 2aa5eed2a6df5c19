// Records of custom and shared datasets, page by page.
import { addDays, addYears } from "../../dates.ts";
import { PipelineError } from "../../errors.ts";
import { anotherPage, tooLarge, unknownShape } from "../../libinsight/policy.ts";
import { type Api, cutRange, type Kind, type LibInsightPage, type RangeRequest } from "../kind.ts";
import { recordFilter } from "./limits.ts";
import { pageOf, pageResponse } from "./responses.ts";

export const records: Kind = {
  nouns: {
    row: "record",
    meaning: "One entry in LibInsight, as the staff made it.",
    amount: "record",
    quantity: "unit",
  },
  isMonthly: false,
  /** LibInsight accepts at most one year per query. Each period ends before the same date a year later. */
  periods: (range) => cutRange(range, (start) => addDays(addYears(start, 1), -1)),
  isPaged: true,
  dateField: "_start_date",
  fetchPage,
  async recount(api, request) {
    const { totals } = await fetchPage(api, request, 1);
    return { totalRecords: totals.totalRecords };
  },
};

async function fetchPage(
  api: Api,
  { datasetId, requestId, from, to }: RangeRequest,
  page: number,
): Promise<LibInsightPage> {
  const params = {
    from,
    to,
    page,
    // With the default, newest first, a record that is added meanwhile would shift every page.
    sort: "asc",
    entered_by: "all",
    request_id: requestId,
  };
  const filter = recordFilter(() => {
    const { name, ...failure } = tooLarge;
    return new PipelineError(name, { ...failure, ids: { "LibInsight dataset": datasetId } });
  });
  const { body, failed } = await api.get(`/custom-dataset/${datasetId}/data-grid`, params, filter.keep);
  const parsed = pageResponse.safeParse(body);
  const found = parsed.success ? pageOf(parsed.data, page) : undefined;
  if (!found) throw failed(unknownShape);
  const { records, totalPages, totalRecords, displayedPage = page } = found;
  // An empty range may show any page number.
  if (displayedPage !== page && records.length > 0) throw failed(anotherPage);
  const { leftOut, ...kept } = filter.split(records);
  return { ...kept, ...(leftOut.length > 0 && { leftOut }), totals: { totalPages, totalRecords } };
}
