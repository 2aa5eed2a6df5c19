// What the de-identified file has of a column: the settings in library.ts and their defaults.
import * as z from "zod/mini";
import type { ColumnType } from "../column-types.ts";
import type { Column, JoinedColumn, KeptColumn } from "../dataset-schema.ts";
import { nonEmpty, oneLine } from "../schemas.ts";

const isAscending = (bands: readonly number[]) =>
  bands.every((band, n) => n === 0 || band > (bands[n - 1] ?? band));
const isDistinct = (groups: Record<string, readonly string[]>) => {
  const answers = Object.values(groups).flat();
  return new Set(answers).size === answers.length;
};

export const generalise = z.union(
  [
    /** A date becomes the first day of its week, which is a Monday, or month. */
    z.enum(["week", "month"]),
    /** A number becomes the lower bound of its band: with [0, 15, 60], 20 becomes 15. */
    z.strictObject({
      bands: z.array(z.number()).check(z.minLength(1), z.refine(isAscending, "sort the bands, each once")),
    }),
    /** An answer becomes the name of its group, or `Other`. */
    z.strictObject({
      groups: z
        .record(oneLine.check(z.minLength(1)), z.array(z.string()).check(z.minLength(1)))
        .check(z.refine(isDistinct, "name each answer in one group")),
    }),
  ],
  { error: 'use "week", "month", { bands: [0, 15, 60] } or { groups: { "Libraries": ["Newman"] } }' },
);
export type Generalise = z.infer<typeof generalise>;

/** The name of the group of all answers that `groups` does not name. */
export const otherGroup = "Other";

/** Settings of a published column. They have no effect on the full file. */
export const privacySettings = {
  /**
   * What the de-identified file has: the value (`keep`), no column (`drop`), a pseudonym that is the same for the same
   * value (`hash`), a coarser value (`generalise`), or the text without personal words (`redact`). Default: `drop` for a
   * personal column, or else `keep`.
   */
  privacy: z.optional(z.enum(["keep", "drop", "hash", "generalise", "redact"])),
  /** How the value becomes coarser. */
  generalise: z.optional(generalise),
  /** What becomes of the value when the record's date is that many months ago. */
  after: z.optional(
    z.strictObject({
      months: z.int().check(z.minimum(1), z.maximum(1200)),
      then: z.enum(["drop", "redact", "generalise"]),
    }),
  ),
};

/** What redaction finds in addition to e-mail addresses, phone numbers and URLs. */
export const redactionSettings = z.strictObject({
  /** The columns whose values are names, such as those of the staff. */
  nameColumns: z._default(z.array(nonEmpty), []),
  /** Regular expressions of ids, such as `\\b9\\d{8}\\b`. */
  ids: z._default(
    z
      .array(nonEmpty.check(z.maxLength(200), z.refine(isPattern, "use a regular expression")))
      .check(z.maxLength(20)),
    [],
  ),
});

function isPattern(source: string): boolean {
  try {
    new RegExp(source, "u");
    return true;
  } catch {
    return false;
  }
}

export type Privacy = NonNullable<KeptColumn["privacy"]>;
type PublishedColumn = KeptColumn | JoinedColumn;

/** Returns what the de-identified file has of the column. */
export function privacyOf({ privacy, personal }: Pick<PublishedColumn, "privacy" | "personal">): Privacy {
  return privacy ?? (personal ? "drop" : "keep");
}

/** Returns whether the de-identified file has every value as it is. */
export function isKept(column: Pick<PublishedColumn, "privacy" | "personal" | "after">): boolean {
  return privacyOf(column) === "keep" && column.after === undefined;
}

/**
 * Returns whether a column may hold free text: a text that declares neither what is personal in it nor that it holds
 * answers.
 * @param column as it is written, which may be anything
 */
export function isFreeText(column: unknown): boolean {
  if (typeof column !== "object" || column === null) return false;
  const isText = "join" in column || ("type" in column && column.type === "text");
  const declares = (["answers", "personal", "privacy"] as const).some((setting) => setting in column);
  return isText && !declares;
}

export type Problem = { setting: string; message: string };

/** Returns what to do about settings that contradict each other. @param hasDate whether the records have a date */
export function privacyProblem(column: Column, hasDate: boolean): Problem | undefined {
  if ("drop" in column) return undefined;
  const { privacy, generalise, after, name } = column;
  const type = "type" in column ? column.type : "text";
  const actions = [privacy, after?.then];
  if (name === "_id" && (privacyOf(column) !== "keep" || after))
    return { setting: "privacy", message: 'use "keep" without after: the column identifies the record' };
  if (after && privacyOf(column) === "drop")
    return {
      setting: "after",
      message: "remove it, or set another privacy: the column is dropped in any case",
    };
  if (after && !hasDate) return { setting: "after", message: "remove it: the records have no date column" };
  if (actions.includes("redact") && type !== "text")
    return { setting: "privacy", message: "redact only columns of type text" };
  if (!actions.includes("generalise"))
    return generalise === undefined
      ? undefined
      : { setting: "generalise", message: 'set privacy: "generalise", or after with then: "generalise"' };
  if (generalise === undefined)
    return { setting: "generalise", message: "set how, such as month, { bands } or { groups }" };
  const fits = typesOf(generalise);
  if (!fits.includes(type))
    return { setting: "generalise", message: `use it for a column of type ${fits.join(" or ")}` };
  return undefined;
}

function typesOf(generalise: Generalise): ColumnType[] {
  if (typeof generalise === "string") return ["timestamp", "date"];
  return "bands" in generalise ? ["number", "integer"] : ["text"];
}
