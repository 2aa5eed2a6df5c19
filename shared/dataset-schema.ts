// The schema of a dataset in `library.ts`: one LibInsight dataset, its columns, and where it is published. Invalid
// entries fail at startup with a sentence for each problem.
import * as z from "zod/mini";
import { toDotPath } from "zod/v4/core";
import { childTables } from "./child-tables.ts";
import { columnType } from "./column-types.ts";
import { firesAt, firesWithin, parseCron } from "./cron.ts";
import { type Expectation, expectation, expectationKinds, term } from "./expectations.ts";
import { instanceMinutes } from "./instance-settings.ts";
import { adviceOf, alternatives, InvalidLibrary, type Issue, shownInput } from "./invalid-library.ts";
import { maxLookbackDays } from "./kept.ts";
import { folderOf, keys, previousKey } from "./keys.ts";
import { type KindName, kindName, kinds } from "./kinds/kinds.ts";
import { parquetFolder } from "./parquet-file.ts";
import { allEntries, isDeidentified } from "./privacy/deidentified.ts";
import { isFreeText, privacyProblem, privacySettings, redactionSettings } from "./privacy/settings.ts";
import { isoDate, nonEmpty, oneLine, positiveInt } from "./schemas.ts";
import { answerSeparator, statisticsRules } from "./statistics/rules.ts";
import { dayIn, isTimeZone, skippedMinutes } from "./time-zone.ts";

const name = oneLine.check(z.minLength(1));

/** Settings of every column that is published. */
const publishedColumn = {
  /** Describes the column in the data dictionary, Athena and Tableau. */
  meaning: z.optional(name.check(z.maxLength(150))),
  /**
   * Whether it names a person or holds free text. The analysis view leaves it out. Default: true for a text that declares
   * neither `personal`, `privacy` nor `answers`, and has no role and no expectation of its answers.
   */
  personal: z._default(z.boolean(), false),
  /** Whether it may have no value in any row, as a field that no one uses yet. Any other new column is held then. */
  mayBeEmpty: z.optional(z.boolean()),
  ...privacySettings,
};

const unit = oneLine.check(
  z.maxLength(30),
  z.regex(/^[^\s\d+.-](.*\S)?$/, "begin with a letter or a sign such as %, without spaces around the unit"),
  z.regex(/^\D*$/, "use a unit without digits"),
);

const keptColumn = z
  .strictObject({
    /** The field's label in LibInsight, and the column's header. */
    name,
    /**
     * Other labels of the field. After a rename in LibInsight, add the new label here, so that the column keeps its
     * name. If a record has several of the labels, the first one is used (`name` before these) and the others count as
     * undeclared. For a joined or dropped field change the label itself: it is in no header. A label may be any text.
     */
    labels: z._default(z.array(z.string()), []),
    /** LibInsight's id of the field, by which `npm run adopt` finds a rename. */
    fieldId: z.optional(z.union([z.int(), nonEmpty])),
    type: columnType,
    /** A unit that may follow a number, in any case: with `unit: "min"`, `45`, `45 min` and `45MIN` are 45. */
    unit: z.optional(unit),
    ...publishedColumn,
    /** Whether a record without a value is rejected. */
    required: z._default(z.boolean(), false),
    /**
     * Keeps `all` answers of a multiple-choice field, joined by "; ", or the `first` (the others are counted). With
     * `rows`, a child table has each answer as a row too (child-tables.ts).
     */
    answers: z._default(z.enum(["all", "first", "rows"]), "all"),
  })
  .check(
    z.refine(({ type, unit }) => unit === undefined || type === "integer" || type === "number", {
      error: "remove the unit, or use the type integer or number",
      path: ["unit"],
    }),
    z.refine(({ type, answers }) => answers !== "rows" || type === "text", {
      error: 'use "all" or "first", or the type text',
      path: ["answers"],
    }),
  );

const joinedColumn = z.strictObject({
  name,
  /** The labels of the fields to join, in this order. These fields get no columns of their own. */
  join: z.array(name).check(z.minLength(1)),
  /** The separator. */
  with: z._default(oneLine, ""),
  ...publishedColumn,
});

const droppedColumn = z.strictObject({
  name,
  /** Leaves out a known field. */
  drop: z.literal(true),
});

