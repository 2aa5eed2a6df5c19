import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AthenaClient,
  BatchGetQueryExecutionCommand,
  CreateWorkGroupCommand,
  GetQueryExecutionCommand,
  GetQueryResultsCommand,
  GetTableMetadataCommand,
  GetWorkGroupCommand,
  ListQueryExecutionsCommand,
  paginateGetQueryResults,
  type QueryExecution,
  type Row,
  StartQueryExecutionCommand,
  type StartQueryExecutionCommandInput,
  StopQueryExecutionCommand,
} from "@aws-sdk/client-athena";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { stringify } from "csv-stringify/sync";
import fc from "fast-check";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { startAthena } from "../../../../stacks/local/aws/athena.ts";
import { startAwsJson } from "../../../../stacks/local/aws/aws-json.ts";
import { startFauxqsOnLoopback } from "../../../../stacks/local/aws/fauxqs.ts";
import type { LocalEndpoint } from "../../../../stacks/local/aws/loopback.ts";

const credentials = { accessKeyId: "test", secretAccessKey: "test" };
const region = "us-east-1";

const putEvents = z.object({
  Entries: z.array(
    z.object({
      Source: z.string(),
      DetailType: z.string(),
      EventBusName: z.undefined().optional(),
      Detail: z
        .string()
        .transform((text): unknown => JSON.parse(text))
        .pipe(z.looseObject({ queryExecutionId: z.string(), currentState: z.string() })),
    }),
  ),
});
type StateChange = z.infer<typeof putEvents>["Entries"][number];

// What EventBridge was sent, by query; `ended` waits for it.
const sent = new Map<string, PromiseWithResolvers<StateChange>>();
let refuseEvents = false;

function ended(id: string): Promise<StateChange> {
  const existing = sent.get(id) ?? Promise.withResolvers<StateChange>();
  sent.set(id, existing);
  return existing.promise;
}

let directory: string;
let bus: LocalEndpoint;
let fauxqs: LocalEndpoint;
let s3: S3Client;
let events: EventBridgeClient;
let athena: AthenaClient;
let closeAthena: () => Promise<void>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "athena-"));
  fauxqs = await startFauxqsOnLoopback(join(directory, "fauxqs"));
  bus = await startAwsJson({
    name: "EventBridge",
    target: "AWSEvents",
    operations: {
      PutEvents: async (input) => {
        const { Entries } = putEvents.parse(input);
        for (const entry of Entries) {
          void ended(entry.Detail.queryExecutionId);
          sent.get(entry.Detail.queryExecutionId)?.resolve(entry);
        }
        return refuseEvents
          ? { FailedEntryCount: 1, Entries: [{ ErrorCode: "ThrottlingException" }] }
          : { FailedEntryCount: 0, Entries: Entries.map(() => ({ EventId: "1" })) };
      },
    },
  });
  s3 = new S3Client({ endpoint: fauxqs.endpoint, region, credentials, forcePathStyle: true });
  events = new EventBridgeClient({ endpoint: bus.endpoint, region, credentials });
  await s3.send(new CreateBucketCommand({ Bucket: "data" }));
  await s3.send(new CreateBucketCommand({ Bucket: "results" }));
  const started = await startAthena({ dataDir: join(directory, "athena"), s3, events });
  closeAthena = started.close;
  athena = clientOf(started.endpoint);
  await run("CREATE DATABASE IF NOT EXISTS `library`");
});

afterAll(async () => {
  await closeAthena();
  athena.destroy();
  s3.destroy();
  events.destroy();
  await bus.close();
  await fauxqs.close();
  await rm(directory, { recursive: true, force: true });
});

function clientOf(endpoint: string): AthenaClient {
  return new AthenaClient({ endpoint, region, credentials });
}

async function start(
  sql: string,
  more: Partial<StartQueryExecutionCommandInput> = {},
  client = athena,
): Promise<string> {
  const { QueryExecutionId } = await client.send(
    new StartQueryExecutionCommand({
      QueryString: sql,
      QueryExecutionContext: { Database: "library" },
      ResultConfiguration: { OutputLocation: "s3://results/out/" },
      ...more,
    }),
  );
  return z.string().parse(QueryExecutionId);
}

async function describe(id: string, client = athena): Promise<QueryExecution> {
  const { QueryExecution } = await client.send(new GetQueryExecutionCommand({ QueryExecutionId: id }));
  if (!QueryExecution) throw new Error("no QueryExecution");
  return QueryExecution;
}

