// The fetcher queue: one LibInsight request a message.
import { fetchTask } from "../../shared/messages.ts";
import type { Measure } from "../../shared/metrics.ts";
import { defineService } from "../../shared/service.ts";
import { countingErrors } from "./count-errors.ts";
import { type FetcherDeps, fetchPage } from "./fetch.ts";

export type FetcherServiceDeps = FetcherDeps & { measure: Measure };

export const fetcherService = defineService({
  name: "fetcher",
  schema: fetchTask,
  handle: (task, { measure, ...deps }: FetcherServiceDeps) => {
    const count = (error: string) => measure({ LibInsightErrors: 1 }, { dataset: task.dataset, error });
    return fetchPage(task, { ...deps, libInsight: countingErrors(deps.libInsight, count) });
  },
});