/** By the setting that decides a column's kind. */
const columnKinds = { type: keptColumn, join: joinedColumn, drop: droppedColumn };
const column = z.union([columnKinds.type, columnKinds.join, columnKinds.drop]);
export type KeptColumn = z.infer<typeof keptColumn>;
export type JoinedColumn = z.infer<typeof joinedColumn>;
export type Column = z.infer<typeof column>;

const objectKey = z
  .string()
  .check(
    z.maxLength(900),
    z.regex(/^[\w.-]+(\/[\w.-]+)+$/, "use a key in a folder, of letters, digits, _ . - and /"),
  );

const percent = z.number().check(z.minimum(0), z.maximum(100));

const cronFields = "cron(minutes hours day-of-month month day-of-week year)";
const schedule = z.templateLiteral(["cron(", nonEmpty, ")"], `use ${cronFields}`).check(
  z.superRefine((text, context) => {
    const cron = parseCron(text);
    if ("problem" in cron) context.addIssue({ code: "custom", message: cron.problem });
  }),
);

/** A data source or workbook, by the name that Tableau shows. */
const tableauContent = z.strictObject({
  name,
  /** The project that contains it. Required if several have the same name. */
  project: z.optional(name),
});

/** The assembler writes all child files at once, and each upload buffers up to 20 MB. */
const maxChildTables = 10;
/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html */
const maxKeyBytes = 1024;
/** A run's id has the dataset's name of up to 48 characters, a hyphen and twelve digits. */
const longestRunId = "r".repeat(61);

