// Drives an instance to its desired state. It takes a minute or so: EC2 announces the state change at best effort, so
// delayed messages check too, and the first call that finds it reached reports it, once.
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { InstanceTask } from "../../shared/messages.ts";
import { once } from "../../shared/once.ts";
import {
  type Emit,
  growingDelay,
  type Instance,
  type Instances,
  type MessageQueue,
  messageBody,
  type ObjectStore,
  type Refused,
} from "../../shared/ports.ts";
import { changeNeeds, readNeeds } from "./memory.ts";
import { endOfGoal, type Goal, isUnderWay } from "./needs.ts";
import { refusalOf, stillIn, terminated } from "./reasons.ts";

/** With the default of 15 seconds the last one is after 16 minutes. EC2 takes one or two. */
const maxChecks = 6;

export type PursueDeps = {
  instances: Instances;
  work: ObjectStore;
  ec2Queue: Pick<MessageQueue, "send">;
  emit: Emit;
  /** Until the first look; it doubles. */
  checkSeconds: number;
  now: () => Date;
};

/** What a look found: it is there, it is on its way (or can be asked again later), or it will not get there. */
type Step = "there" | { waits: string } | { failed: string };

/** Right after a goal was set. May be called again for the same goal. */
export async function begin(instanceId: string, goalId: string, deps: PursueDeps): Promise<LogFields> {
  const goal = await goalOf(instanceId, deps, goalId);
  if (!goal) return { instance: instanceId, wanted: false };
  const first: InstanceTask = { task: "check", instanceId, goal: goalId, checks: 0 };
  if (!goal.overtakes) return conclude(await advance(instanceId, goal, deps), goal, deps, first);
  await sendLater(first, deps);
  return { instance: instanceId, goal: goal.state, overtakes: true };
}

/** A delayed message looks. */
export async function check(task: InstanceTask, deps: PursueDeps): Promise<LogFields> {
  const { instanceId, checks } = task;
  const goal = await goalOf(instanceId, deps, task.goal);
  if (!goal) return { instance: instanceId, wanted: false };
  const step = await advance(instanceId, goal, deps);
  return conclude(step, goal, deps, { ...task, checks: checks + 1 });
}

/**
 * Handles a state change of any instance. Changes arrive in any order; EC2's current state is what holds. This requests
 * nothing of EC2, so that an instance which keeps falling back is not started each time.
 */
export async function confirm(instanceId: string, deps: PursueDeps): Promise<LogFields> {
  const goal = await goalOf(instanceId, deps);
  if (!goal) return { instance: instanceId, wanted: false };
  const found = await deps.instances.find(instanceId);
  return conclude(judge(found, goal), goal, deps, { instanceId });
}

/** @param goalId undefined for whatever goal it has @returns undefined where it has none, or another */
async function goalOf(instanceId: string, { work }: PursueDeps, goalId?: string): Promise<Goal | undefined> {
  const { goal } = (await readNeeds(work)).instances[instanceId] ?? {};
  if (!goal || !isUnderWay({ goal })) return undefined;
  return goalId === undefined || goalId === goal.id ? goal : undefined;
}

/** Looks, and asks EC2 where it can be asked. */
async function advance(instanceId: string, goal: Goal, deps: PursueDeps): Promise<Step> {
  const { instances } = deps;
  const found = await instances.find(instanceId);
  const step = judge(found, goal);
  const canBeAsked = "state" in found && ["running", "stopped"].includes(found.state);
  if (step === "there" || "failed" in step || !canBeAsked) return step;
  const refused = await (goal.state === "running" ? instances.start(instanceId) : instances.stop(instanceId));
  if (!refused) return step;
  const why = refusalOf(refused.refused);
  return mayPass.includes(refused.refused) ? { waits: why } : { failed: why };
}

/** EC2's errors that may be others in a minute: between two states, or room elsewhere taken. */
const mayPass = ["IncorrectInstanceState", "InsufficientInstanceCapacity"];

function judge(found: Instance | Refused, goal: Goal): Step {
  if ("refused" in found) return { failed: refusalOf(found.refused) };
  if (found.state === goal.state) return "there";
  if (["shutting-down", "terminated"].includes(found.state)) return { failed: terminated };
  return { waits: stillIn(found) };
}

/** @param next the message that looks next; an event has none, because every goal has one already */
async function conclude(
  step: Step,
  goal: Goal,
  deps: PursueDeps,
  next: InstanceTask | Pick<InstanceTask, "instanceId">,
): Promise<LogFields> {
  const { instanceId } = next;
  const facts = { instance: instanceId, goal: goal.state };
  const later = "checks" in next ? next : undefined;
  if (step !== "there" && "waits" in step) {
    if (!later) return { ...facts, there: false };
    if (later.checks < maxChecks) {
      await sendLater(later, deps);
      return { ...facts, there: false, checks: later.checks };
    }
  }
  const failed = step === "there" ? undefined : "failed" in step ? step.failed : step.waits;
  const reported = await once(keys.goalEnd(goal.id), deps.work, deps.now, () =>
    tell(instanceId, goal, failed, deps.emit),
  );
  if (reported === "claimed") {
    // The call that claimed it may have died. Its claim ends before the longest of these delays.
    if (later) await sendLater(later, deps);
    return { ...facts, there: "claimed" };
  }
  await changeNeeds(deps, (from) => endOfGoal(from, instanceId, goal.id, failed));
  return { ...facts, there: failed === undefined };
}

async function tell(
  instanceId: string,
  { state, reason, dataset }: Goal,
  failed: string | undefined,
  emit: Emit,
): Promise<void> {
  const about = { instanceId, ...(dataset && { dataset }) };
  if (failed === undefined) {
    await emit(state === "running" ? "instance.started" : "instance.stopped", { ...about, reason });
  } else {
    const what = state === "running" ? "started" : "stopped";
    await emit("instance.failed", { ...about, reason: `The instance was not ${what}. ${failed}` });
  }
}

async function sendLater(
  task: InstanceTask,
  { ec2Queue, checkSeconds }: Pick<PursueDeps, "ec2Queue" | "checkSeconds">,
): Promise<void> {
  await ec2Queue.send(messageBody(task), { delaySeconds: growingDelay(checkSeconds, task.checks) });
}
