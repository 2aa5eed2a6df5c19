// LibInsight's client id and secret, and Tableau's token. Set each once per stage:
// `npx sst secret set LibInsightClientId --stage <stage>`. Only shared/aws/config.ts reads them.
import { currentStage } from "./stage.ts";

export const libInsightClientId = new sst.Secret("LibInsightClientId");
export const libInsightClientSecret = new sst.Secret("LibInsightClientSecret");

/** Required only on a stage with Tableau. */
export const tableauTokenSecret = currentStage().tableau && new sst.Secret("TableauTokenSecret");
