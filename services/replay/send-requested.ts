// From an operator's request to the dead letters that it selects.
import type { ReplayRequested } from "../../shared/events.ts";
import type { LogFields } from "../../shared/logger.ts";
import { findQueue } from "../../shared/topology.ts";
import { type DeadLetterDeps, send } from "./mailboxes.ts";

/** A request sends back this many; they take a minute or two of the function's five. */
const maxOfRequest = 1_000;

/**
 * Sends back the current dead letters; what fails again waits for the next request. This service's own dead letters are
 * selected only where their queue is named.
 * @throws PipelineError `UnknownQueue`
 */
export async function replay({ detail }: ReplayRequested, deps: DeadLetterDeps): Promise<LogFields> {
  const queue = detail.queue === undefined ? undefined : findQueue(detail.queue);
  const mailboxes = deps.mailboxes.filter(({ name }) => queue !== undefined || name !== "replay");
  const filter = { queue, run: detail.run };
  const { moved, left } = await send({ ...deps, mailboxes }, { filter, max: maxOfRequest });
  return { sent: moved.length, left };
}
