// Lambda handler of the fetcher queue.
import { libInsight, measure, queue, workStore } from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { datasets } from "../../shared/datasets.ts";
import { fetcherService } from "./service.ts";

export const handler = lambdaHandler(fetcherService, () => ({
  datasets,
  libInsight: libInsight(),
  work: workStore(),
  fetcherQueue: queue("fetcher"),
  transformerQueue: queue("transformer"),
  assemblerQueue: queue("assembler"),
  measure: measure("fetcher"),
}));
