// The settings of a stage that `sst shell` passes to commands (`sst shell --stage S -- npm run replay -- list`). They are
// the environment variables of the functions, without secrets; shared/aws/config.ts reads them.
import { instancesText } from "../shared/instance-settings.ts";
import { deadLetterNames, queueNames } from "../shared/topology.ts";
import { alerts } from "./alerts.ts";
import { bus, deadLetterUrls, queueUrls } from "./messaging.ts";
import { currentStage } from "./stage.ts";
import { data, results, work } from "./storage.ts";
import { analystsWorkgroups, database } from "./workgroups.ts";

export const settings = new sst.Linkable("Settings", {
  properties: {
    variables: {
      BUS_NAME: bus.name,
      ALERTS_TOPIC_ARN: alerts.arn,
      WORK_BUCKET: work.name,
      DATA_BUCKET: data.name,
      RESULTS_BUCKET: results.name,
      ATHENA_REGION: aws.getRegionOutput().region,
      ATHENA_DATABASE: database,
      ANALYSTS_WORKGROUP: analystsWorkgroups.full.name,
      DEIDENTIFIED_WORKGROUP: analystsWorkgroups.deidentified.name,
      AUDIENCE: currentStage().audience,
      INSTANCES: instancesText(currentStage().instances),
      ...queueUrls(queueNames),
      ...deadLetterUrls(deadLetterNames),
    },
  },
});
