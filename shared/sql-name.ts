// Names that work without quotes in Athena's SQL: lowercase letters, digits and _, and no reserved word.
// https://docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html

/** Athena allows 255 bytes. A shorter limit leaves room for a prefix and a suffix, and stays readable. */
const maxLength = 120;

/** Returns a header as a name: `Question Type` becomes `question_type`. Different headers may have the same name. */
export function sqlName(header: string): string {
  const name = header
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "_")
    .slice(0, maxLength)
    .replace(/_+$/, "");
  if (name === "") return "column";
  if (reserved.has(name)) return `${name}_`;
  return /^\d/.test(name) ? `c_${name}` : name;
}

/** Words that a query must quote as names. https://docs.aws.amazon.com/athena/latest/ug/reserved-words.html */
const reserved = new Set(
  `alter and as between by case cast constraint create cross cube current_catalog current_date current_path
  current_schema current_time current_timestamp current_user deallocate delete describe distinct drop else end escape
  except execute exists extract false first for from full group grouping having in inner insert intersect into is
  join json_array json_exists json_object json_query json_table json_value last left like listagg localtime
  localtimestamp natural normalize not null on or order outer prepare recursive right rollup select skip table then
  trim true uescape union unnest using values when where with`.split(/\s+/),
);
