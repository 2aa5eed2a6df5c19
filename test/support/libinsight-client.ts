// A LibInsight client from a function that returns its pages.
import type { LibInsightClient } from "../../shared/libinsight/client.ts";

/** Returns a client that counts a window again by its first page. */
export function clientOf(fetchPage: LibInsightClient["fetchPage"]): LibInsightClient {
  return {
    fetchPage,
    async recount(request) {
      const { totals } = await fetchPage({ ...request, page: 1 });
      return { totalRecords: totals.totalRecords };
    },
  };
}
