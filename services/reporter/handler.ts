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
import { loggable } from "../../shared/logger.ts";
import { createLogger } from "../../shared/powertools-logger.ts";
import { webhookNotifier } from "../../shared/webhook.ts";
import { reporterService } from "./service.ts";

const log = createLogger("reporter");

export const handler = lambdaHandler(reporterService, () => ({
  datasets,
  work: workStore(),
  data: dataStore(),
  results: resultsStore(),
  deadLetterQueues: deadLetterQueues(),
  notify: notifier(),
  post: webhookNotifier(settings.alertsWebhookUrl),
  onNotPosted: (error) => log.warn("a message was not posted to the webhook", loggable(error)),
  measure: measure("reporter"),
  stage: settings.stage(),
  instances: instances(),
  team: settings.instances(),
  hasTableau: settings.tableau() !== undefined,
  now: () => new Date(),
}));
