// A message of the ec2 queue became a dead letter: the failure is published, as where EC2 refuses.
import type { InstanceStateChange } from "../../shared/aws-events.ts";
import type { PipelineError } from "../../shared/errors.ts";
import type { EventDetail, InstanceRequested, RunEnded } from "../../shared/events.ts";
import type { InstanceTask } from "../../shared/messages.ts";
import type { Emit } from "../../shared/ports.ts";

type Message = InstanceRequested | RunEnded | InstanceStateChange | InstanceTask;

/** A state change of EC2's is not reported: the request that caused it has a message of its own. */
export async function reportDeadLetter(message: Message, error: PipelineError, emit: Emit): Promise<void> {
  const about = aboutOf(message);
  if (about) await emit("instance.failed", { ...about, reason: error.sentence });
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
