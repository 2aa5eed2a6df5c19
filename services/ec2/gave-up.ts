// A message of InstanceQueue lies among the dead letters: what it was about is told, as where EC2 refuses.
import type { Publish } from "../../shared/aws/bus.ts";
import type { InstanceStateChange } from "../../shared/aws/events.ts";
import type { PipelineError } from "../../shared/errors.ts";
import type { EventDetail, InstanceRequested, RunEnded } from "../../shared/events.ts";
import type { InstanceTask } from "../../shared/messages.ts";

type Message = InstanceRequested | RunEnded | InstanceStateChange | InstanceTask;

/** Nothing is told of a change that EC2 told: whoever wanted it has a message of its own. */
export async function tellGivenUp(message: Message, error: PipelineError, publish: Publish): Promise<void> {
  const about = aboutOf(message);
  if (about) await publish("instance.failed", { ...about, reason: error.sentence });
}

function aboutOf(
  message: Message,
): Pick<EventDetail<"instance.failed">, "instanceId" | "dataset"> | undefined {
  if ("task" in message) return { instanceId: message.instanceId };
  if (message["detail-type"] === "EC2 Instance State-change Notification") return undefined;
  const { detail } = message;
  return {
    ...("instanceId" in detail && detail.instanceId !== undefined && { instanceId: detail.instanceId }),
    ...(detail.dataset !== undefined && { dataset: detail.dataset }),
  };
}
