// How long the stage's EC2 instances have been running. That one was left running is told by an alarm on the number
// (stacks/monitoring.ts).
import type { Instance, Instances } from "../../shared/aws/instances.ts";
import { PipelineError } from "../../shared/errors.ts";
import { instanceTag, type TeamInstances } from "../../shared/instances.ts";
import type { Facts } from "../../shared/logger.ts";
import type { Measure } from "../../shared/metrics.ts";

/** Hours since the start of the one that has run longest; 0 where none runs. */
export function runningHours(
  instances: readonly Pick<Instance, "state" | "launchedAt">[],
  now: Date,
): number {
  const running = instances.filter(({ state }) => state === "running");
  const hours = running.map(({ launchedAt = now }) => (now.getTime() - launchedAt.getTime()) / 3_600_000);
  return Math.max(...hours, 0);
}

export type InstanceEffects = {
  team: TeamInstances;
  instances: () => Promise<Pick<Instances, "findTagged">>;
  measure: Measure;
  now: () => Date;
};

/**
 * What does not have the tag is not looked at: nothing here can have started it.
 * @throws PipelineError `InstancesUnseen` where EC2 does not tell
 */
export async function checkInstances({ team, instances, measure, now }: InstanceEffects): Promise<Facts> {
  if (team === "none") return { instances: 0 };
  const tagged = await (await instances()).findTagged(instanceTag);
  if ("refused" in tagged) {
    throw new PipelineError("InstancesUnseen", {
      message: `EC2 did not tell which instances run (${tagged.refused}).`,
      advice: "Look at the permissions of the reporter's function, then replay this dead letter.",
    });
  }
  const found = tagged.filter(({ id }) => team === "tagged" || team.includes(id));
  const hours = runningHours(found, now());
  measure({ InstancesRunningHours: hours }, {});
  return { instances: found.length, hours };
}
