// The ec2 queue: requests to start or stop instances, the ends of runs, and the service's own tasks.
import * as z from "zod/mini";
import { instanceRequested, runEnded } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import { instanceTask } from "../../shared/messages.ts";
import { type Ec2Deps, reconcile } from "./reconcile.ts";
import { endRun, requestInstances } from "./request.ts";

/** Earlier versions subscribed to these events. They are ignored, so that a deploy turns none into a dead letter. */
const stateChange = z.object({ "detail-type": z.literal("EC2 Instance State-change Notification") });

export const ec2Service = defineService({
  name: "ec2",
  schema: z.union([instanceRequested, runEnded, instanceTask, stateChange]),
  handle: async (message, deps: Ec2Deps) => {
    if ("task" in message) return reconcile(message, deps);
    switch (message["detail-type"]) {
      case "EC2 Instance State-change Notification":
        return { ignored: true };
      case "instance.start.requested":
      case "instance.stop.requested":
        return requestInstances(message, deps);
      default:
        return endRun(message, deps);
    }
  },
  onDeadLetter: async (message, error, { emit }) => {
    if ("task" in message) {
      await emit("instance.failed", { instanceId: message.instanceId, reason: error.sentence });
    } else if ("detail" in message) {
      const { instanceId, dataset }: { instanceId?: string | undefined; dataset?: string | undefined } =
        message.detail;
      await emit("instance.failed", { instanceId, dataset, reason: error.sentence });
    }
  },
});
