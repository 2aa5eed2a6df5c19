// The contract of the query engine, for the adapters on AWS and on this machine.
import { setTimeout as delay } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { type Cell, csvRows } from "../../shared/csv.ts";
import {
  type ParquetColumn,
  ParquetRows,
  type ParquetValue,
  parquetContentType,
} from "../../shared/parquet.ts";
import type { ObjectStore, Query, QueryEngine } from "../../shared/ports.ts";

export type QueryHome = {
  engine: QueryEngine;
  /** Store of the tables' folders. */
  data: ObjectStore;
  results: ObjectStore;
};

const queryMs = 20_000;
const pollMs = 50;
const folder = "visits/csv/";
const resultFolder = "queries/visits";
const commentary = 'She said "where, exactly?"; C:\\temp\\, Où \u{1F4DA}';
const visits: Cell[][] = [
  ["id", "started", "minutes", "note"],
  [1, "2024-01-31 09:30:00", 5, commentary],
  [2, "2024-02-01 23:59:59", null, ""],
  [3, "someday", -7, null],
];

/** @param open opens an engine with a database and stores of its own */
export function queryEngineContract(adapter: string, open: () => Promise<QueryHome>): void {
  describe(`the query engine on ${adapter}`, () => {
    let home: QueryHome;
    const write = (key: string, rows: Cell[][]) =>
      home.data.put(`${folder}${key}`, csvRows(rows), "text/csv");
    const columnsOf = (...names: string[]) =>
      names.map((name) => ({ name, comment: `The ${name}; it's "${name}" \u{1F4DA} \\` }));
    const define = async (...names: string[]) => {
      const { version } = (await home.engine.table("visits")) ?? {};
      await home.engine.defineTable(
        "visits",
        { format: "csv", folder, columns: columnsOf(...names) },
        version,
      );
    };
    const named = (name: string) => `"${home.engine.database}"."${name}"`;
    const rowsOf = async (sql: string, max = 100) => home.engine.firstRows(sql, resultFolder, max);
    const ended = (id: string) => untilEnded(home.engine, id);
    const run = async (sql: string) => ended(await home.engine.start(sql, resultFolder, crypto.randomUUID()));

    beforeEach(async () => {
      home = await open();
      await write("a.csv", visits);
      await define("id", "started", "minutes", "note");
    });

    test("reads each CSV file of a table's folder as text, without its header", async () => {
      await write("b.csv", [visits[0] ?? [], [4, "", "", "b"]]);
      await home.data.put("visits/other.csv", "not,of,the,table\n1,2,3,4\n", "text/csv");
      expect(await rowsOf(`SELECT * FROM ${named("visits")} ORDER BY id`)).toEqual({
        columns: ["id", "started", "minutes", "note"],
        rows: [
          ["1", "2024-01-31 09:30:00", "5", commentary],
          // The serde has no null.
          ["2", "2024-02-01 23:59:59", "", ""],
          ["3", "someday", "-7", ""],
          ["4", "", "", "b"],
        ],
      });
      expect((await rowsOf(`SELECT id FROM ${named("visits")}`, 2)).rows).toHaveLength(2);
    });

    test("reads a table by its new columns after it is defined again, and null in a shorter row", async () => {
      await define("note", "minutes", "id", "started", "later");
      await write("a.csv", [
        ["note", "minutes", "id", "started"],
        ["x", 5, 1, "2024-01-31 09:30:00"],
      ]);
      expect(await rowsOf(`SELECT id, note, later FROM ${named("visits")}`)).toEqual({
        columns: ["id", "note", "later"],
        rows: [["1", "x", null]],
      });
    });

    test("returns the location and version of a table, or undefined", async () => {
      expect(await home.engine.table("other")).toBeUndefined();
      const first = await home.engine.table("visits");
      expect(first).toEqual({ folder, mark: undefined, version: expect.any(String) });
      await define("id", "note");
      const second = await home.engine.table("visits");
      expect(second?.version).not.toBe(first?.version);
      await define("id", "note");
      expect(await home.engine.table("visits")).toEqual(second);
    });

    test("reads another folder by the same columns after a table is moved, and keeps its mark until the next change", async () => {
      await home.data.put("visits/earlier/a.csv", csvRows([["id"], [9]]), "text/csv");
      const { version = "" } = (await home.engine.table("visits")) ?? {};
      await home.engine.moveTable("visits", { folder: "visits/earlier/", mark: "held" }, version);
      const moved = await home.engine.table("visits");
      expect(moved).toMatchObject({ folder: "visits/earlier/", mark: "held" });
      const { rows } = await rowsOf(`SELECT id, note FROM ${named("visits")}`);
      expect(rows).toEqual([["9", null]]);
      await home.engine.moveTable(
        "visits",
        { folder: "visits/earlier/", mark: "held again" },
        moved?.version ?? "",
      );
      expect((await home.engine.table("visits"))?.version).not.toBe(moved?.version);
      await define("id", "started", "minutes", "note");
      expect(await home.engine.table("visits")).toMatchObject({ folder, mark: undefined });
      expect((await rowsOf(`SELECT id FROM ${named("visits")}`)).rows).toHaveLength(3);
    });

    test("changes a table only at the given version, and creates one only if it does not exist", async () => {
      const { version = "" } = (await home.engine.table("visits")) ?? {};
      const columns = columnsOf("note");
      const isChanged = { name: "TableChanged", kind: "transient" };
      await expect(
        home.engine.defineTable("visits", { format: "csv", folder, columns }, undefined),
      ).rejects.toMatchObject(isChanged);
      const location = { folder, mark: "held" };
      await expect(home.engine.moveTable("other", location, version)).rejects.toMatchObject(isChanged);
      await expect(
        home.engine.defineTable("other", { format: "csv", folder, columns }, version),
      ).rejects.toMatchObject(isChanged);
      await home.engine.moveTable("visits", location, version);
      const moved = await home.engine.table("visits");
      await expect(
        home.engine.defineTable("visits", { format: "csv", folder, columns }, version),
      ).rejects.toMatchObject(isChanged);
      await expect(home.engine.moveTable("visits", { folder }, version)).rejects.toMatchObject(isChanged);
      expect(await home.engine.table("visits")).toEqual(moved);
    });

    test("reads the columns of Parquet files by name, with their types, and null in a file without one", async () => {
      const put = async (key: string, columns: ParquetColumn[], row: ParquetValue[]) => {
        const file = new ParquetRows(columns);
        const bytes = Buffer.concat([...file.add(row), ...file.finish()]);
        await home.data.put(`visits/parquet/${key}`, bytes, parquetContentType);
      };
      const types = {
        id: "integer",
        started: "timestamp",
        day: "date",
        minutes: "number",
        open: "boolean",
        note: "text",
        topics: "texts",
      } as const;
      const columns = Object.entries(types).map(([name, type]) => ({ name, type }));
      const row = [1, "2024-01-31 09:30:00", "2024-01-31", 0.25, true, commentary, ["a", "b; c"]];
      await put("a.parquet", columns.toReversed(), row.toReversed());
      await put("b.parquet", [...columns.slice(0, 1), { name: "other", type: "text" }], [2, "x"]);
      const table = columns.map((column) => ({ ...column, comment: "" }));
      const definition = { format: "parquet" as const, columns: table, folder: "visits/parquet/" };
      await home.engine.defineTable("visits_parquet", definition, undefined);
      const select = `SELECT id, started, day, minutes, open, note, array_join(topics, '; ') AS topics`;
      expect(await rowsOf(`${select} FROM ${named("visits_parquet")} ORDER BY id`)).toEqual({
        columns: Object.keys(types),
        rows: [
          ["1", "2024-01-31 09:30:00.000", "2024-01-31", "0.25", "true", commentary, "a; b; c"],
          ["2", null, null, null, null, null, null],
        ],
      });
      const { version = "" } = (await home.engine.table("visits_parquet")) ?? {};
      await home.engine.moveTable("visits_parquet", { folder: "visits/none/" }, version);
      expect((await rowsOf(`SELECT day FROM ${named("visits_parquet")}`)).rows).toEqual([]);
    });

    test("fails a query of a table without columns", async () => {
      await home.engine.defineTable("empty", { format: "csv", folder, columns: [] }, undefined);
      await expect(rowsOf(`SELECT * FROM ${named("empty")}`)).rejects.toMatchObject({
        name: "StatementFailed",
      });
    });

    test("reads a view over a view by its latest definition", async () => {
      const view = (name: string, select: string) =>
        home.engine.defineView(name, { select, comments: new Map([["minutes", `How long; "minutes"`]]) });
      await view("visits_typed", `SELECT id, "minutes" FROM ${named("visits")}`);
      const casts = ["id AS bigint", "minutes AS double", "started AS timestamp"].map(
        (cast) => `TRY_CAST(${cast}) AS ${cast.split(" ")[0]}`,
      );
      await view("visits_typed", `SELECT ${casts.join(", ")} FROM ${named("visits")}`);
      const analysis = "SELECT id, minutes, day_of_week(started) AS weekday";
      await view("visits_analysis", `${analysis} FROM ${named("visits_typed")} WHERE id < 3`);
      expect(await rowsOf(`SELECT * FROM ${named("visits_analysis")} ORDER BY id DESC`)).toEqual({
        columns: ["id", "minutes", "weekday"],
        rows: [
          ["2", null, "4"],
          ["1", "5.0", "3"],
        ],
      });
      const { rows } = await rowsOf(`SELECT started FROM ${named("visits_typed")} ORDER BY id`);
      expect(rows).toEqual([["2024-01-31 09:30:00.000"], ["2024-02-01 23:59:59.000"], [null]]);
    });

    test("writes a result with every value in quotes and null as an empty field", async () => {
      const query = await run(
        `-- a comment\nSELECT id, note, TRY_CAST(minutes AS bigint) AS m FROM ${named("visits")} ORDER BY id`,
      );
      expect(query).toMatchObject({ state: "SUCCEEDED", output: `${resultFolder}/${query.id}.csv` });
      const quoted = commentary.replaceAll('"', '""');
      const csvOf = ({ output = "" }: Query) => home.results.getText(output);
      expect(await csvOf(query)).toBe(`"id","note","m"\n"1","${quoted}","5"\n"2","",\n"3","","-7"\n`);
      const none = await run(`SELECT id FROM ${named("visits")} WHERE id = 'none'`);
      expect(await csvOf(none)).toBe('"id"\n');
    });

    test("starts one query for repeated calls with one token and text", async () => {
      const sql = `SELECT id FROM ${named("visits")}`;
      const token = crypto.randomUUID();
      const start = (each: string) => home.engine.start(sql, resultFolder, each);
      const ids = await Promise.all([start(token), start(token)]);
      await ended(ids[0] ?? "");
      ids.push(await start(token));
      expect(new Set(ids).size).toBe(1);
      expect(ids).not.toContain(await start(crypto.randomUUID()));
    });

    test.each([
      ["a value that cannot be cast", `SELECT CAST(note AS bigint) FROM TABLE`],
      ["an unknown column", `SELECT exactly FROM TABLE`],
      ["no SELECT", "SELECT FROM"],
    ])("fails a query with %s, without a value of a record", async (_what, text) => {
      const sql = text.replace("TABLE", named("visits"));
      const query = await run(sql);
      expect(query).toMatchObject({ state: "FAILED", retryable: false });
      // Athena does not always give a code.
      expect(query.reason).toMatch(/^([A-Z][A-Z0-9_]+|no code given)$/);
      const error = await rowsOf(sql).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ name: "StatementFailed", kind: "transient" });
      expect(JSON.stringify([query, String(error)])).not.toContain("exactly");
    });

    test("fails to define or read an invalid view", async () => {
      const useView = async () => {
        const select = `SELECT x FROM ${named("visits")}`;
        await home.engine.defineView("broken", { select, comments: new Map() });
        return rowsOf(`SELECT * FROM ${named("broken")}`);
      };
      await expect(useView()).rejects.toMatchObject({ name: "StatementFailed" });
    });
  });
}

async function untilEnded(engine: QueryEngine, id: string): Promise<Query> {
  for (let waited = 0; waited < queryMs; waited += pollMs) {
    const query = await engine.get(id);
    if (query.state !== "QUEUED" && query.state !== "RUNNING") return query;
    await delay(pollMs);
  }
  throw new Error(`Query ${id} did not end in ${queryMs} ms.`);
}