/** Runs a statement to its end, which has to be a success, and returns its id. */
async function run(sql: string, client = athena): Promise<string> {
  const id = await start(sql, {}, client);
  await ended(id);
  const { Status } = await describe(id, client);
  expect(Status?.StateChangeReason).toBeUndefined();
  expect(Status?.State).toBe("SUCCEEDED");
  return id;
}

/** Runs a statement that has to fail, and returns why it did. */
async function failure(sql: string): Promise<string> {
  const id = await start(sql);
  expect((await ended(id)).Detail.currentState).toBe("FAILED");
  const { Status } = await describe(id);
  expect(Status?.State).toBe("FAILED");
  expect(Status?.AthenaError?.ErrorMessage).toBe(Status?.StateChangeReason);
  return z.string().parse(Status?.StateChangeReason);
}

const fieldsOf = (rows: Row[] = []): (string | null)[][] =>
  rows.map((row) => (row.Data ?? []).map((datum) => datum.VarCharValue ?? null));

/** Rows of a SELECT, without the header. */
async function query(sql: string, client = athena): Promise<(string | null)[][]> {
  const id = await run(sql, client);
  const rows: (string | null)[][] = [];
  for await (const page of paginateGetQueryResults({ client }, { QueryExecutionId: id })) {
    rows.push(...fieldsOf(page.ResultSet?.Rows));
  }
  return rows.slice(1);
}

async function resultFile(id: string): Promise<string> {
  const { ResultConfiguration } = await describe(id);
  const Key = z.string().parse(ResultConfiguration?.OutputLocation).replace("s3://results/", "");
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: "results", Key }));
  return z.string().parse(await Body?.transformToString());
}

async function put(key: string, text: string): Promise<void> {
  await s3.send(new PutObjectCommand({ Bucket: "data", Key: key, Body: Buffer.from(text) }));
}

let tables = 0;

/** A table over a folder of its own. */
async function createTable(
  objects: Record<string, string>,
  columns: readonly string[],
  escapeCharacter = "\\u0001",
): Promise<string> {
  tables += 1;
  const name = `table_${tables}`;
  for (const [key, text] of Object.entries(objects)) await put(`${name}/${key}`, text);
  await run(tableSql(name, columns, escapeCharacter));
  return name;
}

