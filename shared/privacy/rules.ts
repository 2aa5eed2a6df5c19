// The rules of a dataset's columns, which turn a row of the full file into the row of the de-identified file.
import { type ColumnType, columnTypes } from "../column-types.ts";
import type { Cell } from "../csv.ts";
import { type Column, type Dataset, holdsSeveral, outputColumns } from "../dataset-schema.ts";
import { addMonths } from "../dates.ts";
import { dateColumn } from "../profile.ts";
import { deidentified } from "./deidentified.ts";
import { eachAnswer, generalizer } from "./generalize.ts";
import { pseudonymKey, pseudonymOf } from "./pseudonym.ts";
import { createRedactor, type RedactedKind, redactedKinds } from "./redact.ts";
import { type Privacy, privacyOf } from "./settings.ts";

/** What the rules did to the values of a column. Cells without a value are not counted. */
export type ColumnCounts = {
  /** Values of a column that the de-identified file does not have. */
  dropped: number;
  hashed: number;
  generalized: number;
  /** Values of records that are older than the column's `after`. They are in the other counts too. */
  expired: number;
  /** Marks in place of personal words. */
  redacted: Record<RedactedKind, number>;
};

export type RowRules = {
  /** The header of the de-identified file. */
  headers: string[];
  /** Returns the cells of the de-identified file. @param cells in the order of the full file's header */
  row(cells: readonly Cell[]): Cell[];
  /** By header of the full file: what the rules did to the rows so far. */
  counts: Readonly<Record<string, ColumnCounts>>;
};

export type RuleOptions = {
  /** The stage's key, as hexadecimal digits. Required only if a column is hashed. */
  pseudonymKey: string | undefined;
  /** The names to find in free text: of the dataset's `nameColumns`, and of its names file. */
  names: readonly string[];
  /** The current day in the dataset's time zone, which `after` counts from. */
  today: string;
};

type PublishedColumn = Exclude<Column, { drop: true }>;
type Rule = (cell: NonNullable<Cell>) => Cell;

/**
 * Compiles the rules of a dataset.
 * @param headers of the full file; a column that it does not have is empty in the de-identified file
 * @throws PipelineError `PseudonymKeyMissing`
 */
export function rowRules(dataset: Dataset, headers: readonly string[], options: RuleOptions): RowRules {
  const counts: Record<string, ColumnCounts> = {};
  const output = deidentified(dataset).columns;
  const outputHeaders = outputColumns(output);
  const compiled = (column: PublishedColumn) => {
    const counted = noCounts();
    counts[column.name] = counted;
    const outputType = typeOf(output.find(({ name }) => name === column.name) ?? column);
    const ruleFor = (action: Privacy) => ruleOf(action, { ...options, dataset, column, outputType, counted });
    const privacy = privacyOf(column);
    const { after } = column;
    return {
      from: headers.indexOf(column.name),
      to: outputHeaders.indexOf(column.name),
      counted,
      rule: ruleFor(privacy),
      after: after && {
        // The months have passed at the end of this day.
        lastDay: addMonths(options.today, -after.months),
        // The first rule has done the same, or made a pseudonym, in which nine digits would look like an id.
        rule:
          after.then === privacy || (privacy === "hash" && after.then === "redact")
            ? undefined
            : ruleFor(after.then),
      },
    };
  };
  const columns = dataset.columns.flatMap((column) => ("drop" in column ? [] : [compiled(column)]));
  const dateOf = columns.some(({ after }) => after) ? dateReader(dataset, headers) : () => null;

  return {
    headers: outputHeaders,
    counts,
    row(cells) {
      const row: Cell[] = new Array(outputHeaders.length).fill(null);
      const date = dateOf(cells);
      for (const { from, to, counted, rule, after } of columns) {
        let cell = cells[from] ?? null;
        if (cell !== null && cell !== "") {
          cell = rule(cell);
          if (after && (date === null || date <= after.lastDay)) {
            counted.expired += 1;
            // In addition to the rule above, so that an older record never shows more than a newer one.
            if (cell !== null && after.rule) cell = after.rule(cell);
          }
        }
        if (to >= 0) row[to] = cell;
      }
      return row;
    },
  };
}

type RuleContext = RuleOptions & {
  dataset: Dataset;
  column: PublishedColumn;
  outputType: ColumnType;
  counted: ColumnCounts;
};

function ruleOf(action: Privacy, { dataset, column, outputType, counted, ...options }: RuleContext): Rule {
  const type = typeOf(column);
  const drop = () => {
    counted.dropped += 1;
    return null;
  };
  switch (action) {
    case "drop":
      return drop;
    case "keep": {
      const { valueOf: read } = columnTypes[type];
      // A text in a column of another type may be anything, such as a name in a column of numbers.
      return type === "text" ? (cell) => cell : (cell) => (read(String(cell)) === null ? drop() : cell);
    }
    case "hash": {
      const key = pseudonymKey(options.pseudonymKey);
      const several = holdsSeveral(column);
      return (cell) => {
        counted.hashed += 1;
        return eachAnswer(cell, several, (answers) => answers.map((answer) => pseudonymOf(answer, key)));
      };
    }
    case "generalise": {
      // The schema requires the setting.
      if (!column.generalise) return drop;
      const generalize = generalizer(
        column.generalise,
        { full: type, deidentified: outputType },
        holdsSeveral(column),
      );
      return (cell) => {
        counted.generalized += 1;
        return generalize(cell);
      };
    }
    case "redact": {
      const ids = dataset.redaction.ids.map((source) => new RegExp(source, "gu"));
      const redact = createRedactor({ names: options.names, ids });
      return (cell) => {
        const { text, counts } = redact(String(cell));
        for (const kind of redactedKinds) counted.redacted[kind] += counts[kind];
        return text;
      };
    }
  }
}

/** Returns a function from a row to the day of its record, or null if that is not a date: its age is unknown. */
function dateReader(dataset: Dataset, headers: readonly string[]) {
  const name = dateColumn(dataset);
  const column = dataset.columns.find((column) => column.name === name);
  const at = headers.indexOf(name ?? "");
  const { valueOf: read } = columnTypes[column ? typeOf(column) : "date"];
  return (cells: readonly Cell[]): string | null => {
    const text = String(cells[at] ?? "");
    return read(text) === null ? null : text.slice(0, 10);
  };
}

function typeOf(column: Column): ColumnType {
  return "type" in column ? column.type : "text";
}

function noCounts(): ColumnCounts {
  const redacted = { email: 0, phone: 0, id: 0, url: 0, name: 0 };
  return { dropped: 0, hashed: 0, generalized: 0, expired: 0, redacted };
}
