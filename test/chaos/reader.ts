// Simulates an analyst who queries after each step that changes the file or its table: SELECT always returns the rows of
// one published file, with each value under its column's name, or an error.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { LocalStore } from "../../shared/local/local-store.ts";
import type { Ports } from "./faulty-ports.ts";
import { type Cell, readCsv } from "./oracle.ts";

/** A file as Athena returns it: every value is a text, and an empty one stands for no value. */
export type AthenaRows = { names: string[]; rows: string[][] };

/** The analysis view has columns of these names. */
const ofDates = ["year", "fiscal_year", "month", "weekday", "weekday_name", "hour"];

/** Returns Athena's name of a column: `question_type` for `Question Type`. */
function athenaName(header: string): string {
  const name = header
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "_")
    .replace(/_+$/, "");
  return ofDates.includes(name) ? `${name}_2` : name;
}

export function athenaRowsOf({ header, rows }: { header: string[]; rows: Cell[][] }): AthenaRows {
  return { names: header.map(athenaName), rows: rows.map((row) => row.map((cell) => String(cell ?? ""))) };
}

export class Reader {
  readonly wrong: string[] = [];
  readonly #ports: Pick<Ports, "data" | "work" | "engine">;
  readonly #entry: Dataset;
  /** Every version of the published file, newest last. */
  readonly #files: AthenaRows[] = [];
  #seen = "";

  /** @param entry the dataset entry with the locations of file and table */
  constructor(ports: Pick<Ports, "data" | "work" | "engine">, entry: Dataset) {
    this.#ports = ports;
    this.#entry = entry;
  }

  async check(): Promise<void> {
    const { data, work, engine } = this.#ports;
    const { csv, table } = this.#entry.publish;
    const seen = `${etagOf(await data.head(csv))} ${etagOf(await work.head(`catalog/${table}.json`))}`;
    if (seen === this.#seen) return;
    this.#seen = seen;
    await this.#remember(data, csv);
    let found: AthenaRows;
    try {
      const { columns, rows } = await engine.firstRows(
        `SELECT * FROM "${engine.database}"."${table}"`,
        "",
        999,
      );
      found = { names: columns, rows: rows.map((row) => row.map((value) => value ?? "")) };
    } catch {
      return;
    }
    const foundJson = JSON.stringify(found);
    if (this.#files.some((file) => JSON.stringify(file) === foundJson)) return;
    const [row = []] = found.rows;
    const first = found.names.map((name, n) => `${name}=${row[n]}`).join(", ");
    this.wrong.push(
      `SELECT returns ${found.rows.length} rows that no published file contains, the first: ${first}`,
    );
  }

  async #remember(data: LocalStore, csv: string): Promise<void> {
    const text = await data.getText(csv);
    if (text === undefined) return;
    try {
      const file = athenaRowsOf(readCsv(text));
      if (JSON.stringify(file) !== JSON.stringify(this.#files.at(-1))) this.#files.push(file);
    } catch {
      // The verdict reads every version of the file, and reports a malformed one.
    }
  }
}

function etagOf(info: { etag: string } | undefined): string {
  return info?.etag ?? "none";
}
