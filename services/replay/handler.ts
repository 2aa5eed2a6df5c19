// Lambda handler of ReplayQueue: an operator's wish on the bus sends dead letters back.
import { replayRequested } from "../../shared/events.ts";
import { sqsHandler } from "../../shared/sqs-handler.ts";
import { mailboxes } from "./mailboxes.ts";
import { replay } from "./replay.ts";

export const handler = sqsHandler({
  service: "replay",
  queue: "REPLAY",
  schema: replayRequested,
  handle: (request) => replay(request, { mailboxes: mailboxes(), now: () => new Date() }),
});
