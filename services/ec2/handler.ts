// Lambda handler of InstanceQueue, which takes four kinds of messages: wishes to start or stop, the ends of runs, EC2's
// word that an instance changed its state, and the service's own, to look at one.
import * as z from "zod/mini";
import { busPublisher } from "../../shared/aws/bus.ts";
import { eventBridge, s3, sqs } from "../../shared/aws/clients.ts";
import { instanceStateChange } from "../../shared/aws/events.ts";
import { ec2, Instances } from "../../shared/aws/instances.ts";
import { Queue } from "../../shared/aws/queue.ts";
import { Store } from "../../shared/aws/store.ts";
import { config } from "../../shared/config.ts";
import { instanceRequested, runEnded } from "../../shared/events.ts";
import { instanceTask } from "../../shared/messages.ts";
import { sqsHandler } from "../../shared/sqs-handler.ts";
import { tellGivenUp } from "./gave-up.ts";
import { check, confirm } from "./pursue.ts";
import { endRun, type RequestEffects, request } from "./request.ts";

export const handler = sqsHandler({
  service: "ec2",
  queue: "INSTANCE",
  schema: z.union([instanceRequested, runEnded, instanceStateChange, instanceTask]),
  handle: (message) => {
    const effects = effectsOfStage();
    if ("task" in message) return check(message, effects);
    switch (message["detail-type"]) {
      case "instance.start.requested":
      case "instance.stop.requested":
        return request(message, effects);
      case "EC2 Instance State-change Notification":
        return confirm(message.detail["instance-id"], effects);
      default:
        return endRun(message, effects);
    }
  },
  gaveUp: (message, error) => tellGivenUp(message, error, busPublisher(eventBridge(), config.busName())),
});

function effectsOfStage(): RequestEffects {
  return {
    instances: async () => new Instances(ec2()),
    team: config.instances(),
    work: new Store(s3(), config.workBucket()),
    queue: new Queue(sqs(), config.queueUrl("INSTANCE")),
    publish: busPublisher(eventBridge(), config.busName()),
    checkSeconds: config.instanceCheckSeconds(),
    now: () => new Date(),
  };
}
