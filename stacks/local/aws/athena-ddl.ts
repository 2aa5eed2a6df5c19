// The statements that the local Athena knows, parsed from Athena's dialect: Hive DDL with back-quoted names for
// databases and tables, Trino SQL for views and queries. What follows AS in a view, and a whole SELECT, is left
// to the engine.

/** Ends a query as FAILED. Its message becomes the StateChangeReason. */
export class QueryError extends Error {
  override name = "QueryError";
}

export type RelationName = { database: string; name: string };
export type Column = { name: string; type: string; comment?: string | undefined };

/** What CREATE EXTERNAL TABLE says of a table, as it was written. */
export type TableClauses = {
  columns: Column[];
  comment?: string | undefined;
  serde: string;
  serdeProperties: Record<string, string>;
  location: string;
  properties: Record<string, string>;
};

export type Statement =
  | { kind: "select" }
  | { kind: "create database"; database: string; ifNotExists: boolean }
  | { kind: "create table"; relation: RelationName; ifNotExists: boolean; table: TableClauses }
  | { kind: "create view"; relation: RelationName; orReplace: boolean; sql: string }
  | { kind: "drop"; relation: RelationName; of: "table" | "view"; ifExists: boolean };

/** The catalog's name, which a name of three parts begins with. */
export const catalogName = "awsdatacatalog";

const known =
  "It knows CREATE DATABASE, CREATE EXTERNAL TABLE with OpenCSVSerde, " +
  "CREATE [OR REPLACE] VIEW, DROP TABLE, DROP VIEW and SELECT.";

const queryWords = ["select", "with", "values"];
const dmlWords = [...queryWords, "insert", "update", "delete", "merge", "unload"];

/** What Athena calls the statement, by its first word. */
export function statementType(sql: string): "DML" | "DDL" {
  const first = tokenAt(sql, 0);
  return first.text === "(" || (first.kind === "word" && dmlWords.includes(first.text.toLowerCase()))
    ? "DML"
    : "DDL";
}

/**
 * @param database where names without a database belong
 * @throws QueryError when the statement is none of those above
 */
export function parseStatement(sql: string, database: string | undefined): Statement {
  const cursor = new Cursor(sql);
  if (cursor.atQuery()) return { kind: "select" };
  const statement = parseDdl(cursor, database);
  if (statement.kind !== "create view") cursor.end();
  return statement;
}

function parseDdl(cursor: Cursor, context: string | undefined): Statement {
  if (cursor.take("drop")) {
    const of = cursor.take("view") ? "view" : "table";
    if (of === "table") cursor.expect("table");
    const ifExists = cursor.takeAll("if", "exists");
    return { kind: "drop", of, ifExists, relation: relationName(cursor, context) };
  }
  cursor.expect("create");
  if (cursor.take("database") || cursor.take("schema")) {
    const ifNotExists = cursor.takeAll("if", "not", "exists");
    return { kind: "create database", database: cursor.name(), ifNotExists };
  }
  if (cursor.take("external")) return parseCreateTable(cursor, context);
  const orReplace = cursor.takeAll("or", "replace");
  cursor.expect("view");
  const relation = relationName(cursor, context);
  cursor.expect("as");
  return { kind: "create view", relation, orReplace, sql: cursor.query() };
}

function parseCreateTable(cursor: Cursor, context: string | undefined): Statement {
  cursor.expect("table");
  const ifNotExists = cursor.takeAll("if", "not", "exists");
  const relation = relationName(cursor, context);
  const columns = parseColumns(cursor);
  const comment = cursor.take("comment") ? cursor.string() : undefined;
  for (const word of ["row", "format", "serde"]) cursor.expect(word);
  const serde = cursor.string();
  const serdeProperties = cursor.takeAll("with", "serdeproperties") ? parseProperties(cursor) : {};
  if (cursor.takeAll("stored", "as")) cursor.expect("textfile");
  cursor.expect("location");
  const location = cursor.string();
  const properties = cursor.take("tblproperties") ? parseProperties(cursor) : {};
  return {
    kind: "create table",
    relation,
    ifNotExists,
    table: { columns, comment, serde, serdeProperties, location, properties },
  };
}

function parseColumns(cursor: Cursor): Column[] {
  const columns: Column[] = [];
  cursor.expect("(");
  do {
    // Athena keeps column names in lower case, whatever was written.
    const name = cursor.columnName().toLowerCase();
    columns.push({ name, type: cursor.name(), ...(cursor.take("comment") && { comment: cursor.string() }) });
  } while (cursor.take(","));
  cursor.expect(")");
  return columns;
}

function parseProperties(cursor: Cursor): Record<string, string> {
  const properties: [string, string][] = [];
  cursor.expect("(");
  do {
    const name = cursor.string();
    cursor.expect("=");
    properties.push([name, cursor.string()]);
  } while (cursor.take(","));
  cursor.expect(")");
  return Object.fromEntries(properties);
}

/** @throws QueryError when it is not s3://bucket or s3://bucket/key */
export function parseS3Uri(uri: string): { bucket: string; key: string } {
  const match = /^s3:\/\/(?<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(?<key>.*))?$/s.exec(uri);
  if (match?.groups?.bucket === undefined) throw new QueryError(`"${uri}" is not s3://bucket/prefix/.`);
  return { bucket: match.groups.bucket, key: match.groups.key ?? "" };
}

