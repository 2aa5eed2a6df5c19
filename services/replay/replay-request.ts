// Replays the dead letters that an operator's request selects.
import type { ReplayRequested } from "../../shared/events.ts";
import type { LogFields } from "../../shared/logger.ts";
import { findQueue } from "../../shared/topology.ts";
import { type DeadLetterDeps, replayDeadLetters } from "./dead-letter-queues.ts";

/** Replaying 1,000 messages takes one or two minutes of the function's five. */
const maxPerRequest = 1_000;

/**
 * Replays each current dead letter once. This service's own dead letters are replayed only if the request names the queue.
 * @throws PipelineError `UnknownQueue`
 */
export async function replayRequest({ detail }: ReplayRequested, deps: DeadLetterDeps): Promise<LogFields> {
  const queue = detail.queue === undefined ? undefined : findQueue(detail.queue);
  const queuePairs = deps.queuePairs.filter(({ name }) => queue !== undefined || name !== "replay");
  const filter = { queue, run: detail.run };
  const { moved, left } = await replayDeadLetters({ ...deps, queuePairs }, { filter, max: maxPerRequest });
  return { replayed: moved.length, left };
}
