// Lambda handler of AthenaQueue, which takes two kinds of messages: S3's, that a file was published, and Athena's,
// that a query changed its state.
import { z } from "zod";
import { busPublisher } from "../../shared/aws/bus.ts";
import { athena, eventBridge, s3 } from "../../shared/aws/clients.ts";
import { QueryEngine } from "../../shared/aws/query-engine.ts";
import { Store } from "../../shared/aws/store.ts";
import { config } from "../../shared/config.ts";
import { datasets } from "../../shared/datasets.ts";
import { objectCreated, queryStateChange, s3TestEvent } from "../../shared/events.ts";
import { sqsHandler } from "../../shared/sqs-handler.ts";
import { finishQuery } from "./finish.ts";
import { followFile } from "./follow.ts";

export const handler = sqsHandler({
  service: "athena",
  queue: "ATHENA",
  schema: z.union([objectCreated, queryStateChange, s3TestEvent]),
  handle: async (message) => {
    const database = config.athenaDatabase();
    const engine = new QueryEngine(athena(), { workgroup: config.athenaWorkgroup(), database });
    if ("detail" in message) {
      return finishQuery(message.detail.queryExecutionId, {
        engine,
        results: new Store(s3(), config.resultsBucket()),
        publish: busPublisher(eventBridge(), config.busName()),
      });
    }
    if ("Event" in message) return { event: message.Event };
    const keys = new Set(message.Records.map((record) => record.s3.object.key));
    const data = new Store(s3(), config.dataBucket());
    const effects = { data, engine, database, resultsBucket: config.resultsBucket() };
    const followed = [];
    for (const dataset of datasets.filter(({ publish }) => keys.has(publish.csv))) {
      followed.push(await followFile(dataset, effects));
    }
    return { files: followed.length, ...followed.at(-1) };
  },
});
