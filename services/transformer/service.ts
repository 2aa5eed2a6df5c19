// The service that transforms pages into parts, and enqueues a run for the assembler when its last part is written.
import { defineService } from "../../shared/message-loop.ts";
import { pageMessage } from "../../shared/messages.ts";
import { pageSpanName } from "../../shared/trace.ts";
import { type CompletionDeps, enqueueCompleteRuns } from "./completion.ts";
import { type TransformDeps, transform } from "./transform.ts";

export const transformerService = defineService({
  name: "transformer",
  schema: pageMessage,
  span: ({ task }) => ({ name: pageSpanName("transform", task) }),
  handle: (page, deps: CompletionDeps & TransformDeps) => transform(page, deps),
  afterBatch: enqueueCompleteRuns,
});