function tableSql(name: string, columns: readonly string[], escapeCharacter = "\\u0001"): string {
  return `-- The published file.
    CREATE EXTERNAL TABLE IF NOT EXISTS \`library\`.\`${name}\` (
      ${columns.map((column) => `\`${column}\` string COMMENT 'it\\'s, (a) column'`).join(",\n")}
    )
    COMMENT 'rows'
    ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'
    WITH SERDEPROPERTIES ('separatorChar'=',','quoteChar'='"','escapeChar'='${escapeCharacter}')
    STORED AS TEXTFILE
    LOCATION 's3://data/${name}/'
    TBLPROPERTIES ('skip.header.line.count'='1', 'owner'='us')`;
}

const hostile = [
  'He said "hi"',
  '"',
  '""',
  '","',
  ",",
  '",',
  "a\\",
  "\\",
  '\\"',
  "C:\\new\\table",
  "  padded  ",
  ' "quoted" after a blank',
  "👩‍👩‍👧 Ünïcödé \u2028 \u2029 \u0085",
  "tab\there",
  "\ufeffa byte order mark",
  "'; DROP TABLE library; --",
  "=1+1",
  "NULL",
  "\\N",
  "",
  " ",
  "\u0000",
  "x".repeat(100_000),
  '"'.repeat(1_001),
];

test("a table's text comes back field for field", async () => {
  const rows = hostile.map((text, index) => [String(index), text, text]);
  const name = await createTable(
    {
      "rows.csv": stringify([["_id", "Comments/Notes", "end"], ...rows], {
        quoted: true,
        quoted_empty: true,
      }),
    },
    ["_id", "Comments/Notes", "end"],
  );

  expect(await query(`SELECT * FROM "${name}"`)).toEqual(rows);
});

test("any text comes back field for field, quoted only where needed as well", async () => {
  // A line break ends a row in Athena, in quotes too; \u0001 is the escape character.
  const text = fc
    .oneof(
      fc.string({ unit: "binary", maxLength: 30 }),
      fc.string({ unit: fc.constantFrom('"', ",", "\\", " ", "a") }),
    )
    .map((value) => value.replace(/[\n\r]/g, "").replaceAll("\u0001", ""));
  const row = fc.tuple(text, text, text);
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 40 }), fc.boolean(), async (rows, quoted) => {
      runs += 1;
      const name = await createTable({ [`${runs}.csv`]: stringify([["a", "b", "c"], ...rows], { quoted }) }, [
        "a",
        "b",
        "c",
      ]);
      expect(await query(`SELECT * FROM ${name}`)).toEqual(rows);
    }),
    { numRuns: 30 },
  );
});

test("an empty field is empty text, a missing one is null, a further one is left out, a line break ends the row", async () => {
  const name = await createTable({ "rows.csv": 'a,b,c\n"",,x\r\n1,2\r1,2,3,4\n\n"1","open\n"2",,\n5' }, [
    "a",
    "b",
    "c",
  ]);

  expect(await query(`SELECT * FROM ${name}`)).toEqual([
    ["", "", "x"],
    ["1", "2", null],
    ["1", "2", "3"],
    [null, null, null],
    ["1", null, null],
    ["2", "", ""],
    ["5", null, null],
  ]);
});

test("a quote after blanks opens a field, and one inside a field is part of it", async () => {
  const name = await createTable({ "rows.csv": 'a,b,c\n12, "x, y",a"b"c\n' }, ["a", "b", "c"]);

  expect(await query(`SELECT * FROM ${name}`)).toEqual([["12", "x, y", 'a"b"c']]);
});

test("lines and characters that arrive in two pieces are whole", async () => {
  // 3 and 4 bytes a line: wherever S3's answer is cut, some cut goes through \r\n and some through a character.
  const rows = Array.from({ length: 200_000 }, (_, index) => [index % 2 ? "x" : "ü"]);
  const name = await createTable({ "rows.csv": `id\r\n${rows.map(([x]) => `${x}\r\n`).join("")}` }, ["id"]);

  const text = await resultFile(await run(`SELECT * FROM ${name}`));
  expect(text === `"id"\n${rows.map(([x]) => `"${x}"\n`).join("")}`).toBe(true);
});

test.each([["\\\\"], ['"']])(
  "with %s as the escape character, backslashes vanish as they do in Hive",
  async (escapeCharacter) => {
    const name = await createTable(
      { "rows.csv": 'h,h\n"a\\b","say \\"x\\" \\\\ """\n' },
      ["a", "b"],
      escapeCharacter,
    );

    expect(await query(`SELECT * FROM ${name}`)).toEqual([["ab", 'say "x" \\ "']]);
  },
);

test("all objects below the location are read in the order of their keys, each without its header, hidden ones not", async () => {
  const name = await createTable(
    {
      "b.csv": "\u{feff}id\n3\n",
      "a.csv": "id\n1\n2",
      "deeper/c.csv": "id\n4",
      "empty.csv": "",
      "header-only.csv": "id\n",
      "header-without-end.csv": "id",
      _SUCCESS: "id\nhidden",
      ".tmp": "id\nhidden",
      "folder/": "",
    },
    ["id"],
  );
  await put(`${name}_sibling/x.csv`, "id\nof another table");

  expect(await query(`SELECT id FROM ${name}`)).toEqual([["1"], ["2"], ["3"], ["4"]]);
});

test("a table over nothing, or over a header alone, has no rows and keeps its columns", async () => {
  const nothing = await createTable({}, ["ID", "Question Type"]);
  const header = await createTable({ "rows.csv": '"_id","Question Type"\n' }, ["ID", "Question Type"]);

  for (const name of [nothing, header]) {
    expect(await resultFile(await run(`SELECT * FROM ${name}`))).toBe('"id","question type"\n');
  }
});

test("SELECT * keeps the order of 150,000 rows", async () => {
  const ids = Array.from({ length: 150_000 }, (_, index) => String(index));
  const name = await createTable(
    { "rows.csv": `id,text\n${ids.map((id) => `${id},"t ${id}"`).join("\n")}\n` },
    ["id", "text"],
  );

  const text = await resultFile(await run(`SELECT * FROM ${name}`));
  expect(text === `"id","text"\n${ids.map((id) => `"${id}","t ${id}"\n`).join("")}`).toBe(true);
});

test("a typed view casts what it can and has null for the rest", async () => {
  const name = await createTable(
    {
      "rows.csv":
        'id,at,minutes,note\n1,"2024-03-10 02:30:00",2.5,"a ""b"""\n2,"not a date",,\n1e3,"2024-03-10T02:30",7d,x\n',
    },
    ["_id", "_start_date", "Duration (in minutes)", "note"],
  );
  await run(`CREATE OR REPLACE VIEW "library"."${name}_typed" AS
    SELECT TRY_CAST("_id" AS bigint) AS "_id",
      TRY_CAST("_start_date" AS timestamp) AS "_start_date",
      TRY_CAST(NULLIF("Duration (in minutes)", '') AS double) AS "Duration (in minutes)",
      TRY_CAST(SUBSTR("_start_date", 1, 10) AS date) AS "Day",
      NULLIF("note", '') AS note
    FROM "${name}"`);

  const id = await run(`SELECT *, year("_start_date") AS y FROM "library"."${name}_typed"`);
  expect(await resultFile(id)).toBe(
    '"_id","_start_date","duration (in minutes)","day","note","y"\n' +
      '"1","2024-03-10 02:30:00.000","2.5","2024-03-10","a ""b""","2024"\n' +
      '"2",,,,,\n' +
      // As Trino casts, which is stricter than the engine below.
      ',,"7.0","2024-03-10","x",\n',
  );
  const { ResultSet } = await athena.send(new GetQueryResultsCommand({ QueryExecutionId: id }));
  expect(ResultSet?.ResultSetMetadata?.ColumnInfo?.map((column) => column.Type)).toEqual([
    "bigint",
    "timestamp",
    "double",
    "date",
    "varchar",
    "bigint",
  ]);

  const { TableMetadata } = await athena.send(
    new GetTableMetadataCommand({
      CatalogName: "AwsDataCatalog",
      DatabaseName: "library",
      TableName: `${name}_typed`,
    }),
  );
  expect(TableMetadata).toMatchObject({
    TableType: "VIRTUAL_VIEW",
    Columns: [
      { Name: "_id", Type: "bigint" },
      { Name: "_start_date", Type: "timestamp" },
      { Name: "duration (in minutes)", Type: "double" },
      { Name: "day", Type: "date" },
      { Name: "note", Type: "string" },
    ],
  });
});

test("values are spelled as Athena spells them", async () => {
  const sql = `SELECT 1.0e0 AS a, CAST(12345678 AS double), CAST(0.00025 AS double), 1/2, true, NULL, '',
    1.50, date '2024-02-29', timestamp '2024-02-29 01:02:03.5', sum(9007199254740993)`;
  const id = await run(sql);

  expect((await resultFile(id)).split("\n")[1]).toBe(
    '"1.0","1.2345678E7","2.5E-4","0","true",,"","1.50","2024-02-29","2024-02-29 01:02:03.500","9007199254740993"',
  );
  const { ResultSet } = await athena.send(new GetQueryResultsCommand({ QueryExecutionId: id }));
  expect(ResultSet?.Rows?.[1]?.Data?.slice(5, 7)).toEqual([{}, { VarCharValue: "" }]);
});

test("views may name views and tables of other databases, through any spelling of the name", async () => {
  const name = await createTable({ "rows.csv": "id\n1\n" }, ["id"]);
  await run("CREATE SCHEMA IF NOT EXISTS other");
  await run(`CREATE VIEW other.${name}_one AS SELECT id FROM ${name}`);
  await run(
    `CREATE VIEW "awsdatacatalog"."other"."${name}_two" AS SELECT id FROM other.${name.toUpperCase()}_ONE`,
  );

  expect(
    await query(`WITH x AS (SELECT * FROM "AwsDataCatalog"."other"."${name}_two") SELECT * FROM x`),
  ).toEqual([["1"]]);
});

test("IF NOT EXISTS and IF EXISTS leave what is there; without them the statement fails", async () => {
  const name = await createTable({ "rows.csv": "a\n1\n" }, ["a"]);
  await run(tableSql(name, ["other"]));
  expect(await query(`SELECT a FROM ${name}`)).toEqual([["1"]]);
  expect(await failure(tableSql(name, ["other"]).replace("IF NOT EXISTS ", ""))).toContain("already exists");
  expect(await failure("CREATE DATABASE library")).toContain("already exists");
  expect(await failure(`CREATE VIEW ${name} AS SELECT 1 AS a`)).toContain("already exists");
  expect(await failure(`DROP VIEW IF EXISTS ${name}`)).toContain("no view");

  await run(`DROP TABLE IF EXISTS ${name}`);
  await run(`DROP TABLE IF EXISTS ${name}`);
  expect(await failure(`DROP TABLE ${name}`)).toContain("no table");
});

const failing = [
  ["SELEC * FROM x", "SELEC"],
  ["SELECT * FORM x WHERE", "Parser Error"],
  ["SELECT * FROM missing_table", "missing_table does not exist"],
  ["SELECT * FROM nowhere.missing_table", "nowhere"],
  ["SELECT missing_column FROM (SELECT 1 AS a)", "missing_column"],
  ["SELECT 1; SELECT 2", "Only one"],
  ["SELECT 1; DROP TABLE x", "Only one"],
  ["CREATE VIEW v AS SELECT 1 AS a; SELECT 2", "Only one"],
  ["CREATE VIEW v AS SELECT * FROM missing_table", "missing_table does not exist"],
  ["CREATE VIEW v AS", "does not know the statement"],
  ["CREATE VIEW v AS DROP TABLE x", "where SELECT would be expected"],
  ["CREATE TABLE t AS SELECT 1", "does not know the statement"],
  ["INSERT INTO t VALUES (1)", "does not know the statement"],
  // Hive refuses it for OpenCSVSerde.
  ["ALTER TABLE t REPLACE COLUMNS (a string)", "does not know the statement"],
  ["ALTER TABLE t ADD COLUMNS (a string)", "does not know the statement"],
  ["DROP DATABASE library", "does not know the statement"],
  ["CREATE DATABASE a b", "after the statement's end"],
  ["-- nothing", "does not know the statement"],
  [tableSql("t", ["a"]).replace("OpenCSVSerde", "lazy.LazySimpleSerDe"), "OpenCSVSerde only"],
  [tableSql("t", ["a"]).replace("s3://data/t/", "/etc/"), "is not s3://"],
  [tableSql("t", ["a", "A"]), "Duplicate column"],
  [tableSql("t", ["a"]).replace("string", "bigint"), "bigint"],
  [tableSql("t", ["a"]).replace("`library`", "`nowhere`"), "nowhere does not exist"],
  [tableSql("t", ["a"], ","), "three different"],
];

test.each(failing.map(([sql = "", reason = ""]) => ({ sql, reason })))(
  "a query that can't be run ends as FAILED: $reason",
  async ({ sql, reason }) => {
    expect(await failure(sql)).toContain(reason);
  },
);

test("a result's bucket or a table's bucket that is not there fails the query", async () => {
  await run(tableSql("no_bucket", ["a"]).replace("s3://data/", "s3://no-such-bucket/"));
  expect(await failure("SELECT * FROM no_bucket")).toContain("NoSuchBucket");

  const id = await start("SELECT 1", { ResultConfiguration: { OutputLocation: "s3://no-such-bucket/out/" } });
  expect((await ended(id)).Detail.currentState).toBe("FAILED");
  expect((await describe(id)).Status?.AthenaError?.Retryable).toBe(true);
});

test("a query reads no file of this machine, changes no setting and leaves none", async () => {
  const file = join(directory, "secret.csv");
  await writeFile(file, "secret\n42\n");
  for (const sql of [
    `SELECT * FROM read_csv('${file}')`,
    `SELECT * FROM read_text('${file}')`,
    `SELECT * FROM '${file}'`,
    `SELECT * FROM glob('${directory}/*')`,
    `CREATE VIEW v AS SELECT * FROM read_text('${file}')`,
  ]) {
    expect(await failure(sql)).toMatch(/^(Permission|Catalog) Error/);
  }
  for (const sql of [
    `COPY (SELECT 1) TO '${file}.copy'`,
    `ATTACH '${file}.db' AS d`,
    "SET enable_external_access = true",
    "INSTALL httpfs",
  ]) {
    expect(await failure(sql)).toContain("does not know the statement");
  }
  expect((await readdir(directory)).filter((name) => name.startsWith("secret"))).toEqual(["secret.csv"]);
});

test("a reason tells nothing of the data", async () => {
  const name = await createTable({ "rows.csv": 'note\n"patron\'s \'own\' ""words"""\n' }, ["note"]);

  const reason = await failure(`SELECT CAST(note AS integer) FROM ${name}`);
  expect(reason).toContain("Conversion Error");
  expect(reason).not.toMatch(/patron|own|words/);
});

test("each end is told to EventBridge as Athena tells it", async () => {
  const good = await start("SELECT 1");
  expect(await ended(good)).toEqual({
    Source: "aws.athena",
    DetailType: "Athena Query State Change",
    Detail: {
      versionId: "0",
      currentState: "SUCCEEDED",
      previousState: "RUNNING",
      statementType: "DML",
      queryExecutionId: good,
      workgroupName: "primary",
      sequenceNumber: "3",
    },
  });
  const bad = await start("CREATE NONSENSE");
  expect((await ended(bad)).Detail).toMatchObject({ currentState: "FAILED", statementType: "DDL" });
});

test("an event that EventBridge refuses is a line on stderr, and the query is what it was", async () => {
  const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  onTestFinished(() => {
    refuseEvents = false;
    stderr.mockRestore();
  });
  refuseEvents = true;
  const id = await run("SELECT 1");
  await vi.waitFor(() => expect(stderr).toHaveBeenCalledOnce());
  expect(stderr.mock.calls[0]?.[0]).toContain(id);
  expect(stderr.mock.calls[0]?.[0]).toContain("ThrottlingException");
});

test("a token makes two requests one, and does not fit another request", async () => {
  const ClientRequestToken = "t".repeat(32);
  const id = await start("SELECT 1", { ClientRequestToken });
  expect(await start("SELECT 1", { ClientRequestToken })).toBe(id);
  await ended(id);
  expect(await start("SELECT 1", { ClientRequestToken })).toBe(id);
  await expect(start("SELECT 2", { ClientRequestToken })).rejects.toMatchObject({
    name: "InvalidRequestException",
  });
  await expect(
    start("SELECT 1", { ClientRequestToken, ResultConfiguration: { OutputLocation: "s3://results/else/" } }),
  ).rejects.toMatchObject({ name: "InvalidRequestException" });
  await expect(start("SELECT 1", { ClientRequestToken: "short" })).rejects.toMatchObject({
    name: "InvalidRequestException",
  });
  expect(await start("SELECT 1")).not.toBe(id);
});

test("an execution tells what it ran, where its result is and how long it took", async () => {
  const name = await createTable({ "rows.csv": "a\n1\n" }, ["a"]);
  const selected = await describe(await run(`-- a comment\nSELECT a FROM ${name};`));
  expect(selected).toMatchObject({
    Query: `-- a comment\nSELECT a FROM ${name};`,
    StatementType: "DML",
    ResultConfiguration: { OutputLocation: `s3://results/out/${selected.QueryExecutionId}.csv` },
    QueryExecutionContext: { Database: "library" },
    WorkGroup: "primary",
    Statistics: { DataScannedInBytes: 4, EngineExecutionTimeInMillis: expect.any(Number) },
  });
  expect(selected.Status?.SubmissionDateTime).toBeInstanceOf(Date);
  expect(selected.Status?.CompletionDateTime).toBeInstanceOf(Date);

  const created = await describe(await run(`CREATE OR REPLACE VIEW v_${name} AS SELECT a FROM ${name}`));
  expect(created).toMatchObject({
    StatementType: "DDL",
    ResultConfiguration: { OutputLocation: `s3://results/out/${created.QueryExecutionId}.txt` },
  });
  const id = z.string().parse(created.QueryExecutionId);
  expect(await resultFile(id)).toBe("");
  const { ResultSet } = await athena.send(new GetQueryResultsCommand({ QueryExecutionId: id }));
  expect(ResultSet?.Rows).toEqual([]);

  const { QueryExecutions, UnprocessedQueryExecutionIds } = await athena.send(
    new BatchGetQueryExecutionCommand({ QueryExecutionIds: [id, "unknown"] }),
  );
  expect(QueryExecutions?.map((it) => it.QueryExecutionId)).toEqual([id]);
  expect(UnprocessedQueryExecutionIds?.map((it) => it.QueryExecutionId)).toEqual(["unknown"]);
  const { QueryExecutionIds, NextToken } = await athena.send(
    new ListQueryExecutionsCommand({ MaxResults: 1 }),
  );
  expect(QueryExecutionIds).toEqual([id]);
  const second = await athena.send(new ListQueryExecutionsCommand({ MaxResults: 1, NextToken }));
  expect(second.QueryExecutionIds).toEqual([selected.QueryExecutionId]);
});