export const dataset = z
  .strictObject({
    /** Identifies the dataset in run ids, commands and messages. */
    name: z.string().check(
      z.regex(
        /^[a-z][a-z0-9-]{1,47}$/,
        "use 2 to 48 lower-case letters, digits and -, beginning with a letter",
      ),
      z.refine(
        (name) => !isDeidentified(name),
        "use another name: the entry of a de-identified file ends like this",
      ),
    ),
    /** What LibInsight has of the dataset: records, or statistics that become rows (shared/kinds). */
    kind: z._default(kindName, "records"),
    /** The dataset's id in LibInsight. */
    libinsightId: positiveInt,
    /** Whether it is a shared dataset of records. */
    shared: z._default(z.boolean(), false),
    /** `request_id` of the data-grid call, if the site requires one. */
    requestId: z.optional(positiveInt),
    /** The first day to collect. */
    firstDate: isoDate,
    /** The library's time zone, which decides when a day ends. */
    timeZone: z.string().check(z.refine(isTimeZone, "use an IANA time zone, such as America/New_York")),
    /**
     * When the dataset is collected, in `timeZone`. Default: every Monday at 06:00.
     * https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
     */
    schedule: z._default(schedule, "cron(0 6 ? * MON *)"),
    /**
     * Collects everything only in the first run of each week, month or quarter (in `timeZone`). The runs between fetch
     * the last days and what LibInsight counts differently. Missing: every run collects everything (docs/datasets.md).
     */
    refresh: z.optional(
      z.strictObject({
        /** Days before the run's last day that every run fetches. */
        lookbackDays: z.int().check(z.minimum(1), z.maximum(maxLookbackDays)),
        full: z.enum(["weekly", "monthly", "quarterly"]),
      }),
    ),
    /** Days without a publication before an alarm fires. The default is a week and one day for the run or a repair. */
    staleAfterDays: z._default(z.number().check(z.positive()), 8),
    /** The columns, in the order of the published file. Statistics have columns of their own, unless they are given. */
    columns: z.array(column).check(z.minLength(1)),
    /** What to do with a field that `columns` does not name: `append` a column, `ignore` it, or `reject` the record. */
    undeclared: z.enum(["append", "ignore", "reject"]),
    /** The first month of the fiscal year, which is named after the year in which it ends. */
    fiscalYearStart: z._default(z.int().check(z.minimum(1), z.maximum(12)), 7),
    /** The columns that the report, the measures and the annual statistics count by. */
    roles: z._default(
      z.strictObject({
        /** What kind of question it was. It decides what the annual statistics count. */
        questionType: z.optional(name),
        /** How the question came in. */
        mode: z.optional(name),
        location: z.optional(name),
        /** The duration in minutes. */
        minutes: z.optional(name),
        /** The amount that people ask for, if a row is not one of what they count: the report sums it up instead of rows. */
        quantity: z.optional(name),
      }),
      {},
    ),
    /** What `privacy: "redact"` finds in free text. */
    redaction: z.prefault(redactionSettings, {}),
    /** The academic terms since `firstDate`, in their order. Expectations compare a week with the same week of a term. */
    terms: z._default(z.array(term), []),
    /** What each run is expected to be. */
    expectations: z._default(z.array(expectation), []),
    /** What the answers mean for the measures and the annual statistics (docs/statistics.md). */
    statistics: z.optional(statisticsRules),
    /** Limits beyond which a run is held instead of published (services/assembler/guard.ts). */
    guard: z.prefault(
      z.strictObject({
        /** Percent of the published rows that a new file may lack. */
        maxShrinkPercent: z._default(percent, 10),
        /** Percent of a run's records that may be rejected. */
        maxRejectPercent: z._default(percent, 5),
        /** Percent of a column's values that may not match its type. */
        maxMistypedPercent: z._default(percent, 50),
      }),
      {},
    ),
    publish: z.strictObject({
      /** Key of the CSV in the data bucket. Athena reads its folder as the table, so nothing else may be in it. */
      csv: objectKey,
      /** Key of the same rows as JSON Lines, in another folder. */
      jsonl: objectKey,
      /** Key of the newest valid query result in the results bucket. */
      results: objectKey,
      /** Folder in the results bucket to which Athena writes every result. */
      queryResults: z.string().check(
        z.regex(/^[\w.-]+$/, "use one folder name of letters, digits, _ . and -"),
        z.refine(
          (path) =>
            ![keys.columnNames(""), keys.latestReport(""), ...Object.values(keys.analystsResults)].some(
              (key) => key.startsWith(`${path}/`),
            ),
          "use another folder: the pipeline stores its own files in this one",
        ),
      ),
      /** Athena table. The names of its views are longer (`viewNames`). */
      table: z.string().check(
        z.regex(
          /^[a-z][a-z0-9_]{0,97}$/,
          "use 1 to 98 lower-case letters, digits and _, beginning with a letter",
        ),
        // A policy allows every table whose name begins with that of a de-identified one (stacks/analyst-policy.ts).
        z.refine(
          (table) => !table.includes("_deidentified"),
          "use another name: the tables of de-identified files have _deidentified",
        ),
      ),
      /**
       * Whether the query returns one row for each published row. If so, a result with another number of rows is
       * rejected. The query is in services/athena/queries/, in a file named after the dataset.
       */
      rowPreserving: z._default(z.boolean(), true),
    }),
    /** What Tableau refreshes after new results are published. */
    tableau: z.optional(
      z
        .strictObject({
          dataSources: z._default(z.array(tableauContent), []),
          workbooks: z._default(z.array(tableauContent), []),
        })
        .check(
          z.refine(
            ({ dataSources, workbooks }) => dataSources.length + workbooks.length > 0,
            "name at least one data source or workbook",
          ),
        ),
    ),
  })
  .check(
    z.superRefine((entry, context) => {
      const refuse = (message: string, ...path: (string | number)[]) =>
        context.addIssue({ code: "custom", message, path });
      if (entry.shared && entry.kind !== "records") refuse("remove it: only records are shared", "shared");
      if (entry.refresh && entry.kind !== "records")
        refuse("remove it: statistics take one request for each window, and so does a recount", "refresh");
      const declared = new Set<string>();
      const headers = new Set<string>();
      for (const [index, column] of entry.columns.entries()) {
        for (const source of sourceNames(column)) {
          if (declared.has(source)) refuse(`declare the field "${source}" only once`, "columns", index);
          declared.add(source);
        }
        if ("drop" in column) continue;
        if (headers.has(column.name)) refuse("give each column a name of its own", "columns", index);
        headers.add(column.name);
      }
      // The assembler finds duplicates by `_id`, the first cell of each row.
      const [first] = entry.columns;
      if (!(first && "type" in first && first.name === "_id" && first.type === "integer" && first.required))
        refuse('make "_id" the first column, with type: "integer" and required: true', "columns");
      const hasDate = entry.columns.some(
        (column) => "type" in column && !column.personal && ["timestamp", "date"].includes(column.type),
      );
      for (const [index, column] of entry.columns.entries()) {
        const problem = privacyProblem(column, hasDate);
        if (problem) refuse(problem.message, "columns", index, problem.setting);
      }
      const unknown = entry.redaction.nameColumns.find((name) => !headers.has(name));
      if (unknown !== undefined)
        refuse(`use published columns instead of ${JSON.stringify(unknown)}`, "redaction", "nameColumns");
      for (const [role, header] of Object.entries(entry.roles)) {
        const column = entry.columns.find(({ name }) => name === header);
        const isNumber =
          column && "type" in column && (column.type === "number" || column.type === "integer");
        if (!column || "drop" in column || column.personal)
          refuse("name a published column that is not personal", "roles", role);
        else if (role === "minutes" && !isNumber)
          refuse("name a column of type number or integer", "roles", role);
        else if (role === "quantity" && !("type" in column && column.type === "integer"))
          refuse("name a column of type integer", "roles", role);
      }
      for (const [index, { from }] of entry.terms.entries()) {
        const before = entry.terms[index - 1];
        if (before && before.to >= from)
          refuse(`use a day after ${before.to}, the end of "${before.name}"`, "terms", index, "from");
      }
      for (const [index, expected] of entry.expectations.entries()) {
        const advice = expectationAdvice(expected, entry);
        if (advice) refuse(advice.message, "expectations", index, advice.setting);
      }
      if (entry.statistics) refuseRules(entry.statistics, entry, refuse);
      refuseChildren(entry, refuse);
      for (const file of ["csv", "jsonl"] as const)
        if (entry.publish[file].startsWith(keys.allChanges))
          refuse("use another folder: this one is for the changes of publications", "publish", file);
      // Athena reads a table's folder with its subfolders.
      if (entry.publish.jsonl.startsWith(folderOf(entry.publish.csv)))
        refuse("use a folder that is not the folder of csv or below it", "publish", "jsonl");
    }),
  );

