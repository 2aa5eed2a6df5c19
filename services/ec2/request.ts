// Records what a message requests, a start, a stop or the end of a run, and enqueues a task for each affected instance.
import { findDataset } from "../../shared/datasets.ts";
import type { InstanceRequested, RunEnded } from "../../shared/events.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { InstanceTask } from "../../shared/messages.ts";
import { once } from "../../shared/once.ts";
import { messageBody } from "../../shared/ports.ts";
import { run as runSchema } from "../../shared/run.ts";
import { addNeed, changeNeeds, endNeeds, goalIdOf, type Needs, type Request } from "./needs.ts";
import { type Ec2Deps, failure } from "./reconcile.ts";
import { targets } from "./targets.ts";

/** @throws PipelineError `UnknownDataset` */
export async function requestInstances(message: InstanceRequested, deps: Ec2Deps): Promise<LogFields> {
  const { id, detail } = message;
  const { instanceId, dataset, reason } = detail;
  if (dataset !== undefined) findDataset(dataset);
  const request: Request = { id, at: timeOf(message), reason, dataset };
  const isStart = message["detail-type"] === "instance.start.requested";
  if (!isStart && dataset !== undefined)
    return record(request, deps, (needs) => endNeeds(needs, [dataset], request));
  const { found, refused } = await targets(instanceId, deps.team, deps.instances);
  for (const each of refused) {
    const failed = { ...each, dataset, reason: failure(isStart ? "running" : "stopped", each.reason) };
    const key = keys.goalEnd(goalIdOf(id, each.instanceId ?? ""));
    await once(key, deps.work, deps.now, () => deps.emit("instance.failed", failed));
  }
  const ids = found.map((instance) => instance.id);
  return record(request, deps, (needs) => {
    if (isStart) for (const instance of found) addNeed(needs, instance, request);
    else endNeeds(needs, ids, request);
  });
}

/** Ends what the dataset needed when the run was requested. A later start request is for another run. */
export async function endRun({ id, detail }: RunEnded, deps: Ec2Deps): Promise<LogFields> {
  const { runId, dataset } = detail;
  if (deps.team === "none") return { run: runId, instances: 0 };
  const run = await deps.work.getJson(keys.run(runId), runSchema);
  // The run expired after 30 days, and the schedule's stop has ended its needs long before.
  if (!run) return { run: runId, known: false };
  const request: Request = { id, at: run.requestedAt, reason: `The run ${runId} has ended.`, dataset };
  return record(request, deps, (needs) => endNeeds(needs, [dataset], request));
}

/** Each delivery enqueues the tasks of its request: an earlier delivery may have died after it recorded the request. */
async function record({ id }: Request, deps: Ec2Deps, change: (needs: Needs) => void): Promise<LogFields> {
  const { instances } = await changeNeeds(deps, change);
  const affected = Object.keys(instances).filter(
    (instanceId) => instances[instanceId]?.goal?.id === goalIdOf(id, instanceId),
  );
  for (const instanceId of affected) {
    const task: InstanceTask = { task: "check", instanceId, goal: goalIdOf(id, instanceId), checks: 0 };
    await deps.ec2Queue.send(messageBody(task));
  }
  return { instances: affected.length };
}

/** EventBridge rounds an event's time down to the second. */
const roundedMs = 1_000;

/** Returns when the request was made. A time in the future would outlast later stops, so the event's own time replaces it. */
function timeOf({ time, detail: { requestedAt } }: InstanceRequested): string {
  const isPast = requestedAt !== undefined && Date.parse(requestedAt) < Date.parse(time) + roundedMs;
  return isPast ? requestedAt : time;
}
