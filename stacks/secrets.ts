// LibInsight's client id and secret, Tableau's token, the key of pseudonyms, and the URL of a webhook. Set each once per stage:
// `npx sst secret set LibInsightClientId --stage <stage>`. Only shared/aws/config.ts reads them.
import { datasets } from "../shared/datasets.ts";
import { hasPseudonyms } from "../shared/privacy/deidentified.ts";
import { currentStage } from "./stage.ts";

export const libInsightClientId = new sst.Secret("LibInsightClientId");
export const libInsightClientSecret = new sst.Secret("LibInsightClientSecret");

/** Required only on a stage with Tableau. */
export const tableauTokenSecret = currentStage().tableau && new sst.Secret("TableauTokenSecret");

/** Empty by default: messages are only emailed (shared/webhook.ts). */
export const alertsWebhookUrl = new sst.Secret("AlertsWebhookUrl", "");

/** Required only if a column is hashed. `npm run privacy -- rotate` sets it. */
export const pseudonymKey = datasets.some(hasPseudonyms) ? new sst.Secret("PseudonymKey") : undefined;
