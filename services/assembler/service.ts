// The assembler queue, FIFO and grouped by dataset: complete runs become published files.

import { defineService } from "../../shared/message-loop.ts";
import { assembleTask } from "../../shared/messages.ts";
import { type AssemblerDeps, assemble } from "./assemble.ts";

export const assemblerService = defineService({
  name: "assembler",
  schema: assembleTask,
  handle: (task, deps: AssemblerDeps) => assemble(task, deps),
});
