// Checks whether Athena would parse a statement. Queries and views are Trino SQL; other DDL is Hive.
// https://docs.aws.amazon.com/athena/latest/ug/ddl-sql-reference.html
import { HiveSQL, TrinoSQL } from "dt-sql-parser";

const trino = new TrinoSQL();
const hive = new HiveSQL();

/** Returns the errors of a text that is not exactly one statement that is valid in its grammar. */
export function grammarErrors(sql: string): string[] {
  const isTrino = /^\s*(?:--[^\n]*\n\s*)*(?:create\s+(?:or\s+replace\s+)?view\b|select\b|with\b|\()/i.test(
    sql,
  );
  const grammar = isTrino ? trino : hive;
  const errors = grammar
    .validate(sql)
    .map(({ message, startLine, startColumn }) => `${startLine}:${startColumn} ${message}`);
  if (errors.length > 0) return errors;
  const statements = grammar.splitSQLByStatement(sql)?.length ?? 0;
  if (statements !== 1) return [`Athena accepts one statement, not ${statements}`];
  return isTrino ? refusedNames(sql) : [];
}

/**
 * Returns the names that Trino's grammar accepts and its parser then refuses.
 * https://github.com/trinodb/trino/blob/master/core/trino-parser/src/main/java/io/trino/sql/parser/SqlParser.java
 */
function refusedNames(sql: string): string[] {
  return trino.getAllTokens(sql).flatMap((token) => {
    const text = token.text ?? "";
    if (text.startsWith("`")) return [`${text}: backquoted identifiers are not supported`];
    if (text === '""') return ["zero-length delimited identifier not allowed"];
    if (/^\d+[a-z_]/i.test(text) && !/^\d+e[+-]?\d+$/i.test(text)) {
      return [`${text}: identifiers must not start with a digit`];
    }
    return [];
  });
}
