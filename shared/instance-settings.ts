// The EC2 instances that a stage may start and stop: its setting, and the tag without which none is touched.
import * as z from "zod/mini";

/** On every resource of the department's (stacks/tags.ts). */
export const instanceTag = { key: "Application", value: "DataPipeline" } as const;

/** A request names no more than these, and each is done in turn. A department has one or two. */
export const maxInstances = 20;

/**
 * When a dataset's schedule starts and stops them. EC2 starts an instance in a minute or two, and a run takes minutes;
 * four hours leave time to repair a run.
 */
export const instanceMinutes = { beforeRun: 15, afterRun: 240 } as const;

const ids = z
  .array(z.string().check(z.regex(/^i-[0-9a-f]{8,17}$/)))
  .check(z.minLength(1), z.maxLength(maxInstances));

/** Those with the tag, those of these ids that have it, or none. As text: the ids with commas between them. */
export type TeamInstances = "tagged" | "none" | string[];
export const instancesSetting = z.union([
  z.enum(["tagged", "none"]),
  z.pipe(
    z.pipe(
      z.string(),
      z.transform((text) => text.split(",")),
    ),
    ids,
  ),
]);

/** The setting as a variable's text. */
export function instancesText(team: TeamInstances): string {
  return typeof team === "string" ? team : team.join(",");
}
