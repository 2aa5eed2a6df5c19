// Reads the DDL that shared/aws/hive.ts writes, and no other.

export type TableStatement = {
  kind: "table";
  database: string;
  name: string;
  columns: { name: string; type: string; comment: string }[];
  serde: string;
  serdeProperties: Record<string, string>;
  location: string;
  properties: Record<string, string>;
};
type Statement =
  | TableStatement
  | { kind: "database"; database: string }
  | { kind: "view"; database: string; name: string; select: string };

const string = String.raw`'(?:[^'\\]|\\.)*'`;
const column = new RegExp(`^  \`([^\`]+)\` (\\w+) COMMENT (${string}),?$`);
const property = new RegExp(`(${string}) = (${string})`, "g");
const database = /^CREATE DATABASE IF NOT EXISTS `(\w+)`$/;
const view = /^CREATE OR REPLACE VIEW "(\w+)"\."(\w+)" AS\n(.+)$/s;
// No string has a line break.
const table = new RegExp(
  `^CREATE EXTERNAL TABLE IF NOT EXISTS \`(\\w+)\`\\.\`(\\w+)\` \\(\n([^]+)\n\\)
ROW FORMAT SERDE (${string})
WITH SERDEPROPERTIES \\((.+)\\)
STORED AS TEXTFILE
LOCATION (${string})
TBLPROPERTIES \\((.+)\\)$`,
);

/** @throws Error `SYNTAX_ERROR` */
export function parseStatement(sql: string): Statement {
  const [, created] = database.exec(sql) ?? [];
  if (created) return { kind: "database", database: created };
  const [, ofView = "", viewName = "", select] = view.exec(sql) ?? [];
  if (select) return { kind: "view", database: ofView, name: viewName, select };
  const [
    ,
    ofTable = "",
    name,
    columns = "",
    serde = "",
    serdeProperties = "",
    location = "",
    properties = "",
  ] = table.exec(sql) ?? [];
  if (!name) throw new Error("SYNTAX_ERROR");
  return {
    kind: "table",
    database: ofTable,
    name,
    columns: columns.split("\n").map(columnOf),
    serde: textOf(serde),
    serdeProperties: propertiesOf(serdeProperties),
    location: textOf(location),
    properties: propertiesOf(properties),
  };
}

function columnOf(line: string) {
  const [, name, type = "", comment = ""] = column.exec(line) ?? [];
  if (!name) throw new Error("SYNTAX_ERROR");
  return { name, type, comment: textOf(comment) };
}

function propertiesOf(list: string): Record<string, string> {
  return Object.fromEntries(
    Array.from(list.matchAll(property), ([, name = "", value = ""]) => [textOf(name), textOf(value)]),
  );
}

/** As Hive reads a string: after a backslash come three octal digits, or a character that stands for itself. */
function textOf(literal: string): string {
  return literal
    .slice(1, -1)
    .replace(/\\(?:([0-7]{3})|(.))/gs, (_all, octal: string | undefined, character: string) =>
      octal === undefined ? character : String.fromCharCode(Number.parseInt(octal, 8)),
    );
}
