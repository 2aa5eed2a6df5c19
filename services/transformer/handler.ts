// Lambda handler of the transformer queue.
import { emitter, queue, workStore } from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { datasets } from "../../shared/datasets.ts";
import { transformerService } from "./service.ts";

export const handler = lambdaHandler(transformerService, () => ({
  datasets,
  work: workStore(),
  assemblerQueue: queue("assembler"),
  emit: emitter(),
}));
