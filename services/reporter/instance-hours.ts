// How long the stage's EC2 instances have been running. An alarm on this metric (stacks/monitoring.ts) fires when one was
// left running.
import { PipelineError } from "../../shared/errors.ts";
import { instanceTag, type TeamInstances } from "../../shared/instance-settings.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { Measure } from "../../shared/metrics.ts";
import type { Instance, Instances } from "../../shared/ports.ts";

/** Hours since the start of the one that has run longest; 0 where none runs. */
export function runningHours(
  instances: readonly Pick<Instance, "state" | "launchedAt">[],
  now: Date,
): number {
  const running = instances.filter(({ state }) => state === "running");
  const hours = running.map(({ launchedAt = now }) => (now.getTime() - launchedAt.getTime()) / 3_600_000);
  return Math.max(...hours, 0);
}

export type InstanceDeps = {
  team: TeamInstances;
  instances: Pick<Instances, "findTagged">;
  measure: Measure;
  now: () => Date;
};

/**
 * What does not have the tag is not looked at: nothing here can have started it.
 * @throws PipelineError `InstancesUnseen`
 */
export async function checkInstances({ team, instances, measure, now }: InstanceDeps): Promise<LogFields> {
  if (team === "none") return { instances: 0 };
  const tagged = await instances.findTagged(instanceTag);
  if ("refused" in tagged) {
    throw new PipelineError("InstancesUnseen", {
      message: `Could not list EC2 instances (${tagged.refused}).`,
      advice: "Check the permissions of the reporter's function, then replay this dead letter.",
    });
  }
  const found = tagged.filter(({ id }) => team === "tagged" || team.includes(id));
  const hours = runningHours(found, now());
  measure({ InstancesRunningHours: hours }, {});
  return { instances: found.length, hours };
}
