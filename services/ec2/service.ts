// The ec2 queue, which takes four kinds of messages: requests to start or stop, the ends of runs, EC2's state changes, and
// the service's own, to check an instance.
import * as z from "zod/mini";
import { instanceStateChange } from "../../shared/aws-events.ts";
import { instanceRequested, runEnded } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import { instanceTask } from "../../shared/messages.ts";
import { reportDeadLetter } from "./dead-letter.ts";
import { check, confirm } from "./pursue.ts";
import { endRun, type RequestDeps, request } from "./request.ts";

export const ec2Service = defineService({
  name: "ec2",
  schema: z.union([instanceRequested, runEnded, instanceStateChange, instanceTask]),
  handle: (message, deps: RequestDeps) => {
    if ("task" in message) return check(message, deps);
    switch (message["detail-type"]) {
      case "instance.start.requested":
      case "instance.stop.requested":
        return request(message, deps);
      case "EC2 Instance State-change Notification":
        return confirm(message.detail["instance-id"], deps);
      default:
        return endRun(message, deps);
    }
  },
  onDeadLetter: (message, error, { emit }) => reportDeadLetter(message, error, emit),
});
