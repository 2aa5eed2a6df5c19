// From what arrives (a request to start or stop, the end of a run) to the desired state of each instance.
import { createHash } from "node:crypto";
import { findDataset } from "../../shared/datasets.ts";
import type { EventDetail, InstanceRequested, RunEnded } from "../../shared/events.ts";
import type { TeamInstances } from "../../shared/instance-settings.ts";
import { keys } from "../../shared/keys.ts";
import type { LogFields } from "../../shared/logger.ts";
import { once } from "../../shared/once.ts";
import { run as runSchema } from "../../shared/run.ts";
import { changeNeeds } from "./memory.ts";
import { type Asked, endOfAllNeeds, endOfNeed, need } from "./needs.ts";
import { begin, type PursueDeps } from "./pursue.ts";
import { targets } from "./targets.ts";

export type RequestDeps = PursueDeps & { team: TeamInstances };

/** @throws PipelineError `UnknownDataset` */
export async function request(message: InstanceRequested, deps: RequestDeps): Promise<LogFields> {
  const { instanceId, dataset, reason } = message.detail;
  if (dataset !== undefined) findDataset(dataset);
  const at = timeOf(message);
  const isStart = message["detail-type"] === "instance.start.requested";
  if (!isStart && dataset !== undefined) return endDataset({ dataset, at, reason, id: message.id }, deps);
  const { found, refused } = await targets(instanceId, deps.team, deps.instances);
  for (const each of refused) {
    const about = { ...(each.instanceId && { instanceId: each.instanceId }), ...(dataset && { dataset }) };
    const what = isStart ? "started" : "stopped";
    await tellRefused(message.id, { ...about, reason: `The instance was not ${what}. ${each.reason}` }, deps);
  }
  for (const { id, state } of found) {
    const asked: Asked = { id: goalIdOf(message.id, id), reason, ...(dataset && { dataset }) };
    const isRunning = ["pending", "running"].includes(state);
    await changeNeeds(deps, (from) =>
      isStart
        ? need(from, { instanceId: id, at, asked, isRunning })
        : endOfAllNeeds(from, { instanceId: id, at, asked }),
    );
    await begin(id, asked.id, deps);
  }
  return { instances: found.length, refused: refused.length };
}

/** A run's end ends what its dataset needed when the run was requested. What was needed since is for another run. */
export async function endRun({ id, detail }: RunEnded, deps: RequestDeps): Promise<LogFields> {
  const { runId, dataset } = detail;
  if (deps.team === "none") return { run: runId, instances: 0 };
  const run = await deps.work.getJson(keys.run(runId), runSchema);
  // Forgotten after 30 days: whatever it needed is long since ended.
  if (!run) return { run: runId, known: false };
  const ended = { dataset, at: run.requestedAt, reason: `The run ${runId} has ended.`, id };
  return { run: runId, ...(await endDataset(ended, deps)) };
}

async function endDataset(
  ended: { dataset: string; at: string; reason: string; id: string },
  deps: PursueDeps,
): Promise<LogFields> {
  const { dataset, at, reason } = ended;
  const askedFor = (instanceId: string) => ({ id: goalIdOf(ended.id, instanceId), reason, dataset });
  const { instances } = await changeNeeds(deps, (from) => endOfNeed(from, { dataset, at, askedFor }));
  // Those of an earlier delivery that died on the way are among them.
  const stopping = Object.entries(instances).filter(([id, { goal }]) => goal?.id === askedFor(id).id);
  for (const [id] of stopping) await begin(id, askedFor(id).id, deps);
  return { dataset, instances: stopping.length };
}

async function tellRefused(
  messageId: string,
  detail: EventDetail<"instance.failed">,
  { work, now, emit }: PursueDeps,
): Promise<void> {
  const key = keys.goalEnd(goalIdOf(messageId, detail.instanceId ?? ""));
  await once(key, work, now, () => emit("instance.failed", detail));
}

/** The same for each delivery of a message. A hash, because the message's id comes from outside and ends up in a key. */
function goalIdOf(messageId: string, instanceId: string): string {
  return createHash("sha256").update(`${messageId}\n${instanceId}`).digest("hex").slice(0, 16);
}

/** EventBridge tells times by the second. */
const secondMs = 1_000;

/** Nothing is needed from a time that has not come. */
function timeOf({ time, detail: { requestedAt } }: InstanceRequested): string {
  if (requestedAt === undefined) return time;
  return Date.parse(requestedAt) < Date.parse(time) + secondMs ? requestedAt : time;
}