/** `table`, `database`.`table`, or "awsdatacatalog"."database"."table". */
function relationName(cursor: Cursor, context: string | undefined): RelationName {
  const parts = [cursor.name()];
  while (cursor.take(".")) parts.push(cursor.name());
  const name = parts.pop();
  const database = parts.pop() ?? context?.toLowerCase();
  const catalog = parts.pop() ?? catalogName;
  if (name === undefined || parts.length > 0 || catalog !== catalogName) {
    throw new QueryError("A name is table, database.table or awsdatacatalog.database.table.");
  }
  if (database === undefined) {
    throw new QueryError(`Say which database "${name}" belongs to, or give the query a database.`);
  }
  return { database, name };
}

type Token = { kind: "word" | "name" | "string" | "mark" | "end"; text: string; start: number; end: number };

const blank = /(?:\s+|--[^\n]*|\/\*.*?\*\/)*/sy;
// A string is one or more quoted pieces without anything between them, which are joined: 'it''s' is "its", and a quote
// is written \'. https://github.com/apache/hive/blob/branch-2.3/ql/src/java/org/apache/hadoop/hive/ql/parse/HiveLexer.g
// A double-quoted one is a name in Trino's statements; Cursor decides by what it expects.
const token =
  /(?<word>[\p{L}_][\p{L}\p{N}_]*)|`(?<name>(?:[^`]|``)*)`|(?<string>(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")+)|(?<mark>.)/suy;

function tokenAt(sql: string, position: number): Token {
  blank.lastIndex = position;
  blank.exec(sql);
  const start = blank.lastIndex;
  token.lastIndex = start;
  const groups = token.exec(sql)?.groups;
  if (!groups) return { kind: "end", text: "", start, end: start };
  const end = token.lastIndex;
  const of = (kind: Token["kind"], text: string): Token => ({ kind, text, start, end });
  if (groups.word !== undefined) return of("word", groups.word);
  if (groups.name !== undefined) return of("name", groups.name.replaceAll("``", "`"));
  if (groups.string !== undefined) return of("string", unescapeString(groups.string));
  return of("mark", groups.mark ?? "");
}

const pieces = /'(?<single>(?:[^'\\]|\\.)*)'|"(?<double>(?:[^"\\]|\\.)*)"/gs;
const escapes: Record<string, string> = {
  0: "\0",
  b: "\b",
  n: "\n",
  r: "\r",
  t: "\t",
  Z: "\x1a",
  "%": "\\%",
  _: "\\_",
};

/**
 * As Hive's BaseSemanticAnalyzer.unescapeSQLString does, with \% and \_, which keep their backslash:
 * https://github.com/apache/hive/blob/branch-2.3/ql/src/java/org/apache/hadoop/hive/ql/parse/BaseSemanticAnalyzer.java
 */
function unescapeString(literal: string): string {
  return Array.from(literal.matchAll(pieces), ({ groups }) => groups?.single ?? groups?.double ?? "")
    .join("")
    .replace(
      /\\(?:u(?<hex>[0-9a-fA-F]{4})|(?<octal>[01][0-7]{2})|(?<other>.))/gs,
      (_all, hex: string | undefined, octal: string | undefined, other: string | undefined) => {
        if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
        if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
        return other === undefined ? "" : (escapes[other] ?? other);
      },
    );
}

class Cursor {
  readonly #sql: string;
  #next: Token;

  constructor(sql: string) {
    this.#sql = sql;
    this.#next = tokenAt(sql, 0);
  }

  /** Whether the next token is this word, in any case, or this mark. */
  at(expected: string): boolean {
    const { kind, text } = this.#next;
    return (kind === "word" || kind === "mark") && text.toLowerCase() === expected;
  }

  take(expected: string): boolean {
    if (!this.at(expected)) return false;
    this.#move();
    return true;
  }

  /** Takes all of these words or none: after the first, the others have to follow. */
  takeAll(first: string, ...others: string[]): boolean {
    if (!this.take(first)) return false;
    for (const other of others) this.expect(other);
    return true;
  }

  expect(expected: string): void {
    if (!this.take(expected)) throw this.#unknown(`where ${expected.toUpperCase()} would be expected`);
  }

  columnName(): string {
    const { kind, text } = this.#next;
    if (kind === "mark" || kind === "end" || text === "")
      throw this.#unknown("where a name would be expected");
    this.#move();
    return text;
  }

  /** The name of a database, table or type, in lower case as Athena keeps it. */
  name(): string {
    const { text } = this.#next;
    if (!/^\w{1,255}$/.test(text))
      throw this.#unknown("where a name of letters, digits and _ would be expected");
    return this.columnName().toLowerCase();
  }

  string(): string {
    const { kind, text } = this.#next;
    if (kind !== "string") throw this.#unknown("where a quoted text would be expected");
    this.#move();
    return text;
  }

  atQuery(): boolean {
    return this.at("(") || queryWords.some((word) => this.at(word));
  }

  /** The query that makes up the rest, as it was written. */
  query(): string {
    if (!this.atQuery()) throw this.#unknown("where SELECT would be expected");
    return this.#sql.slice(this.#next.start);
  }

  end(): void {
    while (this.take(";"));
    if (this.#next.kind !== "end") throw this.#unknown("after the statement's end");
  }

  #move(): void {
    this.#next = tokenAt(this.#sql, this.#next.end);
  }

  #unknown(where: string): QueryError {
    const { kind, text, start } = this.#next;
    const found = kind === "end" ? "the end" : `"${text.slice(0, 40)}"`;
    const line = this.#sql.slice(0, start).split("\n").length;
    return new QueryError(
      `This local Athena does not know the statement: line ${line} has ${found} ${where}. ${known}`,
    );
  }
}
