// What commands are told of a stage: `sst shell --stage S -- npm run replay -- list`. The same variables as the functions
// have, and no secret among them. shared/config.ts reads them.
import { queueNames } from "../shared/config.ts";
import { instancesText } from "../shared/instances.ts";
import { analystsResults, analystsWorkgroup, database } from "./athena.ts";
import { bus, queues } from "./messaging.ts";
import { currentStage } from "./stage.ts";
import { data, work } from "./storage.ts";

export const settings = new sst.Linkable("Settings", {
  properties: {
    variables: {
      BUS_NAME: bus.name,
      WORK_BUCKET: work.name,
      DATA_BUCKET: data.name,
      ATHENA_REGION: aws.getRegionOutput().region,
      ATHENA_DATABASE: database,
      ANALYSTS_WORKGROUP: analystsWorkgroup.name,
      ANALYSTS_RESULTS: analystsResults,
      INSTANCES: instancesText(currentStage().instances),
      ...Object.fromEntries(
        queueNames.flatMap((name) => [
          [`${name}_QUEUE_URL`, queues[name].queue.url],
          [`${name}_DEAD_LETTERS_URL`, queues[name].deadLetters.url],
        ]),
      ),
    },
  },
});
