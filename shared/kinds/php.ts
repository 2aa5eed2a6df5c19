// Reads the maps and lists of LibInsight's JSON. A PHP server writes an empty map as `[]`, and also "" and null occur.
import * as z from "zod/mini";

export type Members = [name: string, value: unknown][];

/** Returns a map's members, none for what a PHP server writes instead of an empty map, or undefined for anything else. */
export function membersOf(value: unknown): Members | undefined {
  if (value === undefined || value === null || value === "") return [];
  if (typeof value !== "object") return undefined;
  if (Array.isArray(value)) return value.length === 0 ? [] : undefined;
  return Object.entries(value);
}

/** A map as its members. */
export const map = z.pipe(
  z.unknown().check(z.refine((value) => membersOf(value) !== undefined, "must be a map")),
  z.transform((value): Members => membersOf(value) ?? []),
);

/** A map without members. */
export const nothing = z
  .unknown()
  .check(z.refine((value) => membersOf(value)?.length === 0, "must be an empty map"));

const named = z.object({ id: z.union([z.string(), z.number()]), name: z.string() });

/** Returns names by id, from a map `{"3": "Main"}` or a list of `{id, name}`. Skips what is not a name. */
export function namesOf(value: unknown): Map<string, string> {
  const members: Members = Array.isArray(value)
    ? value.flatMap((member) => {
        const { data } = named.safeParse(member);
        return data ? [[String(data.id), data.name]] : [];
      })
    : (membersOf(value) ?? []);
  return new Map(
    members.flatMap(([id, name]) => (typeof name === "string" && name.trim() ? [[id, name]] : [])),
  );
}

/** Returns a number or the number in a text, or undefined. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  return typeof value === "string" && /^\s*-?\d+(\.\d+)?\s*$/.test(value) ? Number(value) : undefined;
}
