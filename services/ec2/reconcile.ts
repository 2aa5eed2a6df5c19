// Drives one instance to its desired state: compares it with EC2's state, requests a start or stop, and checks again later.
// An instance takes a minute or two. The checks need no other trigger, and the outcome is reported once.
import type { TeamInstances } from "../../shared/instance-settings.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { InstanceTask } from "../../shared/messages.ts";
import { once } from "../../shared/once.ts";
import {
  type Emit,
  growingDelay,
  type Instances,
  type MessageQueue,
  messageBody,
  type ObjectStore,
} from "../../shared/ports.ts";
import { changeNeeds, endGoal, type Goal, isUnderWay, readNeeds } from "./needs.ts";
import { refusalOf, targets } from "./targets.ts";

/** With the default of 15 seconds the last check is 945 seconds after the request. */
const maxChecks = 6;

export type Ec2Deps = {
  team: TeamInstances;
  instances: Instances;
  work: ObjectStore;
  ec2Queue: Pick<MessageQueue, "send">;
  emit: Emit;
  /** The delay of the first repeated check; it doubles each time. */
  checkSeconds: number;
  now: () => Date;
};

/** Why an instance has not reached its goal, and whether a later check may find that it has. */
type Problem = { reason: string; mayPass: boolean };

/** A task whose goal is reached, failed or replaced by a later request does nothing. */
export async function reconcile(task: InstanceTask, deps: Ec2Deps): Promise<LogFields> {
  const { instanceId, checks } = task;
  const fields = { instance: instanceId, checks };
  const { goal } = (await readNeeds(deps.work)).instances[instanceId] ?? {};
  if (!goal || goal.id !== task.goal || !isUnderWay({ goal })) return { ...fields, obsolete: true };
  const problem = await advance(task, goal.state, deps);
  const isOpen = problem?.mayPass === true && checks < maxChecks;
  // Another delivery may have claimed the report and then died. A later check takes the claim over when it has expired.
  if (isOpen || (await reportOnce(goal, instanceId, problem?.reason, deps)) === "claimed") {
    const delaySeconds = growingDelay(deps.checkSeconds, checks);
    await deps.ec2Queue.send(messageBody({ ...task, checks: checks + 1 }), { delaySeconds });
    return { ...fields, goal: goal.state, delaySeconds };
  }
  await changeNeeds(deps, (record) => endGoal(record, instanceId, goal.id, problem?.reason));
  return { ...fields, goal: goal.state, reached: !problem };
}

/** Requests what is missing. @returns undefined if the instance has reached the state */
async function advance(
  { instanceId, checks }: InstanceTask,
  state: Goal["state"],
  { team, instances }: Ec2Deps,
): Promise<Problem | undefined> {
  const { found, refused } = await targets(instanceId, team, instances);
  const [instance] = found;
  if (!instance) return { reason: refused.map(({ reason }) => reason).join(" "), mayPass: false };
  const why = instance.stateReason === undefined ? "" : ` (${instance.stateReason})`;
  const reason = `It is still ${instance.state}${why}. Check the instance in EC2's console, then request it again.`;
  // For some seconds EC2 may return the state before the last request, so the first check does not decide.
  if (instance.state === state) return checks === 0 ? { reason, mayPass: true } : undefined;
  const answer = await (state === "running" ? instances.start(instanceId) : instances.stop(instanceId));
  // EC2 refuses to start an instance that is stopping, and to stop one that is starting.
  if (!answer || answer.refused === "IncorrectInstanceState") return { reason, mayPass: true };
  return { reason: refusalOf(answer.refused), mayPass: answer.refused === "InsufficientInstanceCapacity" };
}

async function reportOnce(goal: Goal, instanceId: string, problem: string | undefined, deps: Ec2Deps) {
  const { id, state, reason, dataset } = goal;
  const reached = state === "running" ? "instance.started" : "instance.stopped";
  return once(keys.goalEnd(id), deps.work, deps.now, () =>
    problem === undefined
      ? deps.emit(reached, { instanceId, dataset, reason })
      : deps.emit("instance.failed", { instanceId, dataset, reason: failure(state, problem) }),
  );
}

/** Returns the reason of `instance.failed`. */
export function failure(state: Goal["state"], reason: string): string {
  return `The instance was not ${state === "running" ? "started" : "stopped"}. ${reason}`;
}
