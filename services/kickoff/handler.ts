// Lambda handler of the kickoff queue.
import { publisher, queue, workStore } from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { datasets } from "../../shared/datasets.ts";
import { kickoffService } from "./service.ts";

export const handler = lambdaHandler(kickoffService, () => ({
  datasets,
  work: workStore(),
  fetcherQueue: queue("fetcher"),
  publish: publisher(),
  now: () => new Date(),
}));
