// Lambda handler of the reporter queue.
import {
  dataStore,
  deadLetterQueues,
  instances,
  measure,
  notifier,
  resultsStore,
  settings,
  workStore,
} from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { datasets } from "../../shared/datasets.ts";
import { reporterService } from "./service.ts";

export const handler = lambdaHandler(reporterService, () => ({
  datasets,
  work: workStore(),
  data: dataStore(),
  results: resultsStore(),
  deadLetterQueues: deadLetterQueues(),
  notify: notifier(),
  measure: measure("reporter"),
  stage: settings.stage(),
  instances: instances(),
  team: settings.instances(),
  hasTableau: settings.tableau() !== undefined,
  now: () => new Date(),
}));
