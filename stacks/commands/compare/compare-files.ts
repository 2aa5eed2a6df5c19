// Compares two CSV files row by row and cell by cell. DuckDB joins them by `_id`, on disk if they do not fit in memory.
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { PipelineError } from "../../../shared/errors.ts";
import { type CsvCell, momentOf, ruleOf } from "./difference-rules.ts";

/** Records that one finding names. Its count has no limit. */
const maxIds = 10_000;
/** A longer line is an error. */
const maxLineBytes = 16 * 1024 * 1024;

/** Records with one kind of difference. */
export type Finding = { rule: string; count: number; ids: string[] };
export type CsvFile = { path: string; rows: number; columns: string[] };
export type Comparison = {
  old: CsvFile;
  new: CsvFile;
  columnsOnlyInOld: string[];
  columnsOnlyInNew: string[];
  rowsOnlyInOld: Finding[];
  rowsOnlyInNew: Finding[];
  cells: (Finding & { column: string })[];
};

/** What a row differs by if no rule explains it. */
export const missingRow = "missing";
const repeatedId = "repeated _id";
const unusableId = "unusable _id";
const noDate = "no _start_date";

/**
 * Compares two CSV files with a header and a column `_id`.
 * @throws PipelineError `CsvUnreadable`, with a line number and never with a cell
 */
export async function compareFiles(oldPath: string, newPath: string): Promise<Comparison> {
  const folder = await mkdtemp(join(tmpdir(), "compare-"));
  const instance = await DuckDBInstance.create(join(folder, "compare.db"), {
    memory_limit: "512MB",
    temp_directory: folder,
    max_temp_directory_size: "20GB",
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
  });
  const connection = await instance.connect();
  try {
    const old = await load("old", oldPath, connection);
    const newer = await load("new", newPath, connection);
    return {
      old,
      new: newer,
      columnsOnlyInOld: old.columns.filter((name) => !newer.columns.includes(name)),
      columnsOnlyInNew: newer.columns.filter((name) => !old.columns.includes(name)),
      rowsOnlyInOld: await rowsOnlyIn("old", "new", connection),
      rowsOnlyInNew: await rowsOnlyIn("new", "old", connection),
      cells: await differentCells(old, newer, connection),
    };
  } finally {
    connection.closeSync();
    instance.closeSync();
    await rm(folder, { recursive: true, force: true });
  }
}

type Side = "old" | "new";

/** Loads a file into a table with the columns `#id` (null if unusable) and `#at`, and c0, c1, ... for the file's. */
async function load(side: Side, path: string, connection: DuckDBConnection): Promise<CsvFile> {
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    throw unreadable(path, cause.code ?? "unknown error", cause);
  });
  if (!found.isFile()) throw unreadable(path, "it is not a file");
  const source = `read_csv(${quoted(path)}, header = true, all_varchar = true, delim = ',', quote = '"', escape = '"',
    allow_quoted_nulls = false, max_line_size = ${maxLineBytes}, parallel = false, sample_size = 1)`;
  try {
    const described = await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${source}`);
    const columns = described.getRows().map(([name]) => String(name));
    if (!columns.includes("_id")) throw unreadable(path, "it has no column _id");
    const at = columns.includes("_start_date") ? `trim(${identifier("_start_date")})` : "NULL";
    const cells = columns.map((name, index) => `${identifier(name)} AS c${index}`);
    await connection.run(
      `CREATE TABLE ${side}_all AS SELECT TRY_CAST(trim(${identifier("_id")}) AS BIGINT) AS "#id", ${at} AS "#at",
       ${cells.join(", ")} FROM ${source}`,
    );
    // The first of several rows with one _id counts.
    await connection.run(
      `CREATE TABLE ${side} AS SELECT * FROM ${side}_all WHERE "#id" IS NOT NULL
       QUALIFY row_number() OVER (PARTITION BY "#id" ORDER BY rowid) = 1`,
    );
    const [[rows] = []] = (await connection.runAndReadAll(`SELECT count(*) FROM ${side}_all`)).getRows();
    return { path, rows: Number(rows), columns };
  } catch (cause) {
    if (cause instanceof PipelineError) throw cause;
    // DuckDB's message quotes the line.
    const [, line] = /Line: (\d+)/.exec(cause instanceof Error ? cause.message : "") ?? [];
    throw unreadable(path, line ? `line ${line} is not CSV` : "it is not CSV", cause);
  }
}

/** Finds rows that the other file does not have, and why: out of its range of dates, repeated, or without a rule. */
async function rowsOnlyIn(side: Side, other: Side, connection: DuckDBConnection): Promise<Finding[]> {
  const findings = new Findings();
  for await (const [id] of rowsOf(
    `SELECT "#id" FROM ${side}_all WHERE "#id" IS NOT NULL
     QUALIFY row_number() OVER (PARTITION BY "#id" ORDER BY rowid) > 1 ORDER BY "#id"`,
    connection,
  ))
    findings.add(repeatedId, id);
  for await (const [id] of rowsOf(`SELECT NULL FROM ${side}_all WHERE "#id" IS NULL`, connection))
    findings.add(unusableId, id);

  const { first, last } = await rangeOf(other, connection);
  for await (const [id, at] of rowsOf(
    `SELECT "#id", "#at" FROM ${side} ANTI JOIN ${other} USING ("#id") ORDER BY "#id"`,
    connection,
  )) {
    const moment = momentOf(at ?? "");
    if (!at) findings.add(noDate, id);
    else if (moment && first && moment < first) findings.add(`before ${first}, the other's first record`, id);
    else if (moment && last && moment > last) findings.add(`after ${last}, the other's last record`, id);
    else findings.add(missingRow, id);
  }
  return findings.list();
}

