// The profile of a run's file: counts by day, week, column and answer, without any record. Expectations, the report and the
// annual statistics read it instead of the rows.
import * as z from "zod/mini";
import type { ColumnType } from "./column-types.ts";
import type { Dataset } from "./dataset-schema.ts";
import { keys } from "./keys.ts";
import type { ObjectStore } from "./ports.ts";
import { isoDate, nonNegativeInt } from "./schemas.ts";

/** Two years and half a year, so that every week of the last year has one a year earlier. */
export const profileWeeks = 130;
/** A column with more answers is not a closed field. */
export const maxAnswers = 100;
/** Pairs of answers in `pairs`. */
export const maxPairs = 2_000;

const weeks = z.array(nonNegativeInt);

const answerCounts = {
  rows: nonNegativeInt,
  /** In the fiscal year of `to`, up to `to`. */
  thisYear: nonNegativeInt,
  /** In the same days a year earlier. */
  lastYear: nonNegativeInt,
  /** Rows in each of `weeks`. */
  weeks,
};
const answer = z.strictObject({
  answer: z.string(),
  ...answerCounts,
  /** The same with the dataset's quantity instead of rows. Missing if the dataset has none. */
  quantity: z.optional(z.strictObject(answerCounts)),
});

const profiledColumn = z.strictObject({
  name: z.string(),
  /** Rows with a value. */
  filled: nonNegativeInt,
  /** Rows with a value in each of `weeks`. */
  weeks,
  /** The least and the greatest number. Missing if the column holds none. */
  numbers: z.optional(z.strictObject({ least: z.number(), greatest: z.number() })),
  /**
   * The answers of a text, number or boolean column that is not personal, the most frequent first. A cell with several
   * answers ("A; B") counts for each. Missing if there are more than `maxAnswers`.
   */
  answers: z.optional(z.array(answer)),
});

/** Rows of a fiscal year with the same question type and mode, which are null without an answer. */
const pair = z.strictObject({
  /** Named after the year in which it ends. Null for rows without a date. */
  fiscalYear: z.nullable(nonNegativeInt),
  questionType: z.nullable(z.string()),
  mode: z.nullable(z.string()),
  rows: nonNegativeInt,
  /** Rows of class sessions (`statistics.instruction` of the dataset's entry). */
  instruction: nonNegativeInt,
  /** The sum of their durations. */
  minutes: z.number(),
});

/** Rows that equal another row in columns in which a `unique` expectation expects no such rows (shared/expectations.ts). */
const repeats = z.strictObject({
  /** As the expectation names them. Missing for every column except `_id`. */
  columns: z.optional(z.array(z.string())),
  /** Rows of each day that repeat an earlier row of the file. */
  days: z.array(nonNegativeInt),
  /** Different rows among these. */
  different: z.array(nonNegativeInt),
});

const dated = {
  rows: nonNegativeInt,
  /** Rows whose date is not a date. They are in no count by day or week. */
  undated: nonNegativeInt,
  /** Rows on each day from `from` to `to`. */
  days: z.array(nonNegativeInt),
  /** Rows in each of the weeks. */
  weeks,
  /** Rows by weekday, Monday first, and hour, in the 364 days that end with `to`. Zeros if the date has no time. */
  hours: z.array(z.array(nonNegativeInt)),
};

/** `profile.json` */
export const profile = z.strictObject({
  /** The range of the run. The periods of all counts end with `to`. */
  from: isoDate,
  to: isoDate,
  ...dated,
  /** The Monday of the first of `profileWeeks` weeks. The last one is the week of `to`. */
  firstWeek: isoDate,
  /** The same with the sum of the dataset's quantity (`roles.quantity`) instead of rows. Missing if it has none. */
  quantity: z.optional(z.strictObject(dated)),
  /** The declared columns, in the order of the file. */
  columns: z.array(profiledColumn),
  /** Missing if the dataset names no columns for it (`roles`), or if there are more than `maxPairs`. */
  pairs: z.optional(z.array(pair)),
  /** One for each `unique` expectation of the dataset, in their order. Missing if there is none. */
  repeats: z.optional(z.array(repeats)),
});
export type Profile = z.infer<typeof profile>;
export type ProfiledColumn = Profile["columns"][number];
export type ProfiledPair = z.infer<typeof pair>;

/** Returns a run's profile, or undefined if it has expired or another version of the pipeline stored other counts. */
export async function readProfile(
  runId: string,
  work: Pick<ObjectStore, "getJson">,
): Promise<Profile | undefined> {
  return profile.safeParse(await work.getJson(keys.profile(runId), z.unknown())).data;
}

/** Returns the name of the column with the rows' date: the first timestamp that is not personal, or else the first date. */
export function dateColumn(dataset: Pick<Dataset, "columns">): string | undefined {
  return timeColumn(dataset) ?? columnOfType(dataset, "date");
}

/** Returns the name of the column with the rows' date and time. */
export function timeColumn(dataset: Pick<Dataset, "columns">): string | undefined {
  return columnOfType(dataset, "timestamp");
}

function columnOfType({ columns }: Pick<Dataset, "columns">, type: ColumnType): string | undefined {
  return columns.find((column) => "type" in column && column.type === type && !column.personal)?.name;
}

/** Returns the profile with sums of the dataset's quantity in place of rows, except the columns' values and the pairs. */
export function quantityProfile({ quantity, ...profile }: Profile): Profile | undefined {
  if (!quantity) return undefined;
  const columns = profile.columns.map(({ answers, ...column }) => ({
    ...column,
    ...(answers && {
      answers: answers
        .flatMap(({ answer, quantity: sums }) => (sums ? [{ answer, ...sums }] : []))
        .sort((a, b) => b.rows - a.rows || (a.answer < b.answer ? -1 : 1)),
    }),
  }));
  return { ...profile, ...quantity, columns };
}
