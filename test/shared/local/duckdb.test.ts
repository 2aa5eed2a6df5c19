// The query engine on this machine, beyond its contract. test/shared/local/trino.test.ts tests the casts.
import { createHash, randomUUID } from "node:crypto";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, onTestFinished, test, vi } from "vitest";
import { csvRows } from "../../../shared/csv.ts";
import { type DuckDbOptions, DuckDbQueryEngine } from "../../../shared/local/duckdb.ts";
import { LocalStore } from "../../../shared/local/local-store.ts";
import { LocalDatabase } from "../../../shared/local/sqlite.ts";
import { useFolder } from "../../support/temporary-folder.ts";

// With characters that are special in path patterns, SQL texts and CSV.
const folder = useFolder("libinsight-'[du]*ck,\"-");
const database = new LocalDatabase(":memory:");
afterAll(() => database.close());

/** Returns new stores and an engine. `open` opens another engine on the same stores, as after a restart. */
function setUp(options: Partial<DuckDbOptions> = {}) {
  const own = join(folder, randomUUID());
  const store = (name: string, keepsVersions: boolean) =>
    new LocalStore(database, { bucket: `${own}/${name}`, folder: join(own, name), keepsVersions });
  const catalog = store("work", false);
  const data = store("data", true);
  const results = store("results", true);
  const temporaryFolder = join(own, "tmp");
  const ends: { id: string; state: string }[] = [];
  const open = (): DuckDbQueryEngine => {
    const engine = new DuckDbQueryEngine({
      database: "library",
      catalog,
      filesIn: async (prefix) => data.filesIn(prefix),
      adopt: (key, path) => results.adopt(key, path, "text/csv"),
      temporaryFolder,
      onEnd: async (end) => void ends.push(end),
      ...options,
    });
    onTestFinished(() => engine.close());
    return engine;
  };
  const engine = open();
  const table = async (name: string, files: string[], columns: readonly string[]): Promise<void> => {
    for (const [index, csv] of files.entries()) await data.put(`${name}/${index}.csv`, csv, "text/csv");
    const definition = {
      format: "csv" as const,
      columns: columns.map((column) => ({ name: column, comment: "" })),
      folder: `${name}/`,
    };
    await engine.defineTable(name, definition, (await engine.table(name))?.version);
  };
  /** Runs a query that must succeed, and returns its result file. */
  const result = async (sql: string): Promise<string> => {
    const query = await ended(engine, await engine.start(sql, "out", randomUUID()));
    expect(query).toMatchObject({ state: "SUCCEEDED", reason: "no code given" });
    return (await results.getText(query.output ?? "")) ?? "";
  };
  return { own, catalog, data, results, temporaryFolder, ends, engine, open, table, result };
}

async function ended(engine: DuckDbQueryEngine, id: string) {
  return vi.waitFor(
    async () => {
      const query = await engine.get(id);
      expect(query.state).not.toBe("RUNNING");
      return query;
    },
    { timeout: 30_000, interval: 5 },
  );
}

/** Runs until it is interrupted. */
const endless = "SELECT sum(a.range * b.range) FROM range(10000000) AS a, range(10000000) AS b";

const hostile = [
  ...[
    'He said "hi"',
    '"',
    '""',
    '","',
    '",',
    ",",
    "a\\",
    '\\"',
    "C:\\new\\table",
    "  padded  ",
    ' "quoted" after a blank',
  ],
  ...[
    "# no comment",
    "\u2028 \u2029",
    "\ufeffa byte order mark",
    "'; DROP TABLE library; --",
    "=1+1",
    "NULL",
    "\\N",
    "",
    " ",
  ],
  ...["x".repeat(1_000_000), '"'.repeat(1_001)],
];

test("writes null as an empty field, also if it is the only field of a row", async () => {
  const { table, result } = setUp();
  await table("rows", [csvRows([["Text"], ["a"], [""], [" "]])], ['a "text"']);
  expect(await result(`SELECT *, NULL AS none FROM rows`)).toBe('"a ""text""","none"\n"a",\n"",\n" ",\n');
  expect(await result(`SELECT NULLIF("a ""text""", '') AS a FROM rows -- no more`)).toBe('"a"\n"a"\n\n" "\n');
});

