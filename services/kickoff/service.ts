// The service that starts runs from `run.requested` events.
import { runRequested } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import { runIdOf } from "../../shared/run.ts";
import { rootName } from "../../shared/trace.ts";
import { type KickoffDeps, kickoff } from "./kickoff.ts";

export const kickoffService = defineService({
  name: "kickoff",
  schema: runRequested,
  span: ({ id, detail }) => ({ name: rootName, runId: runIdOf(detail.dataset, detail.requestId ?? id) }),
  handle: (request, deps: KickoffDeps) => kickoff(request, deps),
});
