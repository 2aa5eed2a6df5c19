// The replay queue: an operator's request on the bus replays dead letters.
import { replayRequested } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import type { DeadLetterDeps } from "./dead-letter-queues.ts";
import { replayRequest } from "./replay-request.ts";

export const replayService = defineService({
  name: "replay",
  schema: replayRequested,
  handle: (request, deps: DeadLetterDeps) => replayRequest(request, deps),
});
