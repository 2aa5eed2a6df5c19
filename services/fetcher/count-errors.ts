// A LibInsight client that has its failures counted, by the error's name.
import { toPipelineError } from "../../shared/errors.ts";
import type { LibInsightClient } from "../../shared/libinsight/client.ts";

/** @param count is told of each request that failed, whether it is tried again or not */
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