test("what is not there, or not yet, is refused with Athena's error", async () => {
  await expect(describe("unknown")).rejects.toMatchObject({ name: "InvalidRequestException" });
  await expect(
    athena.send(
      new GetTableMetadataCommand({
        CatalogName: "AwsDataCatalog",
        DatabaseName: "library",
        TableName: "none",
      }),
    ),
  ).rejects.toMatchObject({ name: "MetadataException" });
  const failed = await start("SELEC");
  await ended(failed);
  await expect(athena.send(new GetQueryResultsCommand({ QueryExecutionId: failed }))).rejects.toMatchObject({
    name: "InvalidRequestException",
  });
  await expect(start("SELECT 1", { ResultConfiguration: undefined })).rejects.toThrow("No output location");
  await expect(start("SELECT 1", { WorkGroup: "none" })).rejects.toMatchObject({
    name: "InvalidRequestException",
  });
});

test("a table's metadata tells its columns, its place and how it is read", async () => {
  const name = await createTable({}, ["_id", "Question Type"]);
  const { TableMetadata } = await athena.send(
    new GetTableMetadataCommand({ CatalogName: "AwsDataCatalog", DatabaseName: "library", TableName: name }),
  );
  expect(TableMetadata).toMatchObject({
    Name: name,
    TableType: "EXTERNAL_TABLE",
    Columns: [
      { Name: "_id", Type: "string", Comment: "it's, (a) column" },
      { Name: "question type", Type: "string" },
    ],
    Parameters: {
      location: `s3://data/${name}/`,
      owner: "us",
      "skip.header.line.count": "1",
      "serde.param.escapeChar": "\u0001",
    },
  });
});

