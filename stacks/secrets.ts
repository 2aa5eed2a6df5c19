// LibInsight's client id and secret, and Tableau's token, set once a stage: `npx sst secret set LibInsightClientId --stage
// <stage>`. shared/config.ts reads them; nothing else does.
import { currentStage } from "./stage.ts";

export const libInsightClientId = new sst.Secret("LibInsightClientId");
export const libInsightClientSecret = new sst.Secret("LibInsightClientSecret");

/** Asked for where there is a Tableau. */
export const tableauTokenSecret = currentStage().tableau && new sst.Secret("TableauTokenSecret");
