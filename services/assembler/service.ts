// The service that assembles complete runs. Its FIFO queue is grouped by dataset, so runs of one dataset never overlap.
import { defineService } from "../../shared/message-loop.ts";
import { assembleTask } from "../../shared/messages.ts";
import { type AssemblerDeps, assemble } from "./assemble.ts";

export const assemblerService = defineService({
  name: "assembler",
  schema: assembleTask,
  handle: (task, deps: AssemblerDeps) => assemble(task, deps),
});