test("reads the texts of any rows unchanged", async () => {
  const { table, result } = setUp();
  const text = fc
    .oneof(
      fc.string({ unit: "binary", maxLength: 30 }),
      fc.string({ unit: fc.constantFrom('"', ",", "\\", " ", "a", "👩‍👩‍👧", "\ufeff", "'", "#") }),
      fc.constantFrom(...hostile),
    )
    .map((value) => value.replace(/\p{Cc}/gu, ""));
  const number = fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }));
  const cell = fc.oneof({ weight: 4, arbitrary: text }, number, fc.constant(null));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(cell, cell, cell), { maxLength: 40 }), async (rows) => {
      await table("rows", [csvRows([["a", "b", "c"], ...rows])], ["a", "b", "c"]);
      const texts = rows.map((row) => row.map((value) => (value === null ? "" : `${value}`)));
      expect(await result('SELECT * FROM "library"."rows"')).toBe(csvRows([["a", "b", "c"], ...texts]));
    }),
    { numRuns: 40 },
  );
});

test("keeps the order of 150,000 rows", async () => {
  const { table, result } = setUp();
  const rows = Array.from({ length: 150_000 }, (_, n) => [String(n), `t ${n}`]);
  await table("rows", [csvRows([["id", "text"], ...rows])], ["id", "text"]);
  expect((await result("SELECT * FROM rows")) === csvRows([["id", "text"], ...rows])).toBe(true);
});

test("maps columns by position: missing fields are null, extra fields are ignored, and without a file there are no rows", async () => {
  const { table, result } = setUp();
  const files = ['"x","y","z","more"\n1,"two",,4\n', '"z"\n"only"\n', "", '"x","y","z"\n', '"x","y","z"'];
  await table("rows", files, ["a", "b", "c"]);
  expect(await result("SELECT * FROM rows")).toBe('"a","b","c"\n"1","two",""\n"only",,\n');
  await table("empty", [], ["_id", "question_type"]);
  expect(await result("SELECT * FROM empty")).toBe('"_id","question_type"\n');
});

test("fails a query with a line of more than 2 MiB instead of skipping the row", async () => {
  const { table, engine } = setUp();
  await table("rows", [csvRows([["a"], ["x"], ["y".repeat(2_200_000)], ["z"]])], ["a"]);
  const id = await engine.start("SELECT * FROM rows", "out", randomUUID());
  expect(await ended(engine, id)).toMatchObject({ state: "FAILED", reason: "INVALID_INPUT_ERROR" });
});

test("accepts names as in Athena, and returns values in Athena's format", async () => {
  const { table, engine, result } = setUp();
  await table("rows", [csvRows([["ID"], [1], ["1e3"]])], ["_id"]);
  const select = `SELECT TRY_CAST("_id" AS bigint) AS "_id" FROM "library"."rows" -- a comment`;
  await engine.defineView("rows_typed", { select, comments: new Map() });
  const typed = await result('SELECT * FROM "AwsDataCatalog"."library"."ROWS_TYPED" ORDER BY 1 DESC;');
  expect(typed).toBe('"_id"\n"1"\n\n');
  const values = `WITH one AS (SELECT 1.0e0 AS a, CAST(12345678 AS double) AS b, 1/2 AS c, true AS d, NULL AS e, '' AS f,
    1.50 AS g, date '2024-02-29' AS h, timestamp '2024-02-29 01:02:03.5' AS i, sum(9007199254740993) AS j) SELECT * FROM one`;
  expect(await result(values)).toBe(
    '"a","b","c","d","e","f","g","h","i","j"\n' +
      '"1.0","1.2345678E7","0","true",,"","1.50","2024-02-29","2024-02-29 01:02:03.500","9007199254740993"\n',
  );
});

test("keeps definitions after a restart, and does not write the same definition again", async () => {
  const { table, catalog, engine, open } = setUp();
  const view = { select: 'SELECT "a" AS x FROM rows', comments: new Map() };
  const etags: unknown[] = [];
  for (const files of [["a,b\n1,2\n"], []]) {
    await table("rows", files, ["b", "a"]);
    await engine.defineView("one", view);
    for (const name of ["rows", "one"]) etags.push((await catalog.head(`catalog/${name}.json`))?.etag);
  }
  expect(etags.slice(2)).toEqual(etags.slice(0, 2));
  expect(await open().firstRows("SELECT x FROM one", "out", 10)).toEqual({ columns: ["x"], rows: [["2"]] });
});

test("returns the first rows in Athena's format", async () => {
  const { table, engine } = setUp();
  await table("rows", [csvRows([["a"], ...hostile.map((text) => [text])])], ["a"]);
  const { columns, rows } = await engine.firstRows(
    "SELECT a, NULLIF(a, '') AS b, 1e0 AS c FROM rows",
    "out",
    999,
  );
  expect(columns).toEqual(["a", "b", "c"]);
  expect(rows).toEqual(hostile.map((text) => [text, text || null, "1.0"]));
  expect((await engine.firstRows("SELECT * FROM range(5000)", "out", 2)).rows).toEqual([["0"], ["1"]]);
  expect((await engine.firstRows("SELECT * FROM range(5000)", "out", 5_000)).rows).toHaveLength(999);
  expect((await engine.firstRows("SELECT * FROM rows WHERE false", "out", 10)).rows).toEqual([]);
});

