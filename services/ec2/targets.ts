// Which instances a request is about. Whatever is not the stage's, or does not have the tag, is refused.
import { instanceTag, maxInstances, type TeamInstances } from "../../shared/instance-settings.ts";
import type { Instance, Instances } from "../../shared/ports.ts";
import { noneTagged, notAmongThem, notConfigured, notTagged, refusalOf, tooMany } from "./reasons.ts";

export type Targets = { found: Instance[]; refused: { instanceId?: string; reason: string }[] };

/**
 * The instances that a request is about.
 * @param instanceId undefined for all of the stage
 */
export async function targets(
  instanceId: string | undefined,
  team: TeamInstances,
  instances: Pick<Instances, "find" | "findTagged">,
): Promise<Targets> {
  if (team === "none") return refusing(notConfigured, instanceId);
  if (instanceId !== undefined && team !== "tagged" && !team.includes(instanceId))
    return refusing(notAmongThem, instanceId);
  if (instanceId === undefined && team === "tagged") return tagged(instances);
  const ids = instanceId === undefined ? team : [instanceId];
  const all: Targets = { found: [], refused: [] };
  for (const id of ids) {
    const { found, refused } = await named(id, instances);
    all.found.push(...found);
    all.refused.push(...refused);
  }
  return all;
}

async function tagged(instances: Pick<Instances, "findTagged">): Promise<Targets> {
  const found = await instances.findTagged(instanceTag);
  if ("refused" in found) return refusing(refusalOf(found.refused));
  if (found.length === 0) return refusing(noneTagged);
  return found.length > maxInstances ? refusing(tooMany) : { found, refused: [] };
}

async function named(id: string, instances: Pick<Instances, "find">): Promise<Targets> {
  const found = await instances.find(id);
  if ("refused" in found) return refusing(refusalOf(found.refused), id);
  if (found.tags.get(instanceTag.key) !== instanceTag.value) return refusing(notTagged, id);
  return { found: [found], refused: [] };
}

function refusing(reason: string, instanceId?: string): Targets {
  return { found: [], refused: [{ reason, ...(instanceId !== undefined && { instanceId }) }] };
}
