// Lambda handler of the kickoff queue.
import { dataStore, emitter, queue, workStore } from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { datasets } from "../../shared/datasets.ts";
import { kickoffService } from "./service.ts";

export const handler = lambdaHandler(kickoffService, () => ({
  datasets,
  work: workStore(),
  data: dataStore(),
  fetcherQueue: queue("fetcher"),
  emit: emitter(),
  now: () => new Date(),
}));
