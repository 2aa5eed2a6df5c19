// Lambda handler of AssembleQueue, a FIFO queue grouped by dataset: complete runs become published files.
import { busPublisher } from "../../shared/aws/bus.ts";
import { eventBridge, s3, sqs } from "../../shared/aws/clients.ts";
import { Queue } from "../../shared/aws/queue.ts";
import { Store } from "../../shared/aws/store.ts";
import { config } from "../../shared/config.ts";
import { assembleTask } from "../../shared/messages.ts";
import { sqsHandler } from "../../shared/sqs-handler.ts";
import { assemble } from "./assemble.ts";

export const handler = sqsHandler({
  service: "assembler",
  queue: "ASSEMBLE",
  schema: assembleTask,
  handle: (task) =>
    assemble(task, {
      work: new Store(s3(), config.workBucket()),
      data: new Store(s3(), config.dataBucket()),
      fetchQueue: new Queue(sqs(), config.queueUrl("FETCH")),
      publish: busPublisher(eventBridge(), config.busName()),
      now: () => new Date(),
    }),
});