test.each([
  ["SELEC * FROM rows", "PARSER_ERROR"],
  ["SELECT * FROM missing", "CATALOG_ERROR"],
  ["SELECT * FROM nowhere.rows", "CATALOG_ERROR"],
  ["SELECT missing FROM rows", "BINDER_ERROR"],
  ["SELECT * FROM stale", "BINDER_ERROR"],
  ["SELECT * FROM circle", "CATALOG_ERROR"],
  ["SELECT CAST(note AS integer) FROM rows", "CONVERSION_ERROR"],
  ["SELECT error(note) FROM rows", "INVALID_INPUT_ERROR"],
  ["SELECT 1; SELECT 2", "NOT_ONE_SELECT"],
  ["SELECT 1; DROP TABLE rows", "NOT_ONE_SELECT"],
  ["CREATE TABLE t AS SELECT 1", "NOT_ONE_SELECT"],
  ["COPY (SELECT 1) TO 'out.csv'", "PERMISSION_ERROR"],
  ["SET threads = 2", "NOT_ONE_SELECT"],
  ["SELECT 1) TO 'out.csv' --", "PARSER_ERROR"],
])("fails %s with %s, without a value of a record", async (sql, reason) => {
  const { table, engine, results, temporaryFolder } = setUp();
  await table("rows", [csvRows([["note"], ["patron's 'own' Error: \"words\""]])], ["note"]);
  await engine.defineView("stale", { select: "SELECT gone FROM rows", comments: new Map() });
  await engine.defineView("circle", { select: "SELECT * FROM circle", comments: new Map() });
  const id = await engine.start(sql, "out", randomUUID());
  expect(await ended(engine, id)).toEqual({
    id,
    state: "FAILED",
    reason,
    retryable: false,
    output: `out/${id}.csv`,
  });
  expect(await results.list("", 10)).toEqual([]);
  expect(await readdir(temporaryFolder)).toEqual([]);
  await expect(engine.firstRows(sql, "out", 1)).rejects.toMatchObject({
    name: "StatementFailed",
    kind: "transient",
    message: `DuckDB could not run a query (${reason}).`,
  });
});

test("does not let a query read another file or change anything", async () => {
  const { own, table, engine } = setUp();
  await table("rows", [csvRows([["a"], [1]])], ["a"]);
  const file = `${own}/secret.csv`.replaceAll("'", "''");
  await writeFile(join(own, "secret.csv"), "secret\n42\n");
  const failing = [
    `SELECT * FROM rows, read_csv('${file}')`,
    `SELECT * FROM rows, read_text('${file}')`,
    `SELECT * FROM rows, '${file}'`,
    `SELECT * FROM glob('${file}')`,
    `SELECT * FROM "../../queries/x"`,
    `SELECT * FROM query('COPY (SELECT 1) TO ''x''')`,
    `ATTACH '${file}.db' AS d`,
    "INSTALL httpfs",
  ];
  for (const sql of failing) {
    await expect(engine.firstRows(sql, "out", 1)).rejects.toThrow(
      /\((?:PERMISSION|CATALOG|PARSER|BINDER|INVALID_INPUT)_ERROR\)|NOT_ONE_SELECT/,
    );
  }
  expect((await readdir(own)).filter((name) => name.startsWith("secret"))).toEqual(["secret.csv"]);
});

test("writes data that does not fit in memory to disk, and removes it afterwards", async () => {
  const { engine, temporaryFolder } = setUp();
  const { rows } = await engine.firstRows(
    `SELECT t FROM (SELECT substr(t, 1, 32) AS t, row_number() OVER (ORDER BY t) AS n FROM
      (SELECT md5(CAST(range AS varchar)) || repeat('x', 1000) AS t FROM range(100000))) WHERE n = 1`,
    "out",
    10,
  );
  const hashes = Array.from({ length: 100_000 }, (_, n) => createHash("md5").update(String(n)).digest("hex"));
  expect(rows).toEqual([[hashes.sort()[0]]]);
  expect(await readdir(temporaryFolder)).toEqual([]);
});

