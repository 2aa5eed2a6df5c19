// Lambda handler of the replay queue.
import { queuePairs } from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { replayService } from "./service.ts";

export const handler = lambdaHandler(replayService, () => ({
  queuePairs: queuePairs(),
  now: () => new Date(),
}));
