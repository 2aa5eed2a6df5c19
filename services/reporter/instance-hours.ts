// The daily check of how long the stage's EC2 instances have been running. An alarm on this metric (stacks/monitoring.ts)
// fires if an instance was left running.
import { library } from "#library";
import { PipelineError } from "../../shared/errors.ts";
import type { TeamInstances } from "../../shared/instance-settings.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { Measure } from "../../shared/metrics.ts";
import type { Instance, Instances } from "../../shared/ports.ts";

/** Returns the hours since the earliest start of a running instance, or 0 if none is running. */
function runningHours(instances: readonly Pick<Instance, "state" | "launchedAt">[], now: Date): number {
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
 * Checks only tagged instances, because the pipeline can start no others.
 * @throws PipelineError `InstancesNotListed`
 */
export async function checkInstances({ team, instances, measure, now }: InstanceDeps): Promise<LogFields> {
  if (team === "none") return { instances: 0 };
  const tagged = await instances.findTagged(library.instances.tag);
  if ("refused" in tagged) {
    throw new PipelineError("InstancesNotListed", {
      message: `Could not list EC2 instances (${tagged.refused}).`,
      advice: "Check the IAM permissions of the reporter's function, then replay this dead letter.",
    });
  }
  const found = tagged.filter(({ id }) => team === "tagged" || team.includes(id));
  const hours = runningHours(found, now());
  measure({ InstancesRunningHours: hours }, {});
  return { instances: found.length, hours };
}
