// Which instances the service may touch: those of the stage's setting that have the tag.
import { library } from "#library";
import { maxInstances, type TeamInstances } from "../../shared/instance-settings.ts";
import type { Instance, Instances } from "../../shared/ports.ts";

const instanceTag = library.instances.tag;
const tag = `${instanceTag.key}=${instanceTag.value}`;
const setting = "`instances` in shared/library.ts, or INSTANCES in .env for a personal stage";

export const notConfigured = `No instance is configured on this stage. Set ${setting}.`;
export const notOfStage = `The instance is not one of this stage's. Add its ID to ${setting}.`;
export const notTagged = `EC2 has no such instance with the tag ${tag}, or it is terminated. Check the ID and the tag.`;
export const noneTagged = `No instance has the tag ${tag}. Tag one, or change ${setting}.`;
export const tooMany = `More than ${maxInstances} instances have the tag ${tag}. List the stage's IDs in ${setting}.`;

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
const refusals: Readonly<Record<string, string>> = {
  InsufficientInstanceCapacity: "Request it again later, or change the instance's type or zone.",
  UnauthorizedOperation: `Check the IAM permissions of the ec2 function: it may start and stop only instances with the tag ${tag}.`,
};

/** @param code of EC2's error. EC2's own message is not used because it may quote ARNs and policies. */
export function refusalOf(code: string): string {
  return `EC2 refused the request (${code}). ${refusals[code] ?? "Look up the code in EC2's list of error codes."}`;
}

export type Targets = { found: Instance[]; refused: { instanceId?: string; reason: string }[] };

/**
 * Returns the instances of a request, and why others are refused.
 * @param instanceId undefined for all instances of the stage
 */
export async function targets(
  instanceId: string | undefined,
  team: TeamInstances,
  instances: Pick<Instances, "findTagged">,
): Promise<Targets> {
  const refuse = (reason: string): Targets => ({
    found: [],
    refused: [{ reason, ...(instanceId && { instanceId }) }],
  });
  if (team === "none") return refuse(notConfigured);
  const tagged = await instances.findTagged(instanceTag);
  if ("refused" in tagged) return refuse(refusalOf(tagged.refused));
  const all = team === "tagged" ? tagged.map(({ id }) => id) : team;
  if (instanceId === undefined && all.length === 0) return refuse(noneTagged);
  if (instanceId === undefined && all.length > maxInstances) return refuse(tooMany);
  const result: Targets = { found: [], refused: [] };
  for (const id of instanceId === undefined ? all : [instanceId]) {
    const found = tagged.find((instance) => instance.id === id);
    if (team !== "tagged" && !team.includes(id)) result.refused.push({ instanceId: id, reason: notOfStage });
    else if (!found) result.refused.push({ instanceId: id, reason: notTagged });
    else result.found.push(found);
  }
  return result;
}
