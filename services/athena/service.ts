// The athena queue receives S3's notification and the assembler's event about a published file (one is enough if the other
// is lost), Athena's query state changes, and this service's own tasks to check or retry a query.
import * as z from "zod/mini";
import { objectCreated, queryStateChange, s3TestEvent } from "../../shared/aws-events.ts";
import { findDataset } from "../../shared/datasets.ts";
import { deidentifiedPublished, runPublished } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import { queryTask } from "../../shared/messages.ts";
import { allEntries, isDeidentified } from "../../shared/privacy/deidentified.ts";
import { type FinishDeps, finishQuery } from "./finish-query.ts";
import { type FollowDeps, followFile } from "./follow-file.ts";
import { retryQuery } from "./start-query.ts";

export type AthenaDeps = FollowDeps & FinishDeps;

const filePublished = z.union([runPublished, deidentifiedPublished]);

export const athenaService = defineService({
  name: "athena",
  schema: z.union([objectCreated, filePublished, queryStateChange, queryTask, s3TestEvent]),
  span: (message) => {
    if ("task" in message) return { name: `${message.task} ${message.queryExecutionId} ${message.checks}` };
    if (!("detail" in message)) return { name: "follow" };
    if ("queryExecutionId" in message.detail) return { name: `end ${message.detail.queryExecutionId}` };
    return { name: isDeidentified(message.detail.dataset) ? "follow deidentified" : "follow" };
  },
  handle: async (message, given: AthenaDeps) => {
    const deps = { ...given, datasets: allEntries(given.datasets) };
    if ("detail" in message) {
      return "queryExecutionId" in message.detail
        ? finishQuery(message.detail.queryExecutionId, deps)
        : followFile(findDataset(message.detail.dataset, deps.datasets), deps);
    }
    if ("task" in message) {
      const { task, runId, queryExecutionId } = message;
      if (task === "check") return finishQuery(queryExecutionId, deps, message);
      return { run: runId, query: await retryQuery(message, deps) };
    }
    if ("Event" in message) return { event: message.Event };
    const keys = new Set(message.Records.map((record) => record.s3.object.key));
    const followed = [];
    for (const dataset of deps.datasets.filter(({ publish }) => keys.has(publish.csv))) {
      followed.push(await followFile(dataset, deps));
    }
    return { files: followed.length, ...followed.at(-1) };
  },
});
