// Lambda handler of the tableau queue.
import { emitter, settings } from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { datasets } from "../../shared/datasets.ts";
import { tableauService } from "./service.ts";

export const handler = lambdaHandler(tableauService, () => ({
  datasets,
  emit: emitter(),
  audience: settings.audience(),
  // Read per message, so that an invalid setting is reported as a failed refresh.
  get tableau() {
    return settings.tableau();
  },
  tokenSecret: settings.tableauTokenSecret,
  requestTimeoutMs: settings.tableauRequestTimeoutMs(),
  refreshTimeoutMs: settings.tableauRefreshTimeoutMs(),
  pauseMs: settings.tableauPauseMs(),
}));
