// Simulates an analyst who queries after each step that changes the file or its table: SELECT always returns the rows of
// one published file, with each value under its column's name, or an error. A child table has the answers of the same run.
import { type ChildTable, childTables } from "../../shared/child-tables.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { LocalStore } from "../../shared/local/local-store.ts";
import { followedChild } from "./entries.ts";
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
  readonly #files: { json: string; runId: string }[] = [];
  readonly #children: ChildTable[];
  #seen = "";

  /** @param entry the dataset entry with the locations of file and table */
  constructor(ports: Pick<Ports, "data" | "work" | "engine">, entry: Dataset) {
    this.#ports = ports;
    this.#entry = entry;
    // A deployment may drop the other column, whose child table then stays as it is.
    this.#children = childTables(entry).filter(({ column }) => column === followedChild);
  }

  async check(): Promise<void> {
    const { data, work, engine } = this.#ports;
    const { csv, table } = this.#entry.publish;
    const tables = [table, ...this.#children.map((child) => child.table)];
    const definitions = await Promise.all(tables.map((name) => work.head(`catalog/${name}.json`)));
    const seen = [await data.head(csv), ...definitions].map(etagOf).join(" ");
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
    const runIds = this.#files.filter(({ json }) => json === foundJson).map(({ runId }) => runId);
    if (runIds.length > 0) return this.#checkChildren(runIds);
    const [row = []] = found.rows;
    const first = found.names.map((name, n) => `${name}=${row[n]}`).join(", ");
    this.wrong.push(
      `SELECT returns ${found.rows.length} rows that no published file contains, the first: ${first}`,
    );
  }

  /** @param runIds the runs whose rows the table has */
  async #checkChildren(runIds: readonly string[]): Promise<void> {
    const { data, engine } = this.#ports;
    for (const { table, keyOf } of this.#children) {
      const sql = `SELECT * FROM "${engine.database}"."${table}"`;
      const found = await engine.firstRows(sql, "", 999).catch(() => undefined);
      if (!found) continue;
      const rows = JSON.stringify(found.rows.map((row) => row.map((value) => value ?? "")));
      const files = await Promise.all(runIds.map((runId) => data.getText(keyOf(runId))));
      const isOwn = files.some(
        (file) => file !== undefined && JSON.stringify(athenaRowsOf(readCsv(file)).rows) === rows,
      );
      if (!isOwn) this.wrong.push(`${table} has answers that are not of the runs ${runIds.join()}`);
    }
  }

  async #remember(data: LocalStore, csv: string): Promise<void> {
    const text = await data.getText(csv);
    if (text === undefined) return;
    try {
      const json = JSON.stringify(athenaRowsOf(readCsv(text)));
      const { "run-id": runId = "" } = (await data.head(csv))?.metadata ?? {};
      const last = this.#files.at(-1);
      if (json !== last?.json || runId !== last.runId) this.#files.push({ json, runId });
    } catch {
      // The verdict reads every version of the file, and reports a malformed one.
    }
  }
}

function etagOf(info: { etag: string } | undefined): string {
  return info?.etag ?? "none";
}
