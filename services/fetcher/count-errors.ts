// A LibInsight client that has its failures counted, by the error's name.
import { toPipelineError } from "../../shared/errors.ts";
import type { LibInsightClient } from "../../shared/libinsight/client.ts";

/** @param count called for each request that failed, whether it is retried or not */
export function countingErrors(client: LibInsightClient, count: (error: string) => void): LibInsightClient {
  return {
    async fetchPage(request) {
      try {
        return await client.fetchPage(request);
      } catch (error) {
        count(toPipelineError(error).name);
        throw error;
      }
    },
  };
}
