// The record of who needs which instance: one object in the work bucket. Messages may arrive twice, late and out of order,
// so each function here compares the times of requests, and a request that is already recorded changes nothing.
import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { Instance, ObjectStore } from "../../shared/ports.ts";

/** Attempts at a conditional write. Few handlers run at once, and a write takes milliseconds. */
const maxAttempts = 5;
/** Longer than a message lives: 14 days in its queue, and 14 days as a dead letter. */
const rememberedMs = 30 * 24 * 3600 * 1000;

const time = z.iso.datetime();

const goal = z.object({
  /** A hash of the request and the instance: the same for each delivery of the request. */
  id: z.string(),
  state: z.enum(["running", "stopped"]),
  reason: z.string(),
  /** The dataset that requested it; missing for an operator. */
  dataset: z.optional(z.string()),
  /** Why the instance did not reach the state. */
  failed: z.optional(z.string()),
});
export type Goal = z.infer<typeof goal>;

const instanceNeeds = z.object({
  /** The time of the latest start request by holder: a dataset, `operator` or `startedElsewhere`. */
  needs: z.record(z.string(), time),
  /** The desired state, until the instance has reached it. Without one the instance is left alone. */
  goal: z.optional(goal),
});
type InstanceNeeds = z.infer<typeof instanceNeeds>;

const needs = z.object({
  /** By instance id. */
  instances: z.record(z.string(), instanceNeeds),
  /** By dataset or instance id: the time up to which its needs have ended. An operator's stop ends those of an instance. */
  ended: z.record(z.string(), time),
});
export type Needs = z.infer<typeof needs>;

// A dataset's name contains no space.
/** A person who used `npm run instances` or published an event. */
export const operator = "an operator";
/** A start outside this pipeline, for example in EC2's console. No run's end stops such an instance. */
const startedElsewhere = "started elsewhere";

/** A request to start or stop instances. Without a dataset it is an operator's. */
export type Request = { id: string; at: string; reason: string; dataset?: string | undefined };

export async function readNeeds(work: ObjectStore): Promise<Needs> {
  return (await work.getJson(keys.needs, needs)) ?? { instances: {}, ended: {} };
}

/**
 * Changes the record in one atomic step, and writes nothing if it stays the same.
 * @param change modifies the record it gets; called again with a newer record if another handler wrote first
 * @returns the changed record
 * @throws PipelineError `NeedsContended`
 */
export async function changeNeeds(
  { work, now }: { work: ObjectStore; now: () => Date },
  change: (record: Needs) => void,
): Promise<Needs> {
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    // The ETag is read first, so that it is never newer than the record.
    const stored = await work.head(keys.needs);
    const record = await readNeeds(work);
    const before = JSON.stringify(record);
    forget(record, new Date(now().getTime() - rememberedMs).toISOString());
    change(record);
    if (JSON.stringify(record) === before) return record;
    const isWritten = stored
      ? await work.replaceJson(keys.needs, record, stored.etag)
      : await work.putOnce(keys.needs, record);
    if (isWritten) return record;
  }
  throw new PipelineError("NeedsContended", {
    message: `Other handlers changed ${keys.needs} during each of ${maxAttempts} attempts.`,
    advice: "Retried automatically. If this persists, check for another writer to this key.",
    kind: "transient",
  });
}

/** Records a start request. If the instance was stopped elsewhere, its earlier needs have ended. */
export function addNeed(
  record: Needs,
  { id, state }: Pick<Instance, "id" | "state">,
  request: Request,
): void {
  const { at, dataset: holder = operator } = request;
  const its = record.instances[id] ?? { needs: {} };
  if ([record.ended[id], record.ended[holder], its.needs[holder]].some((end) => isUntil(at, end))) return;
  const isUp = state === "pending" || state === "running";
  if (!isUp && !isUnderWay(its)) its.needs = {};
  const isForeign = isUp && isIdle(its);
  const needs = { ...its.needs, ...(isForeign && { [startedElsewhere]: at }), [holder]: at };
  record.instances[id] = { needs, goal: goalFor(request, id, "running") };
}

/**
 * Records the end of a dataset's needs, or of all needs of the instances that an operator stops. An instance in the record
 * that is no longer needed must stop, also if an earlier stop request did not succeed.
 * @param names the dataset, or the ids of the instances
 */
export function endNeeds(record: Needs, names: readonly string[], request: Request): void {
  const { at, dataset } = request;
  const ending = names.filter((name) => !isUntil(at, record.ended[name]));
  if (ending.length === 0) return;
  for (const name of ending) record.ended[name] = at;
  for (const id of dataset === undefined ? ending : Object.keys(record.instances)) {
    const its = record.instances[id] ?? { needs: {} };
    const hasEnded = ([holder, since]: [string, string]) =>
      [id, holder].some((name) => isUntil(since, record.ended[name]));
    its.needs = Object.fromEntries(Object.entries(its.needs).filter((need) => !hasEnded(need)));
    if (Object.keys(its.needs).length === 0) its.goal = goalFor(request, id, "stopped");
    record.instances[id] = its;
  }
}

/** Records a goal's outcome, unless a later request has replaced the goal. Needs stay if a start failed. */
export function endGoal(record: Needs, instanceId: string, goalId: string, failed?: string): void {
  const its = record.instances[instanceId];
  if (its?.goal?.id !== goalId) return;
  if (failed === undefined) delete its.goal;
  else its.goal.failed = failed;
}

/** Returns whether the instance must still reach its goal. */
export function isUnderWay({ goal }: Pick<InstanceNeeds, "goal">): boolean {
  return goal !== undefined && goal.failed === undefined;
}

/** Returns the id of the goal that a request sets. Hashed because the request's id comes from outside and is part of a key. */
export function goalIdOf(requestId: string, instanceId: string): string {
  return createHash("sha256").update(`${requestId}\n${instanceId}`).digest("hex").slice(0, 16);
}

function goalFor({ id, reason, dataset }: Request, instanceId: string, state: Goal["state"]): Goal {
  return { id: goalIdOf(id, instanceId), state, reason, dataset };
}

function isIdle({ needs, goal }: InstanceNeeds): boolean {
  return Object.keys(needs).length === 0 && goal === undefined;
}

/** Removes what has no effect any more. */
function forget({ instances, ended }: Needs, before: string): void {
  for (const [id, its] of Object.entries(instances)) if (isIdle(its)) delete instances[id];
  for (const [name, until] of Object.entries(ended)) if (isUntil(until, before)) delete ended[name];
}

function isUntil(at: string, until: string | undefined): boolean {
  return until !== undefined && Date.parse(at) <= Date.parse(until);
}
