// Who needs which instance to run, since when, and what is being done about it. Messages come twice, late and in any
// order, so needs are decided by the times at which things were asked for and never by the order in which they arrive.
import * as z from "zod/mini";

const time = z.iso.datetime();

const goal = z.strictObject({
  /** Of the message that asked for it and the instance: the same for each delivery of the message. */
  id: z.string(),
  state: z.enum(["running", "stopped"]),
  reason: z.string(),
  /** For whose run; else a person asked. */
  dataset: z.optional(z.string()),
  /** An earlier goal had not been reached: what EC2 tells right now may still come from that one. */
  overtakes: z.optional(z.literal(true)),
  /** Why it was given up. */
  failed: z.optional(z.string()),
});
export type Goal = z.infer<typeof goal>;

const instanceNeeds = z.strictObject({
  /** Since when, by dataset, or a person: `operator`, `startedElsewhere`. It is to run while there is one. */
  needs: z.record(z.string(), time),
  /** A person's last stop: it ended all needs from before. */
  stoppedAt: z.optional(time),
  /** What is being done, until it is. */
  goal: z.optional(goal),
});
type InstanceNeeds = z.infer<typeof instanceNeeds>;

/** Kept in the work bucket. */
export const needs = z.strictObject({
  /** By id. */
  instances: z.record(z.string(), instanceNeeds),
  /** By dataset: its needs from until then have ended. */
  ended: z.record(z.string(), time),
});
export type Needs = z.infer<typeof needs>;

export const noNeeds: Needs = { instances: {}, ended: {} };

// No dataset's name has a space.
/** A person who requested it with `npm run instances` or an event. */
export const operator = "an operator";
/** A start that was not requested here, in EC2's console for example. */
export const startedElsewhere = "started elsewhere";

/** A goal as it is asked for. */
export type Asked = Pick<Goal, "id" | "reason" | "dataset">;

/**
 * Records that an instance is needed.
 * @param isRunning whether it runs already, or is about to. If that was not requested here, it was started elsewhere; if
 *   it was stopped elsewhere, earlier needs have ended.
 * @returns `from` itself where that was known, or has ended since
 */
export function need(
  from: Needs,
  { instanceId, at, asked, isRunning }: { instanceId: string; at: string; asked: Asked; isRunning: boolean },
): Needs {
  const who = asked.dataset ?? operator;
  const before = from.instances[instanceId] ?? { needs: {} };
  const until = [before.stoppedAt, from.ended[who], before.needs[who]];
  if (until.some((each) => isUntil(at, each))) return from;
  const others = isRunning || isUnderWay(before) ? before.needs : {};
  const isForeign = isRunning && !before.goal && Object.keys(others).length === 0 && who !== operator;
  const after = { ...others, ...(isForeign && { [startedElsewhere]: at }), [who]: at };
  return changed(from, instanceId, withGoal({ ...before, needs: after }, "running", asked));
}

/**
 * Ends what a dataset needed at `at` or before. An instance that is no longer needed is to stop; so is one
 * whose last stop failed. One that the dataset did not need is left alone.
 * @param askedFor makes the goal of an instance
 * @returns `from` itself where that was known
 */
export function endOfNeed(
  from: Needs,
  { dataset, at, askedFor }: { dataset: string; at: string; askedFor: (instanceId: string) => Asked },
): Needs {
  if (isUntil(at, from.ended[dataset])) return from;
  let after: Needs = { ...from, ended: { ...from.ended, [dataset]: at } };
  for (const [instanceId, before] of Object.entries(from.instances)) {
    const left = Object.entries(before.needs).filter(
      ([who, since]) => who !== dataset || !isUntil(since, at),
    );
    const hasEnded = left.length < Object.keys(before.needs).length;
    const stopFailed = before.goal?.state === "stopped" && before.goal.failed !== undefined;
    if (!hasEnded && !stopFailed) continue;
    const remaining = { ...before, needs: Object.fromEntries(left) };
    const next = left.length > 0 ? remaining : withGoal(remaining, "stopped", askedFor(instanceId));
    after = changed(after, instanceId, next);
  }
  return after;
}

/** A person stops an instance, whatever needs it. @returns `from` itself where that was known */
export function endOfAllNeeds(
  from: Needs,
  { instanceId, at, asked }: { instanceId: string; at: string; asked: Asked },
): Needs {
  const before = from.instances[instanceId] ?? { needs: {} };
  if (isUntil(at, before.stoppedAt)) return from;
  const left = Object.entries(before.needs).filter(([, since]) => !isUntil(since, at));
  const remaining = { ...before, needs: Object.fromEntries(left), stoppedAt: at };
  // It has been requested since.
  if (left.length > 0) return changed(from, instanceId, remaining);
  return changed(from, instanceId, withGoal(remaining, "stopped", asked));
}

/**
 * A goal is reached, or given up. A need stays when its start failed: should the instance run after all, it is needed.
 * @returns `from` itself where the instance has another goal by now
 */
export function endOfGoal(from: Needs, instanceId: string, goalId: string, failed?: string): Needs {
  const { goal, ...rest } = from.instances[instanceId] ?? { needs: {} };
  if (goal?.id !== goalId) return from;
  return changed(from, instanceId, failed === undefined ? rest : { ...rest, goal: { ...goal, failed } });
}

/** Without the instances of which nothing is left to know: no need, no goal, and no stop since `before`. */
export function withoutForgotten(from: Needs, before: Date): Needs {
  const kept = Object.entries(from.instances).filter(
    ([, { needs, goal, stoppedAt }]) =>
      goal !== undefined ||
      Object.keys(needs).length > 0 ||
      (stoppedAt !== undefined && Date.parse(stoppedAt) > before.getTime()),
  );
  return { ...from, instances: Object.fromEntries(kept) };
}

function withGoal(of: InstanceNeeds, state: Goal["state"], asked: Asked): InstanceNeeds {
  const { id, reason, dataset } = asked;
  return {
    ...of,
    goal: { id, state, reason, ...(dataset && { dataset }), ...(isUnderWay(of) && { overtakes: true }) },
  };
}

/** Whether it was asked to be elsewhere, and neither is there nor was given up. */
export function isUnderWay({ goal }: Pick<InstanceNeeds, "goal">): boolean {
  return goal !== undefined && goal.failed === undefined;
}

function changed(from: Needs, instanceId: string, to: InstanceNeeds): Needs {
  return { ...from, instances: { ...from.instances, [instanceId]: to } };
}

function isUntil(at: string, until: string | undefined): boolean {
  return until !== undefined && Date.parse(at) <= Date.parse(until);
}
