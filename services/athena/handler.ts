// Lambda handler of AthenaQueue, which takes three kinds of messages: S3's, that a file was published; Athena's, that a
// query changed its state; and the service's own, to look at a query or to start it once more.
import * as z from "zod/mini";
import { busPublisher } from "../../shared/aws/bus.ts";
import { Catalog } from "../../shared/aws/catalog.ts";
import { athena, eventBridge, glue, s3, sqs } from "../../shared/aws/clients.ts";
import { objectCreated, queryStateChange, s3TestEvent } from "../../shared/aws/events.ts";
import { QueryEngine } from "../../shared/aws/query-engine.ts";
import { Queue } from "../../shared/aws/queue.ts";
import { Store } from "../../shared/aws/store.ts";
import { config } from "../../shared/config.ts";
import { datasets } from "../../shared/datasets.ts";
import { queryTask } from "../../shared/messages.ts";
import { sqsHandler } from "../../shared/sqs-handler.ts";
import { finishQuery } from "./finish.ts";
import { followFile } from "./follow.ts";
import { retryQuery } from "./start.ts";

export const handler = sqsHandler({
  service: "athena",
  queue: "ATHENA",
  schema: z.union([objectCreated, queryStateChange, queryTask, s3TestEvent]),
  handle: async (message) => {
    const effects = effectsOfStage();
    if ("detail" in message) return finishQuery(message.detail.queryExecutionId, effects);
    if ("task" in message) {
      const { task, runId, queryExecutionId } = message;
      if (task === "check") return finishQuery(queryExecutionId, effects, message);
      return { run: runId, query: await retryQuery(message, effects) };
    }
    if ("Event" in message) return { event: message.Event };
    const keys = new Set(message.Records.map((record) => record.s3.object.key));
    const followed = [];
    for (const dataset of datasets.filter(({ publish }) => keys.has(publish.csv))) {
      followed.push(await followFile(dataset, effects));
    }
    return { files: followed.length, ...followed.at(-1) };
  },
});

function effectsOfStage() {
  const database = config.athenaDatabase();
  return {
    database,
    engine: new QueryEngine(athena(), { workgroup: config.athenaWorkgroup(), database }),
    catalog: new Catalog(glue(), database),
    work: new Store(s3(), config.workBucket()),
    data: new Store(s3(), config.dataBucket()),
    results: new Store(s3(), config.resultsBucket()),
    resultsBucket: config.resultsBucket(),
    queue: new Queue(sqs(), config.queueUrl("ATHENA")),
    checkSeconds: config.queryCheckSeconds(),
    publish: busPublisher(eventBridge(), config.busName()),
    now: () => new Date(),
  };
}
