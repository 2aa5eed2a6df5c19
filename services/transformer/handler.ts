// Lambda handler of PagesQueue: pages become parts, and a complete run is handed on.
import { busPublisher } from "../../shared/aws/bus.ts";
import { eventBridge, s3, sqs } from "../../shared/aws/clients.ts";
import { Queue } from "../../shared/aws/queue.ts";
import { Store } from "../../shared/aws/store.ts";
import { config } from "../../shared/config.ts";
import { pageMessage } from "../../shared/messages.ts";
import { sqsHandler } from "../../shared/sqs-handler.ts";
import { handOnCompleteRuns } from "./completion.ts";
import { transform } from "./transform.ts";

const work = () => new Store(s3(), config.workBucket());

export const handler = sqsHandler({
  service: "transformer",
  queue: "PAGES",
  schema: pageMessage,
  handle: (message) => transform(message, work()),
  afterBatch: (messages) =>
    handOnCompleteRuns(
      messages.map(({ task }) => task),
      {
        work: work(),
        assembleQueue: new Queue(sqs(), config.queueUrl("ASSEMBLE")),
        publish: busPublisher(eventBridge(), config.busName()),
      },
    ),
});