test("results come in pages, the header first, each field as it was", async () => {
  const rows = Array.from({ length: 25 }, (_, index) => [
    String(index),
    `😀 "${index}", ü`,
    index % 2 ? null : "",
  ]);
  const lines = rows.map(([id, text, last]) => stringify([last === null ? [id, text] : [id, text, last]]));
  const name = await createTable({ "rows.csv": `h\n${lines.join("")}` }, ["id", "text", "last"]);
  const id = await run(`SELECT * FROM ${name}`);

  const pages: (string | null)[][][] = [];
  const paginator = paginateGetQueryResults({ client: athena, pageSize: 10 }, { QueryExecutionId: id });
  for await (const page of paginator) pages.push(fieldsOf(page.ResultSet?.Rows));
  expect(pages.map((page) => page.length)).toEqual([10, 10, 6]);
  expect(pages.flat()).toEqual([["id", "text", "last"], ...rows]);
});

test("a workgroup's enforced output location goes before the request's", async () => {
  const group = (name: string, enforce: boolean) =>
    athena.send(
      new CreateWorkGroupCommand({
        Name: name,
        Configuration: {
          EnforceWorkGroupConfiguration: enforce,
          ResultConfiguration: { OutputLocation: "s3://results/group" },
        },
      }),
    );
  await group("enforced", true);
  await group("advised", false);
  await expect(group("enforced", true)).rejects.toMatchObject({ name: "InvalidRequestException" });

  const place = async (more: Partial<StartQueryExecutionCommandInput>) => {
    const id = await start("SELECT 1", more);
    expect((await ended(id)).Detail.workgroupName).toBe(more.WorkGroup);
    return (await describe(id)).ResultConfiguration?.OutputLocation;
  };
  expect(await place({ WorkGroup: "enforced" })).toMatch(/^s3:\/\/results\/group\/[\w-]+\.csv$/);
  expect(await place({ WorkGroup: "advised" })).toMatch(/^s3:\/\/results\/out\/[\w-]+\.csv$/);
  expect(await place({ WorkGroup: "advised", ResultConfiguration: undefined })).toMatch(
    /^s3:\/\/results\/group\//,
  );

  const { WorkGroup } = await athena.send(new GetWorkGroupCommand({ WorkGroup: "primary" }));
  expect(WorkGroup?.Name).toBe("primary");
});

