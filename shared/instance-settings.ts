// The setting that names the EC2 instances of a stage. Each of them must have the library's tag (library.ts).
import * as z from "zod/mini";

/** The most instances that one request may affect. A department has one or two. */
export const maxInstances = 20;

/**
 * When a dataset's schedule starts and stops the instances, in minutes before and after the run starts. EC2 starts an
 * instance in a minute or two, and a run takes minutes. Four hours leave time to repair a run.
 */
export const instanceMinutes = { beforeRun: 15, afterRun: 240 } as const;

export const instanceIds = z
  .array(z.string().check(z.regex(/^i-[0-9a-f]{8,17}$/)))
  .check(z.minLength(1), z.maxLength(maxInstances));

/** All instances with the tag, those of these ids that have it, or none. As text, the ids are separated by commas. */
export type TeamInstances = "tagged" | "none" | string[];
export const instancesSetting = z.union([
  z.enum(["tagged", "none"]),
  z.pipe(
    z.pipe(
      z.string(),
      z.transform((text) => text.split(",")),
    ),
    instanceIds,
  ),
]);

/** Returns the setting as the text of an environment variable. */
export function instancesText(team: TeamInstances): string {
  return typeof team === "string" ? team : team.join(",");
}
