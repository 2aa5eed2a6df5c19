// The fetcher queue: one LibInsight request a message.

import { defineService } from "../../shared/message-loop.ts";
import { fetchTask } from "../../shared/messages.ts";
import type { Measure } from "../../shared/metrics.ts";
import { countingErrors } from "./count-errors.ts";
import { fetchPage } from "./fetch.ts";
import { type RecountDeps, recount } from "./recount.ts";

export type FetcherServiceDeps = RecountDeps & { measure: Measure };

export const fetcherService = defineService({
  name: "fetcher",
  schema: fetchTask,
  handle: (task, { measure, ...deps }: FetcherServiceDeps) => {
    const count = (error: string) => measure({ LibInsightErrors: 1 }, { dataset: task.dataset, error });
    const counting = { ...deps, libInsight: countingErrors(deps.libInsight, count) };
    return task.recount === undefined ? fetchPage(task, counting) : recount(task, task.recount, counting);
  },
});
