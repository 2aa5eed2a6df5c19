// Converts the rows of the CSV to those of the Parquet file, by the rules of the typed view.
import type { ChildTable } from "./child-tables.ts";
import { type ColumnType, columnTypes } from "./column-types.ts";
import { csvFieldText, endOfField, splitCsvRow } from "./csv.ts";
import { type ParquetColumn, ParquetRows, type ParquetValue } from "./parquet.ts";
import type { Part } from "./part.ts";

/** Distinct fields of a column that are remembered. A column with more of them is not a closed field. */
const maxKnown = 1_000;

type Column = {
  type: ParquetColumn["type"];
  /**
   * The value of each field. It takes less time than to read the field again, and the rows that wait for their row group
   * share one value. Undefined for a column with many different fields.
   */
  known: Map<string, ParquetValue> | undefined;
};

export class TypedRows {
  readonly #columns: readonly Column[];
  readonly #file: ParquetRows;
  /** The header of each list. */
  readonly #lists: readonly string[];

  /**
   * @param columns in the order of the CSV's
   * @param children in the order of their columns
   * @param metadata in the file's footer
   */
  constructor(
    columns: readonly ParquetColumn[],
    children: readonly ChildTable[],
    metadata: Readonly<Record<string, string>>,
  ) {
    this.#columns = columns.map(({ type }) => ({ type, known: new Map() }));
    this.#file = new ParquetRows(columns, { metadata });
    this.#lists = children.map(({ column }) => column);
  }

  /**
   * Adds a part's rows. @returns bytes of the file that are complete
   * @param csv the part's rows in the published file
   * @param part has the answers of each list; not needed without child tables
   * @param skip indexes of the part's rows that the published file lacks
   */
  add(csv: Uint8Array, part?: Part, skip: readonly number[] = []): Uint8Array {
    const text = Buffer.from(csv.buffer, csv.byteOffset, csv.byteLength).toString("utf8");
    const lists = this.#lists.map((header) =>
      part ? answersOf(part, header).filter((_, index) => !skip.includes(index)) : [],
    );
    const complete: Uint8Array[] = [];
    for (let at = 0, row = 0; at < text.length; row++) {
      let list = 0;
      const values = this.#columns.map((column): ParquetValue => {
        const start = at;
        const end = endOfField(text, start);
        // Skips the comma or the line break.
        at = end + 1;
        if (column.type === "texts") return lists[list++]?.[row] ?? [];
        return start === end ? null : valueIn(text.slice(start, end), column.type, column);
      });
      complete.push(...this.#file.add(values));
    }
    return joined(complete);
  }

  /** Returns the rest of the file. */
  finish(): Uint8Array {
    return joined(this.#file.finish());
  }
}

function valueIn(field: string, type: ColumnType, column: Column): ParquetValue {
  const known = column.known?.get(field);
  if (known !== undefined) return known;
  const value = columnTypes[type].valueOf(csvFieldText(field));
  if (column.known?.set(field, value).size === maxKnown) column.known = undefined;
  return value;
}

/** Returns the answers of each of the part's rows. */
function answersOf({ summary, children }: Part, header: string): string[][] {
  const index = summary.answers?.findIndex(({ column }) => column === header) ?? -1;
  const lines = Buffer.from(children[index] ?? [])
    .toString("utf8")
    .split("\n");
  let line = 0;
  return (summary.answers?.[index]?.counts ?? []).map((count) => {
    const own = lines.slice(line, line + count);
    line += count;
    return own.map((each) => csvFieldText(splitCsvRow(each)[2] ?? ""));
  });
}

function joined(chunks: Uint8Array[]): Uint8Array {
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
}
