// The replay queue: an operator's request on the bus sends dead letters back.
import { replayRequested } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import type { DeadLetterDeps } from "./mailboxes.ts";
import { replay } from "./send-requested.ts";

export const replayService = defineService({
  name: "replay",
  schema: replayRequested,
  handle: (request, deps: DeadLetterDeps) => replay(request, deps),
});
