// Why an instance is refused, or did not reach its desired state: sentences for a person who acts on them.
import { instanceTag, maxInstances } from "../../shared/instance-settings.ts";
import type { Instance } from "../../shared/ports.ts";

const tag = `${instanceTag.key}=${instanceTag.value}`;
const setting = "the stage's setting `instances` (stacks/stage.ts)";

export const notConfigured = `No instance is configured on this stage. Name some in ${setting}.`;
export const notAmongThem = `This instance is none of the stage's. Add its id to ${setting}, or name another.`;
export const notTagged = `This instance does not have the tag ${tag}, without which nothing here touches it. Tag it, or name another.`;
export const noneTagged = `No instance has the tag ${tag}. Tag the team's, or take it out of ${setting}.`;
export const tooMany = `More than ${maxInstances} instances have the tag ${tag}. Name the stage's by their ids in ${setting}.`;
export const terminated = `It is terminated and can't be started or stopped any more. Take it out of ${setting}.`;

const capacity =
  "EC2 has no room for it now (InsufficientInstanceCapacity). Ask again later, or give it another type or zone.";
/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
const refusals = new Map([
  [
    "IncorrectInstanceState",
    "EC2 can't do it in the instance's state (IncorrectInstanceState). Ask again later.",
  ],
  ["InsufficientInstanceCapacity", capacity],
  ["InvalidInstanceID.NotFound", `EC2 knows no instance of this id. Look at the id, and at ${setting}.`],
  ["InvalidInstanceID.Malformed", `This is not the id of an instance. Look at the id, and at ${setting}.`],
  [
    "UnauthorizedOperation",
    `The pipeline has no right to do it (UnauthorizedOperation). It may start and stop only what has the tag ${tag}: look at the tag, and at the permissions of the function.`,
  ],
]);

/** @param code of EC2's error; EC2's own sentence may quote more than belongs here */
export function refusalOf(code: string): string {
  return refusals.get(code) ?? `EC2 refused it (${code}). Look that up in EC2's list of error codes.`;
}

/** Of an instance that has not reached its desired state after the last check. */
export function stillIn({ state, stateReason }: Pick<Instance, "state" | "stateReason">): string {
  const why = stateReason === undefined ? "" : ` (${stateReason})`;
  return `It is still ${state}${why}. Look at it in EC2's console, and ask again.`;
}