// Minutes of work on any machine, unless it is interrupted.
const endless = "SELECT count(*) FROM range(100000000000) AS a WHERE a.range % 7 = 3";

test("two queries run at once, further ones wait, and each can be stopped", async () => {
  const [first, second, third] = [await start(endless), await start(endless), await start("SELECT 3")];
  const state = async (id: string) => (await describe(id)).Status?.State;
  const states = () => Promise.all([first, second, third].map(state));
  await vi.waitFor(async () => expect(await states()).toEqual(["RUNNING", "RUNNING", "QUEUED"]));

  const fourth = await start("SELECT 4");
  await athena.send(new StopQueryExecutionCommand({ QueryExecutionId: third }));
  expect((await ended(third)).Detail).toMatchObject({ currentState: "CANCELLED", previousState: "QUEUED" });

  await athena.send(new StopQueryExecutionCommand({ QueryExecutionId: first }));
  expect((await ended(first)).Detail).toMatchObject({ currentState: "CANCELLED", previousState: "RUNNING" });
  expect((await ended(fourth)).Detail.currentState).toBe("SUCCEEDED");
  await athena.send(new StopQueryExecutionCommand({ QueryExecutionId: fourth }));
  expect(await state(fourth)).toBe("SUCCEEDED");

  await athena.send(new StopQueryExecutionCommand({ QueryExecutionId: second }));
  await ended(second);
  expect(await state(second)).toBe("CANCELLED");
});

