// The service that sends requests to LibInsight: one for each message, and several to search the windows that changed.
import { toPipelineError } from "../../shared/errors.ts";
import type { LibInsightClient } from "../../shared/libinsight/client.ts";
import { defineService } from "../../shared/message-loop.ts";
import { fetcherTask } from "../../shared/messages.ts";
import type { Measure } from "../../shared/metrics.ts";
import { pageSpanName } from "../../shared/trace.ts";
import { fetchPage } from "./fetch.ts";
import { type RecountDeps, recount } from "./recount.ts";
import { search } from "./search.ts";

export type FetcherServiceDeps = RecountDeps & { measure: Measure };

export const fetcherService = defineService({
  name: "fetcher",
  schema: fetcherTask,
  span: (task) => {
    if ("search" in task) return { name: `search ${task.attempt}` };
    if ("period" in task) return { name: `recount ${task.period.number}/${task.attempt}` };
    return { name: pageSpanName("fetch", task) };
  },
  handle: (task, { measure, ...deps }: FetcherServiceDeps) => {
    const count = (error: string) => measure({ LibInsightErrors: 1 }, { dataset: task.dataset, error });
    const counting = { ...deps, libInsight: countingErrors(deps.libInsight, count) };
    if ("search" in task) return search(task, counting);
    return "period" in task ? recount(task, counting) : fetchPage(task, counting);
  },
});

/** @param count receives the error name of each failed request, retried or not */
function countingErrors(client: LibInsightClient, count: (error: string) => void): LibInsightClient {
  const counting = (error: unknown): never => {
    count(toPipelineError(error).name);
    throw error;
  };
  return {
    fetchPage: (request) => client.fetchPage(request).catch(counting),
    recount: (request) => client.recount(request).catch(counting),
  };
}
