// The shape of an entry in `datasets.ts`: one LibInsight dataset, what becomes of its columns, and where it
// is published. Invalid entries fail at startup with an error that names the field.
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { columnType } from "./column-types.ts";
import { firesAt, firesWithin, parseCron } from "./cron.ts";
import { instanceMinutes } from "./instance-settings.ts";
import { keys, previousKey } from "./keys.ts";
import { isoDate, nonEmpty, positiveInt } from "./schemas.ts";
import { dayIn, isTimeZone, skippedMinutes } from "./time-zone.ts";

/** Text that reaches a file, a table or Tableau. A row is one line, and UTF-8 cannot carry a lone surrogate. */
const oneLine = z
  .string()
  .check(
    z.regex(
      /^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u,
      "it has no line breaks, no control characters and no lone surrogates",
    ),
  );
const name = oneLine.check(z.minLength(1));

/** Of a column that is published. */
const described = {
  /** What the column holds, for the data dictionary and for readers in Athena or Tableau. */
  meaning: z.optional(name.check(z.maxLength(150))),
  /** It names a person or holds free text: the analysis view leaves it out. */
  personal: z._default(z.boolean(), false),
};

const unit = oneLine.check(
  z.maxLength(30),
  z.regex(
    /^[^\s\d+.-](.*\S)?$/,
    "a unit begins with a letter or a sign such as %, and has no blanks around it",
  ),
  z.regex(/^\D*$/, "a unit has no digits"),
);

const keptColumn = z
  .strictObject({
    /** The field's label in LibInsight, which is also the column's header. */
    name,
    /**
     * Further labels of the field. Who renames it in LibInsight adds its new label here, and `name`, by which readers know
     * the column, stays. Of several that a record has, `name` goes first and then the first of these; the others count
     * as undeclared. A joined or dropped field needs none of this: its label stands in no header, so change it there.
     */
    labels: z._default(z.array(name), []),
    type: columnType,
    /** What may stand behind a number, in any case: with `unit: "min"`, `45`, `45 min` and `45MIN` are 45. */
    unit: z.optional(unit),
    ...described,
    /** A record without it can't be used and goes to the rejects. */
    required: z._default(z.boolean(), false),
    /** Of a field with several answers: `all`, joined by "; ", or the `first` (the others are counted). */
    answers: z._default(z.enum(["all", "first"]), "all"),
  })
  .check(
    z.refine(({ type, unit }) => unit === undefined || type === "integer" || type === "number", {
      error: "only an integer and a number have a unit",
      path: ["unit"],
    }),
  );

const joinedColumn = z.strictObject({
  name,
  /** The fields that are joined, in this order. They do not appear on their own. */
  join: z.array(name).check(z.minLength(1)),
  /** What stands between them. */
  with: z._default(oneLine, ""),
  ...described,
});

const droppedColumn = z.strictObject({
  name,
  /** The field is known and left out on purpose. */
  drop: z.literal(true),
});

export const column = z.union(
  [keptColumn, joinedColumn, droppedColumn],
  "a column has a name and one of: a type (with labels, unit, required, answers), join (with with), drop: true; " +
    "a column that is published may have a meaning and be personal",
);
export type KeptColumn = z.infer<typeof keptColumn>;
export type JoinedColumn = z.infer<typeof joinedColumn>;
export type Column = z.infer<typeof column>;

const objectKey = z
  .string()
  .check(
    z.maxLength(900),
    z.regex(/^[\w.-]+(\/[\w.-]+)+$/, "a key has a folder of its own: letters, digits, _ . - and /"),
  );

const percent = z.number().check(z.minimum(0), z.maximum(100));

const schedule = z.templateLiteral(["cron(", nonEmpty, ")"]).check(
  z.superRefine((text, context) => {
    const cron = parseCron(text);
    if ("problem" in cron) context.addIssue({ code: "custom", message: cron.problem });
  }),
);

/** What analysts see in Tableau, by the name that they see. */
const tableauContent = z.strictObject({
  name,
  /** The project in which it lies; needed where several have that name. */
  project: z.optional(name),
});