test("runs one execution per token and query, also after a restart", async () => {
  const { engine, ends, open } = setUp();
  const token = randomUUID();
  const id = await engine.start("SELECT 1", "out", token);
  expect(await engine.start("SELECT 2", "out", token)).not.toBe(id);
  await ended(engine, id);
  const next = open();
  await next.resume();
  expect(await next.start("SELECT 1", "out", token)).toBe(id);
  await next.firstRows("SELECT 1", "out", 1);
  expect(ends.filter((end) => end.id === id)).toEqual([{ id, state: "SUCCEEDED" }]);
});

test("returns the state UNKNOWN for an unknown query", async () => {
  expect(await setUp().engine.get("missing")).toMatchObject({ state: "UNKNOWN", output: undefined });
});

test("runs queries one at a time, in order", async () => {
  let active = 0;
  let most = 0;
  const { engine, ends } = setUp({
    adopt: async () => {
      active += 1;
      most = Math.max(most, active);
      await new Promise((resolve) => setTimeout(resolve, 20));
      active -= 1;
    },
  });
  const ids = await Promise.all([1, 2, 3].map((n) => engine.start(`SELECT ${n}`, "out", randomUUID())));
  expect((await engine.get(ids[2] ?? "")).state).toBe("RUNNING");
  await vi.waitFor(() => expect(ends.map(({ id }) => id)).toEqual(ids), 10_000);
  expect(most).toBe(1);
});

test.each(["resume", "get", "start"] as const)(
  "runs a query again on %s after its process ended",
  async (how) => {
    const adopted: string[] = [];
    // The process ends while the first result is being adopted.
    const first = Promise.withResolvers<void>();
    const { engine, ends, open } = setUp({
      adopt: async (key) => {
        adopted.push(key);
        if (adopted.length > 1) return;
        void engine.close();
        first.resolve();
        throw new Error("The database is closed.");
      },
    });
    const token = randomUUID();
    const id = await engine.start("SELECT 1", "out", token);
    const waiting = await engine.start("SELECT 2", "out", token);
    await first.promise;
    await engine.close();
    expect(ends).toEqual([]);
    const next = open();
    if (how === "resume") await next.resume();
    if (how === "get") expect(await next.get(id)).toMatchObject({ state: "RUNNING" });
    if (how === "start") expect(await next.start("SELECT 1", "out", token)).toBe(id);
    await vi.waitFor(() => expect(ends).toContainEqual({ id, state: "SUCCEEDED" }), 10_000);
    expect(adopted).toContain(`out/${id}.csv`);
    expect(await ended(next, waiting)).toMatchObject({ state: "SUCCEEDED" });
  },
);

test("interrupts the running query on close, and leaves it unfinished", async () => {
  const { engine, ends, catalog, temporaryFolder } = setUp();
  const id = await engine.start(endless, "out", randomUUID());
  await vi.waitFor(async () => expect(await readdir(temporaryFolder)).toContain(`${id}.csv`), 10_000);
  await engine.close();
  expect(await engine.get(id)).toMatchObject({ state: "RUNNING" });
  expect(await catalog.getText(`queries/${id}/execution.json`)).toContain("RUNNING");
  expect(ends).toEqual([]);
  expect(await readdir(temporaryFolder)).toEqual([]);
});

test("ends a query after 15 minutes, and then runs the next one", async () => {
  const { engine, ends, temporaryFolder } = setUp();
  const id = await engine.start(endless, "out", randomUUID());
  await vi.waitFor(async () => expect(await readdir(temporaryFolder)).toContain(`${id}.csv`), 10_000);
  const now = performance.now();
  const clock = vi.spyOn(performance, "now").mockReturnValue(now + 15 * 60_000);
  onTestFinished(() => void clock.mockRestore());
  await vi.waitFor(() => expect(ends).toEqual([{ id, state: "FAILED" }]), 10_000);
  expect(await engine.get(id)).toMatchObject({
    state: "FAILED",
    reason: "QUERY_TIMED_OUT",
    retryable: false,
  });
  expect((await engine.firstRows("SELECT 1", "out", 1)).rows).toEqual([["1"]]);
});

test("reports a failure of the stores as retryable, with its code", async () => {
  const failing = Object.assign(new Error("no space left on device, write MARKED"), { code: "ENOSPC" });
  const { engine, temporaryFolder } = setUp({ adopt: () => Promise.reject(failing) });
  const id = await engine.start("SELECT 1", "out", randomUUID());
  expect(await ended(engine, id)).toMatchObject({ state: "FAILED", reason: "ENOSPC", retryable: true });
  expect(await readdir(temporaryFolder)).toEqual([]);
});