async function rangeOf(side: Side, connection: DuckDBConnection): Promise<{ first?: string; last?: string }> {
  let first: string | undefined;
  let last: string | undefined;
  for await (const [at] of rowsOf(`SELECT DISTINCT "#at" FROM ${side} WHERE "#at" IS NOT NULL`, connection)) {
    const moment = momentOf(at ?? "");
    if (moment === undefined) continue;
    if (first === undefined || moment < first) first = moment;
    if (last === undefined || moment > last) last = moment;
  }
  return { ...(first && { first }), ...(last && { last }) };
}

async function differentCells(
  old: CsvFile,
  newer: CsvFile,
  connection: DuckDBConnection,
): Promise<Comparison["cells"]> {
  const all: Comparison["cells"] = [];
  for (const [index, column] of old.columns.entries()) {
    const place = newer.columns.indexOf(column);
    if (place === -1) continue;
    const findings = new Findings();
    for await (const [id, before = null, after = null] of rowsOf(
      `SELECT "#id", old.c${index}, new.c${place} FROM old JOIN new USING ("#id")
       WHERE old.c${index} IS DISTINCT FROM new.c${place} ORDER BY "#id"`,
      connection,
    ))
      findings.add(ruleOf(before, after), id);
    all.push(...findings.list().map((finding) => ({ column, ...finding })));
  }
  return all;
}

/** Yields rows as text, and holds one chunk of them in memory. */
async function* rowsOf(sql: string, connection: DuckDBConnection): AsyncGenerator<CsvCell[]> {
  for await (const rows of (await connection.stream(sql)).yieldRows()) {
    for (const row of rows) yield row.map((value) => (value === null ? null : String(value)));
  }
}

/** Counts differences by their rule. */
class Findings {
  readonly #byRule = new Map<string, Finding>();

  add(rule: string, id: CsvCell | undefined): void {
    const finding = this.#byRule.get(rule) ?? { rule, count: 0, ids: [] };
    finding.count += 1;
    if (id && finding.ids.length < maxIds) finding.ids.push(id);
    this.#byRule.set(rule, finding);
  }

  /** Returns the findings, the most frequent first. */
  list(): Finding[] {
    return [...this.#byRule.values()].sort((a, b) => b.count - a.count);
  }
}

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
const identifier = (name: string) => `"${name.replaceAll('"', '""')}"`;

function unreadable(path: string, reason: string, cause?: unknown): PipelineError {
  return new PipelineError("CsvUnreadable", {
    message: `The file ${path} cannot be compared: ${reason}.`,
    advice: 'Name two CSV files with a header, a column _id, and fields quoted with ".',
    cause,
  });
}
