// The service that assembles complete runs. Its FIFO queue is grouped by dataset, so runs of one dataset never overlap.
import { defineService } from "../../shared/message-loop.ts";
import { assembleTask } from "../../shared/messages.ts";
import { type AssemblerDeps, assemble } from "./assemble.ts";

export const assemblerService = defineService({
  name: "assembler",
  schema: assembleTask,
  // One attempt may be assembled after its pages are transformed, after its windows are recounted, and by a person.
  span: ({ attempt, sender }) => ({
    name: `assemble ${attempt} after ${sender?.name.split(" ")[0] ?? "request"}`,
  }),
  handle: (task, deps: AssemblerDeps) => assemble(task, deps),
});