/** Returns what to do about an expectation that the entry's columns or terms do not fit. */
function expectationAdvice(
  expected: Expectation,
  { columns, terms, kind }: { columns: Column[]; terms: readonly unknown[]; kind: KindName },
): { setting: string; message: string } | undefined {
  const published = (name: string) => columns.find((column) => column.name === name && !("drop" in column));
  if (expected.kind === "volume" && terms.length === 0)
    return { setting: "kind", message: "set terms, or remove this expectation" };
  if ((expected.kind === "volume" || expected.kind === "silent") && kinds[kind].isMonthly)
    return { setting: "kind", message: "remove it: rows of whole months are in no week" };
  if ("columns" in expected) {
    const unknown = expected.columns?.find((name) => !published(name));
    return unknown === undefined
      ? undefined
      : { setting: "columns", message: `use published columns instead of ${JSON.stringify(unknown)}` };
  }
  if (!("column" in expected)) return undefined;
  const column = published(expected.column);
  const type = column && "type" in column ? column.type : "text";
  const refused = (message: string) => ({ setting: "column", message });
  if (!column) return refused("name a published column");
  if (expected.kind === "range") {
    const isNumber = type === "number" || type === "integer";
    return isNumber ? undefined : refused("name a column of type number or integer");
  }
  const isClosed =
    !("personal" in column && column.personal) && !["timestamp", "date", "time"].includes(type);
  return isClosed ? undefined : refused("name a column with answers that is not personal");
}

type Refuse = (message: string, ...path: (string | number)[]) => void;