test("a result that breaks off leaves no object", async () => {
  const bad =
    "SELECT CASE WHEN a.range = 2000000 THEN CAST('x' AS integer) ELSE 1 END FROM range(3000000) AS a";
  const id = await start(bad, { ResultConfiguration: { OutputLocation: "s3://results/broken/" } });
  expect((await ended(id)).Detail.currentState).toBe("FAILED");
  const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket: "results", Prefix: "broken/" }));
  expect(Contents ?? []).toEqual([]);
});

/** An Athena of its own, for tests that stop and start it. */
async function startOwn(dataDir: string): Promise<{ client: AthenaClient; close(): Promise<void> }> {
  const { endpoint, close } = await startAthena({ dataDir, s3, events });
  const client = clientOf(endpoint);
  return {
    client,
    close: async () => {
      client.destroy();
      await close();
    },
  };
}

test("a restart keeps databases, tables, views, workgroups, executions and tokens", async () => {
  const dataDir = join(directory, "restarted");
  await put("kept/rows.csv", "a\n1\n");
  const ClientRequestToken = "r".repeat(40);
  const before = await startOwn(dataDir);
  await run("CREATE DATABASE library", before.client);
  await run(tableSql("kept", ["a"]), before.client);
  await run("CREATE VIEW kept_view AS SELECT TRY_CAST(a AS integer) AS a FROM kept", before.client);
  await before.client.send(new CreateWorkGroupCommand({ Name: "kept" }));
  const id = await start("SELECT a FROM kept_view", { ClientRequestToken }, before.client);
  await ended(id);
  await before.close();
  expect((await readdir(dataDir)).sort()).toEqual(["data-catalog.json", "queries.json"]);

  const after = await startOwn(dataDir);
  onTestFinished(after.close);
  expect(await query("SELECT a + 1 FROM kept_view", after.client)).toEqual([["2"]]);
  await after.client.send(new GetWorkGroupCommand({ WorkGroup: "kept" }));
  expect(await start("SELECT a FROM kept_view", { ClientRequestToken }, after.client)).toBe(id);
  expect((await describe(id, after.client)).Status?.State).toBe("SUCCEEDED");
});

