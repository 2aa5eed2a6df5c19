// The schema of expectations: what a person expects of a dataset's rows. Each run is judged by them
// (services/assembler/expectations/).
import * as z from "zod/mini";
import { isoDate, nonEmpty, positiveInt } from "./schemas.ts";

/** A term from its first day of classes to its last exam. */
export const term = z
  .strictObject({
    /** As it appears in messages, for example "Fall 2026". */
    name: nonEmpty.check(z.maxLength(40)),
    from: isoDate,
    to: isoDate,
  })
  .check(z.refine(({ from, to }) => from < to, { error: "use a day after from", path: ["to"] }));
export type Term = z.infer<typeof term>;

const common = {
  /** `warn` reports a run that does not meet the expectation. `hold` also keeps the run from being published. */
  action: z._default(z.enum(["warn", "hold"]), "warn"),
};
const percent = z.number().check(z.positive(), z.maximum(1000));
const points = z.number().check(z.positive(), z.maximum(100));

const kinds = {
  /** The newest record is not old. */
  newest: z.strictObject({
    kind: z.literal("newest"),
    /** Days of a term between the newest record and the end of the run's range. Without terms, days of any kind. */
    maxDays: z._default(positiveInt, 7),
    /** Days of any kind, which matters between terms. */
    maxDaysBetweenTerms: z._default(positiveInt, 21),
    ...common,
  }),
  /** No window without records follows one with records. Windows shorter than four weeks may be empty. */
  windows: z.strictObject({ kind: z.literal("windows"), ...common }),
  /** No column loses values, neither in the whole file nor in the last week. */
  filled: z.strictObject({
    kind: z.literal("filled"),
    /** Default: every column. */
    columns: z.optional(z.array(nonEmpty).check(z.minLength(1))),
    /** How many percentage points the share of rows with a value may fall. */
    maxFallPoints: z._default(points, 10),
    ...common,
  }),
  /** The days of the last publication keep their rows, in all and in each calendar and fiscal year. */
  rows: z.strictObject({
    kind: z.literal("rows"),
    maxShrinkPercent: z._default(percent, 5),
    maxGrowthPercent: z._default(percent, 10),
    ...common,
  }),
  /** A closed field has known answers only. */
  answers: z.strictObject({
    kind: z.literal("answers"),
    column: nonEmpty,
    /** Default: the answers of the last publication. */
    accepted: z.optional(z.array(nonEmpty).check(z.minLength(1))),
    ...common,
  }),
  /** Numbers are within limits, both inclusive. */
  range: z
    .strictObject({
      kind: z.literal("range"),
      column: nonEmpty,
      min: z.optional(z.number()),
      max: z.optional(z.number()),
      ...common,
    })
    .check(
      z.refine(({ min, max }) => min !== undefined || max !== undefined, "set min, max or both"),
      z.refine(({ min, max }) => min === undefined || max === undefined || min <= max, {
        error: "use a number that is not below min",
        path: ["max"],
      }),
    ),
  /** No day has many rows that repeat another row under another `_id`, as a day that was imported twice has. */
  unique: z.strictObject({
    kind: z.literal("unique"),
    /** The columns in which such rows are equal. Default: every column except `_id`. */
    columns: z.optional(z.array(nonEmpty).check(z.minLength(1))),
    /** Percent of a day's rows. A day that was imported twice has 50%. */
    maxPercent: z._default(points, 30),
    ...common,
  }),
  /** The last week has about as many rows as the same week of the term a year ago. */
  volume: z.strictObject({
    kind: z.literal("volume"),
    /** In addition to what chance explains. */
    maxChangePercent: z._default(percent, 50),
    ...common,
  }),
  /** No answer of a closed field is without rows for weeks although it usually has some at that time of the year. */
  silent: z.strictObject({
    kind: z.literal("silent"),
    column: nonEmpty,
    weeks: z._default(positiveInt.check(z.maximum(26)), 3),
    ...common,
  }),
};

export const expectationKinds = Object.keys(kinds);
export const expectation = z.discriminatedUnion("kind", [
  kinds.newest,
  kinds.windows,
  kinds.filled,
  kinds.rows,
  kinds.answers,
  kinds.range,
  kinds.unique,
  kinds.volume,
  kinds.silent,
]);
export type Expectation = z.infer<typeof expectation>;
export type ExpectationOf<K extends Expectation["kind"]> = Extract<Expectation, { kind: K }>;