/** Refuses rules by which an answer would have no column or several classes. */
function refuseRules(
  { kinds, modes, instruction }: z.infer<typeof statisticsRules>,
  { columns, roles }: { columns: readonly Column[]; roles: Record<string, string | undefined> },
  refuse: Refuse,
): void {
  const lists: [role: string, path: string, answers: string[]][] = [
    ["questionType", "kinds", Object.values(kinds).flat()],
    ["mode", "modes", Object.values(modes).flat()],
    ...(instruction.length > 0
      ? [["location", "instruction", instruction] as [string, string, string[]]]
      : []),
  ];
  for (const [role, path, answers] of lists) {
    const column = columns.find(({ name }) => name === roles[role]);
    if (!(column && "type" in column && column.type === "text")) {
      refuse(`name a column of type text as roles.${role}`, "statistics", path);
      continue;
    }
    if (answers.length === 0) refuse("name the answers of at least one class", "statistics", path);
    for (const [index, answer] of answers.entries()) {
      const name = JSON.stringify(answer);
      if (answers.indexOf(answer) < index) refuse(`name the answer ${name} only once`, "statistics", path);
      if (holdsSeveral(column) && answer.includes(answerSeparator))
        refuse(
          `the answer ${name} reads as several answers; set answers: "first" in the column "${column.name}"`,
          "statistics",
          path,
        );
    }
  }
}

/** Refuses child tables without a name or folder of their own. */
function refuseChildren(entry: Parameters<typeof childTables>[0], refuse: Refuse): void {
  const children = childTables(entry);
  if (children.length > maxChildTables)
    refuse(`use answers: "rows" for at most ${maxChildTables} columns`, "columns");
  const relations = [entry.publish.table, ...Object.values(viewNames(entry.publish.table))];
  for (const { column, name, table, typed, folder, keyOf } of children) {
    const index = entry.columns.findIndex((found) => found.name === column);
    const isTaken = [table, typed].some((relation) => relations.includes(relation));
    const { csv } = entry.publish;
    if (isTaken || [folderOf(previousKey(csv)), parquetFolder(csv)].includes(folder))
      refuse(
        `another table, view or folder has the name "${name}" of its child table; give the column another name and add this one to its labels`,
        "columns",
        index,
      );
    if (keyOf(longestRunId).length > maxKeyBytes)
      refuse("use a shorter key, because those of child files are longer", "publish", "csv");
    relations.push(table, typed);
  }
}

export type DatasetInput = z.input<typeof dataset>;
/** An entry as it is written. It may leave out columns that its kind has. */
export type DatasetEntry = Omit<DatasetInput, "columns"> & Partial<Pick<DatasetInput, "columns">>;
export type Dataset = z.infer<typeof dataset>;

/** Returns the labels of the fields that a column reads. */
export function sourceNames(column: Column): string[] {
  if ("join" in column) return column.join;
  return "type" in column ? [column.name, ...column.labels] : [column.name];
}

/** Returns whether a cell of the column may have several answers, joined by "; ". */
export function holdsSeveral(column: KeptColumn | JoinedColumn): boolean {
  return "join" in column || column.answers !== "first";
}

/** Returns the headers of the published file, without undeclared columns. */
export function outputColumns(columns: readonly Column[]): string[] {
  return columns.filter((column) => !("drop" in column)).map((column) => column.name);
}

/** Returns the headers of the columns in which some row has a value, if their labels are right. */
export function filledColumns(columns: readonly Column[]): string[] {
  return outputColumns(columns.filter((column) => !("mayBeEmpty" in column && column.mayBeEmpty)));
}

/**
 * Returns the names of the tables over the Parquet file and over the files of changes, and of the views: with types, for
 * Tableau and analysts, with the measures by month, and with the rows' earlier versions, by version and by day.
 */
export function viewNames(table: string) {
  return {
    parquet: `${table}_parquet`,
    typed: `${table}_typed`,
    analysis: `${table}_analysis`,
    measures: `${table}_measures`,
    changes: `${table}_changes`,
    history: `${table}_history`,
    asKnown: `${table}_as_known`,
  };
}

/**
 * Parses and checks the entries.
 * @param now the time at which first dates and schedules are checked
 * @throws InvalidLibrary with a sentence for each problem
 */
