// Lambda handler of the renderer queue.
import { dataStore, resultsStore, settings, workStore } from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { datasets } from "../../shared/datasets.ts";
import { rendererService } from "./service.ts";

export const handler = lambdaHandler(rendererService, () => ({
  datasets,
  work: workStore(),
  data: dataStore(),
  results: resultsStore(),
  isScheduled: settings.scheduled(),
  audience: settings.audience(),
  now: () => new Date(),
}));
