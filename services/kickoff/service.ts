// The service that starts runs from `run.requested` events.
import { runRequested } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import { type KickoffDeps, kickoff } from "./kickoff.ts";

export const kickoffService = defineService({
  name: "kickoff",
  schema: runRequested,
  handle: (request, deps: KickoffDeps) => kickoff(request, deps),
});