export function defineDatasets(
  entries: readonly [DatasetEntry, ...DatasetEntry[]],
  now: Date = new Date(),
): [Dataset, ...Dataset[]] {
  const [first, ...rest] = entries;
  const parsed: [Dataset, ...Dataset[]] = [
    parseEntry(first, now),
    ...rest.map((entry) => parseEntry(entry, now)),
  ];
  // The names and keys of the de-identified files are taken too.
  const all = allEntries(parsed);
  for (const unique of ["name", "csv", "jsonl", "results", "table"] as const) {
    const values = all.map((entry) => (unique === "name" ? entry.name : entry.publish[unique]));
    const twice = values.find((value, index) => values.indexOf(value) < index);
    if (twice !== undefined)
      throw new InvalidLibrary([`: two entries have the ${unique} "${twice}"; change one of them`]);
  }
  for (const entry of all) {
    const { name, publish } = entry;
    const previous = folderOf(previousKey(publish.csv));
    const childFolders = childTables(entry).map(({ folder }) => folder);
    const parquet = parquetFolder(publish.csv);
    const reserved = [previous, parquet, ...childFolders].find((folder) => publish.jsonl.startsWith(folder));
    if (reserved !== undefined)
      throw new InvalidLibrary([
        `, entry "${name}", publish.jsonl: use another folder than ${reserved}, which is for ${reserved === previous ? "copies of the CSV" : reserved === parquet ? "Parquet files" : "a child table"}`,
      ]);
    const expiring = [
      ...Object.values(keys.analystsResults),
      ...parsed.map(({ publish }) => `${publish.queryResults}/`),
    ].find((folder) => publish.results.startsWith(folder));
    if (expiring !== undefined)
      throw new InvalidLibrary([
        `, entry "${name}", publish.results: use another folder than ${expiring}, whose objects expire`,
      ]);
    for (const other of all.filter((entry) => entry.name !== name)) {
      const { csv, jsonl } = other.publish;
      const others = childTables(other).map(({ folder }) => folder);
      const keys = [csv, jsonl, previousKey(csv), parquetFolder(csv), ...others];
      const folders = [folderOf(publish.csv), previous, parquet, ...childFolders];
      if (keys.some((key) => folders.some((folder) => key.startsWith(folder))))
        throw new InvalidLibrary([
          `, entry "${other.name}": publish to another folder than that of the table of "${name}"`,
        ]);
      if (relationsOf(other).some((relation) => ownViews(entry).includes(relation)))
        throw new InvalidLibrary([
          `, entry "${other.name}", table: use another name than that of a view or child table of "${name}"`,
        ]);
    }
  }
  return parsed;
}

/** Returns the names of a dataset's views and child tables. */
function ownViews(entry: Dataset): string[] {
  const children = childTables(entry).flatMap(({ table, typed }) => [table, typed]);
  const { changes, history, asKnown, ...others } = viewNames(entry.publish.table);
  // The changes of a de-identified file are not stored.
  const ofChanges = isDeidentified(entry.name) ? [] : [changes, history, asKnown];
  return [...Object.values(others), ...ofChanges, ...children];
}

/** Returns the names of all tables and views of a dataset. */
export function relationsOf(entry: Dataset): string[] {
  return [entry.publish.table, ...ownViews(entry)];
}

/**
 * Adds the columns of the dataset's kind to an entry without columns, and their roles unless it has its own. Free text
 * that declares nothing is personal. A text that has a role or an expectation of its answers is not free.
 */
function withDefaults(entry: DatasetEntry): DatasetEntry {
  const kind = kindName.safeParse(entry.kind).data;
  const { columns, roles } = kind ? kinds[kind] : {};
  if (!entry.columns) return columns ? { ...entry, columns, roles: entry.roles ?? roles } : entry;
  const closed = [
    ...Object.values(entry.roles ?? {}),
    ...(entry.expectations ?? []).map((expected) => "column" in expected && expected.column),
  ];
  const isFree = (column: DatasetInput["columns"][number]) =>
    !closed.includes(column.name) && isFreeText(column);
  return {
    ...entry,
    columns: entry.columns.map((column) => (isFree(column) ? { ...column, personal: true } : column)),
  };
}

function parseEntry(given: DatasetEntry, now: Date): Dataset {
  const entry = withDefaults(given);
  const result = dataset.safeParse(entry, { reportInput: true });
  const issues = result.success ? issuesAt(now, result.data) : result.error.issues.flatMap(kindIssues);
  if (result.success && issues.length === 0) return result.data;
  throw new InvalidLibrary(issues.map((issue) => problemText(entry, issue)));
}

