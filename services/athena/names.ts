// Names that are safe in Athena, where a column's name is lower case and has letters, digits and _ only.
// https://docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html

/** Athena allows 255 bytes; this leaves room for a suffix and stays readable. */
const maxLength = 120;

/** Column names for headers, in their order, each unique: `Question Type` becomes `question_type`. */
export function columnNames(headers: readonly string[]): string[] {
  const taken = new Set<string>();
  return headers.map((header) => {
    const base = safeName(header);
    let name = base;
    // Headers are finitely many, so some number is free.
    for (let n = 2; taken.has(name); n++) name = `${base}_${n}`;
    taken.add(name);
    return name;
  });
}

function safeName(header: string): string {
  const name = header
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "_")
    .slice(0, maxLength)
    .replace(/_+$/, "");
  if (name === "") return "column";
  return /^\d/.test(name) ? `c_${name}` : name;
}
