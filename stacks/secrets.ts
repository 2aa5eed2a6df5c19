// LibInsight's client id and secret, set once a stage: `npx sst secret set LibInsightClientId --stage <stage>`.
// shared/config.ts reads them; nothing else does.
export const libInsightClientId = new sst.Secret("LibInsightClientId");
export const libInsightClientSecret = new sst.Secret("LibInsightClientSecret");
