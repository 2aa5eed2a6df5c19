// Lambda handler of the tableau queue.
import { publisher, settings } from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { tableauService } from "./service.ts";

export const handler = lambdaHandler(tableauService, () => ({
  publish: publisher(),
  tableau: settings.tableau(),
  tokenSecret: settings.tableauTokenSecret,
  requestTimeoutMs: settings.tableauRequestTimeoutMs(),
  refreshTimeoutMs: settings.tableauRefreshTimeoutMs(),
  pauseMs: settings.tableauPauseMs(),
}));