test("a query that a stop cuts off runs again at the next start", async () => {
  const dataDir = join(directory, "cut-off");
  const before = await startOwn(dataDir);
  await run("CREATE DATABASE library", before.client);
  const id = await start(endless, {}, before.client);
  expect((await describe(id, before.client)).Status?.State).toBe("RUNNING");
  await before.close();
  expect((await readdir(dataDir)).sort()).toEqual(["data-catalog.json", "queries.json"]);

  const after = await startOwn(dataDir);
  onTestFinished(after.close);
  expect((await describe(id, after.client)).Status?.State).toBe("RUNNING");
  await after.client.send(new StopQueryExecutionCommand({ QueryExecutionId: id }));
  expect((await ended(id)).Detail.currentState).toBe("CANCELLED");
});

test("a query that a crash cuts off runs again at the next start", async () => {
  const dataDir = join(directory, "crashed");
  const before = await startOwn(dataDir);
  onTestFinished(before.close);
  await run("CREATE DATABASE library", before.client);
  const id = await start(endless, {}, before.client);
  await run("SELECT 1", before.client);
  // What a process leaves that dies now. A draft that is being written is gone a moment later.
  await cp(dataDir, `${dataDir}-copy`, { recursive: true, filter: (path) => !path.endsWith(".draft") });
  await before.client.send(new StopQueryExecutionCommand({ QueryExecutionId: id }));
  await ended(id);
  sent.delete(id);

  const after = await startOwn(`${dataDir}-copy`);
  onTestFinished(after.close);
  await after.client.send(new StopQueryExecutionCommand({ QueryExecutionId: id }));
  expect((await ended(id)).Detail).toMatchObject({ currentState: "CANCELLED", previousState: "RUNNING" });
});

test("a damaged catalog is told by its name", async () => {
  const dataDir = await mkdtemp(join(directory, "damaged-"));
  await writeFile(join(dataDir, "data-catalog.json"), '{"databases":');
  await expect(startAthena({ dataDir, s3, events })).rejects.toThrow("data-catalog.json");
});
