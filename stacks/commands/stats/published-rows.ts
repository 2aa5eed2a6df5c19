// Counts the rows of a published file by queries on the analysts' view, in Athena or in DuckDB. It only reads.

import type { ColumnNames } from "../../../shared/column-names.ts";
import { type Dataset, viewNames } from "../../../shared/dataset-schema.ts";
import { PipelineError } from "../../../shared/errors.ts";
import { keys } from "../../../shared/keys.ts";
import type { QueryEngine, Rows } from "../../../shared/ports.ts";
import { dateColumn } from "../../../shared/profile.ts";
import { count } from "../../../shared/quantity.ts";
import { literal } from "../../../shared/statistics/expressions.ts";
import type { Count } from "../../../shared/statistics/worksheet.ts";
import { declaredColumns } from "../../../shared/table-columns.ts";

/** The most rows that the engine returns for a query. */
const pageRows = 999;
/** 100 queries, which take Athena some minutes. */
export const maxIds = 99_900;

type Year = { fiscalYear: number | null; rows: number; from: string; to: string };

export class PublishedRows {
  readonly #engine: Pick<QueryEngine, "database" | "firstRows">;
  readonly #dataset: Dataset;
  readonly #view: string;
  /** The date, question type and mode as the view names them. */
  readonly #columns: { date: string; questionType: string; mode: string };

  /**
   * @param names the names in Athena of the file's headers
   * @throws PipelineError `StatisticsNotDeclared`
   */
  constructor(
    dataset: Dataset,
    engine: Pick<QueryEngine, "database" | "firstRows">,
    names: ColumnNames | undefined,
  ) {
    this.#engine = engine;
    this.#dataset = dataset;
    this.#view = `"${engine.database}"."${viewNames(dataset.publish.table).analysis}"`;
    const columns = declaredColumns(dataset, names);
    const columnOf = (header: string | undefined): string => {
      const column = columns.find((column) => column.header === header);
      if (column) return `"${column.name}"`;
      throw new PipelineError("StatisticsNotDeclared", {
        message:
          "The dataset's entry does not say which columns hold the date, the question type and the mode.",
        advice: "Add roles and statistics to the entry in shared/library.ts (docs/datasets.md).",
        ids: { dataset: dataset.name },
      });
    };
    const { questionType, mode } = dataset.roles;
    this.#columns = {
      date: columnOf(dateColumn(dataset)),
      questionType: columnOf(questionType),
      mode: columnOf(mode),
    };
  }

  /** Returns the fiscal years of the rows; null for rows without a date. */
  async years(): Promise<Year[]> {
    const { date } = this.#columns;
    const { rows } = await this.#query(
      `SELECT "fiscal_year", count(*), CAST(min(${date}) AS varchar), CAST(max(${date}) AS varchar)
FROM ${this.#view} GROUP BY 1 ORDER BY 1`,
    );
    return rows.map(([year, number, from, to]) => ({
      fiscalYear: year == null ? null : Number(year),
      rows: Number(number),
      from: (from ?? "").slice(0, 10),
      to: (to ?? "").slice(0, 10),
    }));
  }

  /** Returns the rows of a fiscal year by question type and mode. @throws PipelineError `TooManyAnswers` */
  async counts(fiscalYear: number): Promise<Count[]> {
    const { questionType, mode } = this.#columns;
    const { rows } = await this.#query(
      `SELECT ${questionType}, ${mode}, count(*)
FROM ${this.#view} WHERE "fiscal_year" = ${fiscalYear} GROUP BY 1, 2 ORDER BY 1, 2`,
    );
    if (rows.length >= pageRows)
      throw new PipelineError("TooManyAnswers", {
        message: `The year has at least ${pageRows} pairs of a question type and a mode, so they are no closed fields.`,
        advice: "Name the columns with closed fields as roles in shared/library.ts.",
        ids: { dataset: this.#dataset.name },
      });
    return rows.map(([type, modeOfRows, number]) => ({
      fiscalYear,
      questionType: type || null,
      mode: modeOfRows || null,
      rows: Number(number),
    }));
  }

  /**
   * Returns the IDs of a fiscal year's rows with one of the question types, or of those without any.
   * @param expected their number
   * @throws PipelineError `TooManyIds`, `PublishedFileReplaced`
   */
  async ids(
    fiscalYear: number,
    questionTypes: readonly string[] | "none",
    expected: number,
  ): Promise<string[]> {
    if (expected > maxIds)
      throw new PipelineError("TooManyIds", {
        message: `The line has ${count(expected)} records, and --ids prints at most ${count(maxIds)}.`,
        advice: `Query ${this.#view} instead.`,
      });
    const column = this.#columns.questionType;
    const condition =
      questionTypes === "none"
        ? `coalesce(${column}, '') = ''`
        : `${column} IN (${questionTypes.map(literal).join(", ")})`;
    const ids: string[] = [];
    while (ids.length < expected) {
      const last = ids.at(-1);
      const after = last === undefined ? "" : ` AND "_id" > ${last}`;
      const { rows } = await this.#query(
        `SELECT "_id" FROM ${this.#view}
WHERE "fiscal_year" = ${fiscalYear} AND ${condition}${after} ORDER BY 1 LIMIT ${pageRows}`,
      );
      if (rows.length === 0) throw replacedMeanwhile(this.#dataset);
      ids.push(...rows.map(([id]) => id ?? ""));
    }
    return ids;
  }

  async #query(sql: string): Promise<Rows> {
    try {
      return await this.#engine.firstRows(sql, keys.analystsResults.full.slice(0, -1), pageRows);
    } catch (cause) {
      // The engine's own error is about the athena service, which retries.
      if (!(cause instanceof PipelineError)) throw cause;
      throw new PipelineError("QueryFailed", {
        message: `A query on ${this.#view} failed (${cause.name}).`,
        advice:
          "Repeat the command. If it fails again, check in Athena that the view has the columns of roles, or request a run.",
        ids: { dataset: this.#dataset.name, ...cause.ids },
        cause,
      });
    }
  }
}

export function replacedMeanwhile({ name }: Dataset): PipelineError {
  return new PipelineError("PublishedFileReplaced", {
    message: "The published file was replaced while its rows were counted.",
    advice: "Repeat the command.",
    ids: { dataset: name },
  });
}
