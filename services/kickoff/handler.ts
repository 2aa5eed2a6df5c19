// Lambda handler of KickoffQueue: `run.requested` events become runs.
import { busPublisher } from "../../shared/aws/bus.ts";
import { eventBridge, s3, sqs } from "../../shared/aws/clients.ts";
import { Queue } from "../../shared/aws/queue.ts";
import { Store } from "../../shared/aws/store.ts";
import { config } from "../../shared/config.ts";
import { runRequested } from "../../shared/events.ts";
import { sqsHandler } from "../../shared/sqs-handler.ts";
import { kickoff } from "./kickoff.ts";

export const handler = sqsHandler({
  service: "kickoff",
  queue: "KICKOFF",
  schema: runRequested,
  handle: (request) =>
    kickoff(request, {
      work: new Store(s3(), config.workBucket()),
      fetchQueue: new Queue(sqs(), config.queueUrl("FETCH")),
      publish: busPublisher(eventBridge(), config.busName()),
    }),
});
