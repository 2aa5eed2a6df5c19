// Lambda handler of the transformer queue.
import { publisher, queue, workStore } from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { transformerService } from "./service.ts";

export const handler = lambdaHandler(transformerService, () => ({
  work: workStore(),
  assemblerQueue: queue("assembler"),
  publish: publisher(),
}));