/** Returns the issues of a column's or an expectation's kind. The schema has no other unions. */
function kindIssues(issue: Issue): Issue[] {
  if (issue.code !== "invalid_union") return [issue];
  const { input, path, errors } = issue;
  if (path[0] === "expectations")
    return [{ code: "custom", path, input, message: `use ${alternatives(expectationKinds)}` }];
  const kinds = kindsOf(input);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1)
    return [{ code: "custom", path, message: "set exactly one of type, join and drop" }];
  const found = errors[Object.keys(columnKinds).indexOf(kind)] ?? [];
  return found.map((inner) => ({ ...inner, path: [...path, ...inner.path] }));
}

function kindsOf(column: unknown): (keyof typeof columnKinds)[] {
  if (typeof column !== "object" || column === null) return [];
  return (["type", "join", "drop"] as const).filter((kind) => kind in column);
}

/** Returns where an issue is and what to do: `, entry "gates", column "Desk", type "txt": use text or integer`. */
function problemText(entry: DatasetEntry, issue: Issue): string {
  const places = [`entry ${JSON.stringify(entry.name) ?? "without a name"}`, ...placesOf(entry, issue.path)];
  return `, ${places.join(", ")}${shownInput(issue)}: ${adviceIn(entry, issue)}`;
}

function placesOf({ columns = [] }: DatasetEntry, path: readonly PropertyKey[]): string[] {
  const [first, index, ...rest] = path;
  if (first !== "columns" || typeof index !== "number") return path.length > 0 ? [toDotPath(path)] : [];
  const column = columns[index]?.name
    ? `column ${JSON.stringify(columns[index].name)}`
    : `column ${index + 1}`;
  return rest.length > 0 ? [column, toDotPath(rest)] : [column];
}

function adviceIn({ columns = [] }: DatasetEntry, issue: Issue): string {
  const advice = adviceOf(issue);
  if (issue.code !== "unrecognized_keys") return advice;
  const [list, index] = issue.path;
  const [kind] = list === "columns" && typeof index === "number" ? kindsOf(columns[index]) : [];
  return kind ? `${advice}, or use ${alternatives(Object.keys(columnKinds[kind].shape))}` : advice;
}

/** A schedule must fire at least as often as 29 February. */
const yearsAhead = 10;

/** Returns the issues of a valid entry that depend on the time. */
function issuesAt(now: Date, { firstDate, timeZone, schedule }: Dataset): Issue[] {
  const issues: Issue[] = [];
  const refuse = (path: keyof Dataset, input: string, message: string) =>
    issues.push({ code: "custom", path: [path], input, message });
  const dayMs = 24 * 60 * 60_000;
  // Finding the day in a time zone is slow, so an earlier date is not compared with it.
  const isPast = firstDate < new Date(now.getTime() - dayMs).toISOString();
  if (!isPast && firstDate > dayIn(timeZone, now))
    refuse("firstDate", firstDate, `use a date that is not in the future in ${timeZone}`);
  const cron = parseCron(schedule);
  if ("problem" in cron) return issues;
  const midnight = new Date(now.toISOString().slice(0, 10));
  if (!firesWithin(cron, midnight, yearsAhead * 366))
    refuse("schedule", schedule, `use a schedule that fires in the next ${yearsAhead} years`);
  const events = [
    { what: "the run", shift: 0 },
    { what: "the start of the EC2 instances before the run", shift: -instanceMinutes.beforeRun },
    { what: "the stop of the EC2 instances after the run", shift: instanceMinutes.afterRun },
  ];
  // Clocks change at night only, and finding out when is slow.
  if (!cron.times.some((time) => events.some(({ shift }) => isAtNight(time + shift)))) return issues;
  const skipped = skippedMinutes(timeZone, now, yearsAhead);
  for (const { what, shift } of events) {
    const minute = skipped.find((time) => firesAt(cron, new Date(time.getTime() - shift * 60_000)));
    if (!minute) continue;
    const time = minute.toISOString().slice(0, 16).replace("T", " ");
    refuse(
      "schedule",
      schedule,
      `use another time, because ${what} would be skipped on ${time}, when clocks in ${timeZone} go forward`,
    );
  }
  return issues;
}

/** @param minute since midnight, possibly of the day before or after */
function isAtNight(minute: number): boolean {
  const hour = (Math.floor(minute / 60) + 24) % 24;
  return hour < 5 || hour >= 22;
}
