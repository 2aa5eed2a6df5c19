// From an operator's wish to the dead letters that it means.
import { findQueue } from "../../shared/config.ts";
import type { ReplayRequested } from "../../shared/events.ts";
import type { Facts } from "../../shared/logger.ts";
import { type Looking, send } from "./deadletters.ts";

/** A request sends back this many; they take a minute or two of the function's five. */
const maxOfRequest = 1_000;

/**
 * Sends back what is there now; what fails again waits for the next wish. This service's own dead letters are wishes
 * too, and are meant only where their queue is named.
 * @throws PipelineError `UnknownQueue`
 */
export async function replay({ detail }: ReplayRequested, looking: Looking): Promise<Facts> {
  const queue = detail.queue === undefined ? undefined : findQueue(detail.queue);
  const mailboxes = looking.mailboxes.filter(({ name }) => queue !== undefined || name !== "REPLAY");
  const filter = { queue, run: detail.run };
  const { moved, left } = await send({ ...looking, mailboxes }, { filter, max: maxOfRequest });
  return { sent: moved.length, left };
}
