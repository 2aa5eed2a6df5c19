// Lambda handler of the reporter queue.
import { dataStore, instances, measure, notifier, settings, workStore } from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { reporterService } from "./service.ts";

export const handler = lambdaHandler(reporterService, () => ({
  work: workStore(),
  data: dataStore(),
  notify: notifier(),
  measure: measure("reporter"),
  stage: settings.stage(),
  instances: instances(),
  team: settings.instances(),
  hasTableau: settings.tableau() !== undefined,
  now: () => new Date(),
}));