export const dataset = z
  .strictObject({
    /** What people call it: in run ids, on the command line, in messages. */
    name: z
      .string()
      .check(z.regex(/^[a-z][a-z0-9-]{1,47}$/, "lower-case letters, digits and -, 2 to 48 of them")),
    /** The dataset's number in LibInsight. */
    libinsightId: positiveInt,
    /** `request_id` of the data-grid call, where the site wants one. */
    requestId: z.optional(positiveInt),
    /** The first day that is collected. */
    firstDate: isoDate,
    /** The zone in which the library's day ends. */
    timeZone: z.string().check(z.refine(isTimeZone, "not an IANA time zone, such as America/New_York")),
    /**
     * When it is collected by itself, in `timeZone`; every Monday at six where nothing is said.
     * https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
     */
    schedule: z._default(schedule, "cron(0 6 ? * MON *)"),
    /** Days without a publication until an alarm fires: a week, and a day to run or repair. */
    staleAfterDays: z._default(z.number().check(z.positive()), 8),
    /** In the order of the published file. */
    columns: z.array(column).check(z.minLength(1)),
    /** A field that is not among `columns`: `append` it at the end, `ignore` it, or `reject` its record. */
    undeclared: z.enum(["append", "ignore", "reject"]),
    /** The month in which the library's fiscal year begins. The year is named after the one in which it ends. */
    fiscalYearStart: z._default(z.int().check(z.minimum(1), z.maximum(12)), 7),
    /** Beyond these limits a run is held and not published, see services/assembler/guard.ts. */
    guard: z.prefault(
      z.strictObject({
        /** By how many percent the rows may fall against the published file. */
        maxShrinkPercent: z._default(percent, 10),
        /** How many percent of a run's records may be rejected. */
        maxRejectPercent: z._default(percent, 5),
        /** How many percent of a column's values may be of another type than the column's. */
        maxMistypedPercent: z._default(percent, 50),
      }),
      {},
    ),
    publish: z.strictObject({
      /** Key of the CSV in the data bucket. Its folder is the Athena table's and holds nothing else. */
      csv: objectKey,
      /** Key of the same rows as JSON lines, in another folder. */
      jsonl: objectKey,
      /** Key of the query's newest good result in the results bucket. */
      results: objectKey,
      /** Folder in the results bucket where Athena writes each result. */
      queryResults: z.string().check(
        z.regex(/^[\w.-]+$/),
        z.refine(
          (path) => path !== folder(keys.columnNames("")).slice(0, -1),
          "this folder is the pipeline's own",
        ),
      ),
      /** Athena table; `<table>_typed` is the view with the columns' types, `<table>_analysis` the one for analysts. */
      table: z.string().check(z.regex(/^[a-z][a-z0-9_]{0,110}$/)),
      /**
       * The query gives one row for each published row, so a result with another number of rows is refused. Its SQL
       * stands in services/athena/queries/, in a file named after the dataset.
       */
      rowPreserving: z._default(z.boolean(), true),
    }),
    /** What Tableau refreshes when new results are published. */
    tableau: z.optional(
      z
        .strictObject({
          dataSources: z._default(z.array(tableauContent), []),
          workbooks: z._default(z.array(tableauContent), []),
        })
        .check(
          z.refine(
            ({ dataSources, workbooks }) => dataSources.length + workbooks.length > 0,
            "tableau names at least one data source or workbook",
          ),
        ),
    ),
  })
  .check(
    z.superRefine((entry, context) => {
      const seen = new Set<string>();
      for (const source of entry.columns.flatMap(sourceNames)) {
        if (seen.has(source)) {
          context.addIssue({
            code: "custom",
            message: `the field "${source}" is declared twice`,
            path: ["columns"],
          });
        }
        seen.add(source);
      }
      // `_id` tells duplicates apart and is each row's first cell, see services/assembler.
      const [first] = entry.columns;
      if (!(first && "type" in first && first.name === "_id" && first.type === "integer" && first.required)) {
        context.addIssue({
          code: "custom",
          message: 'the first column is "_id", an integer and required',
          path: ["columns"],
        });
      }
      const headers = outputColumns(entry.columns);
      if (new Set(headers).size < headers.length) {
        context.addIssue({ code: "custom", message: "two columns have one header", path: ["columns"] });
      }
      if (entry.publish.jsonl.startsWith(folder(entry.publish.csv))) {
        context.addIssue({
          code: "custom",
          // Athena reads a table's folder with all that lies below it.
          message: "csv and jsonl need folders of their own, jsonl's not below csv's",
          path: ["publish"],
        });
      }
    }),
  );

export type DatasetInput = z.input<typeof dataset>;
export type Dataset = z.infer<typeof dataset>;

/** The labels of the record fields that a column reads. */
export function sourceNames(column: Column): string[] {
  if ("join" in column) return column.join;
  return "type" in column ? [column.name, ...column.labels] : [column.name];
}

/** The headers of the published file, without undeclared columns. */
export function outputColumns(columns: readonly Column[]): string[] {
  return columns.filter((column) => !("drop" in column)).map((column) => column.name);
}

/** A table's views: with the columns' types, and the one that Tableau is pointed at. */
export function viewNames(table: string): { typed: string; analysis: string } {
  return { typed: `${table}_typed`, analysis: `${table}_analysis` };
}

