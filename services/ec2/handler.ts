// Lambda handler of the ec2 queue.
import { emitter, instances, queue, settings, workStore } from "../../shared/aws/deps.ts";
import { lambdaHandler } from "../../shared/aws/lambda.ts";
import { ec2Service } from "./service.ts";

export const handler = lambdaHandler(ec2Service, () => ({
  instances: instances(),
  team: settings.instances(),
  work: workStore(),
  ec2Queue: queue("ec2"),
  emit: emitter(),
  checkSeconds: settings.instanceCheckSeconds(),
  now: () => new Date(),
}));