/** A key's folder, with its slash. */
export function folder(key: string): string {
  return key.slice(0, key.lastIndexOf("/") + 1);
}

/**
 * Parses the entries.
 * @param now by which a first date lies in the future, and a schedule fires at all
 * @throws Error naming the entry and what is wrong with it
 */
export function defineDatasets(
  entries: readonly [DatasetInput, ...DatasetInput[]],
  now: Date = new Date(),
): [Dataset, ...Dataset[]] {
  const [first, ...rest] = entries;
  const parsed: [Dataset, ...Dataset[]] = [
    parseEntry(first, now),
    ...rest.map((entry) => parseEntry(entry, now)),
  ];
  for (const unique of ["name", "csv", "jsonl", "results", "table"] as const) {
    const values = parsed.map((entry) => (unique === "name" ? entry.name : entry.publish[unique]));
    const twice = values.find((value, index) => values.indexOf(value) < index);
    if (twice !== undefined)
      throw new Error(`shared/datasets.ts: two entries have the ${unique} "${twice}".`);
  }
  for (const { name, publish } of parsed) {
    const previous = previousKey(publish.csv);
    if (publish.jsonl.startsWith(folder(previous)))
      throw new Error(
        `shared/datasets.ts: "${name}" publishes its JSON lines into ${folder(previous)}, where copies of its CSV go.`,
      );
    for (const other of parsed.filter((entry) => entry.name !== name)) {
      const keys = [other.publish.csv, other.publish.jsonl, previousKey(other.publish.csv)];
      if (keys.some((key) => [publish.csv, previous].some((own) => key.startsWith(folder(own)))))
        throw new Error(
          `shared/datasets.ts: "${other.name}" publishes into the folder of "${name}"'s table.`,
        );
      if (Object.values(viewNames(publish.table)).includes(other.publish.table))
        throw new Error(`shared/datasets.ts: the table of "${other.name}" has the name of "${name}"'s view.`);
    }
  }
  return parsed;
}

function parseEntry(entry: DatasetInput, now: Date): Dataset {
  // zod/mini brings no language of its own; without one each of its messages is "Invalid input".
  const result = dataset.safeParse(entry, { error: en().localeError });
  const issues = result.success ? issuesAt(now, result.data) : result.error.issues;
  if (result.success && issues.length === 0) return result.data;
  throw new Error(
    `shared/datasets.ts: the entry "${entry.name}" can't be used.\n${z.prettifyError({ issues })}`,
  );
}

type Issue = { message: string; path: (keyof Dataset)[] };

/** A schedule that fires less often than 29 February may as well never fire. */
const yearsAhead = 10;

/** What is wrong with a valid entry at some time. */
function issuesAt(now: Date, { firstDate, timeZone, schedule }: Dataset): Issue[] {
  const issues: Issue[] = [];
  const dayMs = 24 * 60 * 60_000;
  // Without the zone's day, which takes long to make, where that cannot matter.
  const isPast = firstDate < new Date(now.getTime() - dayMs).toISOString();
  if (!isPast && firstDate > dayIn(timeZone, now))
    issues.push({ message: `this date is in the future in ${timeZone}`, path: ["firstDate"] });
  const cron = parseCron(schedule);
  if ("problem" in cron) return issues;
  const midnight = new Date(now.toISOString().slice(0, 10));
  if (!firesWithin(cron, midnight, yearsAhead * 366))
    issues.push({ message: `it does not fire in the next ${yearsAhead} years`, path: ["schedule"] });
  const events = [
    { what: "the run", shift: 0 },
    { what: "the start of the EC2 instances before it", shift: -instanceMinutes.beforeRun },
    { what: "the stop of the EC2 instances after it", shift: instanceMinutes.afterRun },
  ];
  // No zone's clocks change in the day, and finding out when they do takes long.
  if (!cron.times.some((time) => events.some(({ shift }) => isAtNight(time + shift)))) return issues;
  const skipped = skippedMinutes(timeZone, now, yearsAhead);
  for (const { what, shift } of events) {
    const minute = skipped.find((time) => firesAt(cron, new Date(time.getTime() - shift * 60_000)));
    if (!minute) continue;
    const time = minute.toISOString().slice(0, 16).replace("T", " ");
    issues.push({
      message: `${what} is skipped on ${time}, which the clocks of the time zone ${timeZone} skip. Choose another time`,
      path: ["schedule"],
    });
  }
  return issues;
}

/** @param minute of a day, the one before or the one after */
function isAtNight(minute: number): boolean {
  const hour = (Math.floor(minute / 60) + 24) % 24;
  return hour < 5 || hour >= 22;
}
