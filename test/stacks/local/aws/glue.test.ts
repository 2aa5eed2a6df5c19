// The local Glue Data Catalog through the AWS SDK: the same catalog that the local Athena keeps and reads by.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AthenaClient,
  GetQueryExecutionCommand,
  GetQueryResultsCommand,
  GetTableMetadataCommand,
  StartQueryExecutionCommand,
} from "@aws-sdk/client-athena";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import {
  type Column,
  GetDatabaseCommand,
  GetTableCommand,
  GlueClient,
  type Table,
  type TableInput,
  UpdateTableCommand,
} from "@aws-sdk/client-glue";
import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { startAthena } from "../../../../stacks/local/aws/athena.ts";
import { startAwsJson } from "../../../../stacks/local/aws/aws-json.ts";
import { startFauxqsOnLoopback } from "../../../../stacks/local/aws/fauxqs.ts";
import { clientOptions } from "./clients.ts";

let s3: S3Client;
let athena: AthenaClient;
let glue: GlueClient;
let restart: () => Promise<void>;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), "glue-"));
  closing.push(() => rm(directory, { recursive: true, force: true }));
  const fauxqs = await startFauxqsOnLoopback(join(directory, "fauxqs"));
  closing.push(fauxqs.close);
  const bus = await startAwsJson({
    name: "EventBridge",
    target: "AWSEvents",
    operations: { PutEvents: async () => ({ FailedEntryCount: 0, Entries: [] }) },
  });
  closing.push(bus.close);
  s3 = new S3Client({ ...clientOptions(fauxqs.endpoint), forcePathStyle: true });
  const events = new EventBridgeClient(clientOptions(bus.endpoint));
  const start = async () => {
    const started = await startAthena({ dataDir: join(directory, "athena"), s3, events });
    athena = new AthenaClient(clientOptions(started.endpoint));
    glue = new GlueClient(clientOptions(started.glueEndpoint));
    return started.close;
  };
  let close = await start();
  restart = async () => {
    await close();
    close = await start();
  };
  closing.push(() => close());
  for (const Bucket of ["data", "results"]) await s3.send(new CreateBucketCommand({ Bucket }));
  await run("CREATE DATABASE library");
});

afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

/** Runs a statement to its end; returns why it failed, or undefined. */
async function attempt(sql: string): Promise<{ id: string; reason: string | undefined }> {
  const { QueryExecutionId: id = "" } = await athena.send(
    new StartQueryExecutionCommand({
      QueryString: sql,
      QueryExecutionContext: { Database: "library" },
      ResultConfiguration: { OutputLocation: "s3://results/" },
    }),
  );
  const status = await vi.waitFor(
    async () => {
      const { QueryExecution } = await athena.send(new GetQueryExecutionCommand({ QueryExecutionId: id }));
      if (!QueryExecution?.Status?.CompletionDateTime) throw new Error("The query has not ended.");
      return QueryExecution.Status;
    },
    { timeout: 10_000, interval: 5 },
  );
  return { id, reason: status.StateChangeReason };
}

async function run(sql: string): Promise<string> {
  const { id, reason } = await attempt(sql);
  expect(reason).toBeUndefined();
  return id;
}

/** Header and rows. */
async function query(sql: string): Promise<(string | undefined)[][]> {
  const { ResultSet } = await athena.send(new GetQueryResultsCommand({ QueryExecutionId: await run(sql) }));
  return (ResultSet?.Rows ?? []).map(({ Data = [] }) => Data.map((datum) => datum.VarCharValue));
}

async function getTable(name: string): Promise<Table> {
  const { Table } = await glue.send(new GetTableCommand({ DatabaseName: "library", Name: name }));
  if (!Table) throw new Error("GetTable told nothing.");
  return Table;
}

/** What GetTable told, as UpdateTable takes it. */
function inputOf(table: Table): TableInput {
  const { Name, Description, Owner, Retention, TableType, Parameters, PartitionKeys } = table;
  const { ViewOriginalText, ViewExpandedText, StorageDescriptor } = table;
  return {
    ...{ Name, Description, Owner, Retention, TableType, Parameters, PartitionKeys },
    ...{ ViewOriginalText, ViewExpandedText, StorageDescriptor },
  };
}

function withColumns(table: Table, columns: Column[]): TableInput {
  return { ...inputOf(table), StorageDescriptor: { ...table.StorageDescriptor, Columns: columns } };
}

function update(TableInput: TableInput, VersionId?: string) {
  return glue.send(new UpdateTableCommand({ DatabaseName: "library", TableInput, VersionId }));
}

let tables = 0;

async function createTable(columns = "`a` string, `b` string", rows = 'a,b\n"1","2"\n'): Promise<string> {
  tables += 1;
  const name = `table_${tables}`;
  await s3.send(new PutObjectCommand({ Bucket: "data", Key: `${name}/rows.csv`, Body: rows }));
  await run(`CREATE EXTERNAL TABLE \`library\`.\`${name}\` (${columns})
    COMMENT 'rows'
    ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'
    WITH SERDEPROPERTIES ('separatorChar' = ',', 'quoteChar' = '"', 'escapeChar' = '\\u0001')
    STORED AS TEXTFILE
    LOCATION 's3://data/${name}/'
    TBLPROPERTIES ('skip.header.line.count' = '1')`);
  return name;
}

const viewText = z.object({
  originalSql: z.string(),
  catalog: z.string(),
  schema: z.string(),
  columns: z.unknown(),
});

function decodeView({ ViewOriginalText = "" }: Table) {
  const data = /^\/\* Presto View: (.*) \*\/$/.exec(ViewOriginalText)?.[1] ?? "";
  return viewText.parse(JSON.parse(Buffer.from(data, "base64").toString()));
}

function encodeView(data: unknown): string {
  return `/* Presto View: ${Buffer.from(JSON.stringify(data)).toString("base64")} */`;
}

describe("GetTable", () => {
  test("tells a table as Athena's DDL made it", async () => {
    const name = await createTable("`_ID` string COMMENT 'Its number', `b` string");
    expect(await getTable(name.toUpperCase())).toEqual({
      Name: name,
      DatabaseName: "library",
      TableType: "EXTERNAL_TABLE",
      VersionId: "0",
      CreateTime: expect.any(Date),
      UpdateTime: expect.any(Date),
      IsRegisteredWithLakeFormation: false,
      PartitionKeys: [],
      Parameters: { EXTERNAL: "TRUE", comment: "rows", "skip.header.line.count": "1" },
      StorageDescriptor: {
        Columns: [
          { Name: "_id", Type: "string", Comment: "Its number" },
          { Name: "b", Type: "string" },
        ],
        Location: `s3://data/${name}/`,
        InputFormat: "org.apache.hadoop.mapred.TextInputFormat",
        OutputFormat: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        Compressed: false,
        NumberOfBuckets: -1,
        SerdeInfo: {
          SerializationLibrary: "org.apache.hadoop.hive.serde2.OpenCSVSerde",
          Parameters: {
            separatorChar: ",",
            quoteChar: '"',
            escapeChar: "\u0001",
            "serialization.format": "1",
          },
        },
        BucketColumns: [],
        SortColumns: [],
        StoredAsSubDirectories: false,
      },
    });
  });

  test("tells a view with its text and its columns' types, in both spellings", async () => {
    const name = await createTable();
    const sql = `SELECT TRY_CAST("a" AS bigint) AS "A", "b", 1 AS c FROM ${name}`;
    await run(`CREATE VIEW v_${name} AS ${sql}`);
    const view = await getTable(`v_${name}`);

    expect(view).toMatchObject({
      TableType: "VIRTUAL_VIEW",
      VersionId: "0",
      Parameters: { presto_view: "true" },
      ViewExpandedText: "/* Presto View */",
      StorageDescriptor: {
        Columns: [
          { Name: "a", Type: "bigint" },
          { Name: "b", Type: "string" },
          { Name: "c", Type: "int" },
        ],
      },
    });
    expect(decodeView(view)).toEqual({
      originalSql: sql,
      catalog: "awsdatacatalog",
      schema: "library",
      columns: [
        { name: "a", type: "bigint" },
        { name: "b", type: "varchar" },
        { name: "c", type: "integer" },
      ],
    });
  });

  test("names what is not there", async () => {
    await expect(getTable("none")).rejects.toMatchObject({
      name: "EntityNotFoundException",
      message: expect.stringContaining("none"),
    });
    const elsewhere = new GetTableCommand({ DatabaseName: "nowhere", Name: "none" });
    await expect(glue.send(elsewhere)).rejects.toMatchObject({ name: "EntityNotFoundException" });
    const { Database } = await glue.send(new GetDatabaseCommand({ Name: "Library" }));
    expect(Database?.Name).toBe("library");
    await expect(glue.send(new GetDatabaseCommand({ Name: "nowhere" }))).rejects.toMatchObject({
      name: "EntityNotFoundException",
    });
  });
});

describe("UpdateTable", () => {
  test("changes columns and comments, by which Athena reads the same file, by position", async () => {
    const name = await createTable();
    const before = await getTable(name);
    await update(
      withColumns(before, [
        { Name: "first", Type: "string", Comment: "The first" },
        { Name: "Between", Type: "string" },
        { Name: "more", Type: "string" },
      ]),
    );

    expect(await query(`SELECT * FROM ${name}`)).toEqual([
      ["first", "between", "more"],
      ["1", "2", undefined],
    ]);
    const after = await getTable(name);
    expect(after.StorageDescriptor?.Columns?.[0]).toEqual({
      Name: "first",
      Type: "string",
      Comment: "The first",
    });
    expect(after.VersionId).toBe("1");
    expect(after.CreateTime).toEqual(before.CreateTime);
    const { TableMetadata } = await athena.send(
      new GetTableMetadataCommand({
        CatalogName: "AwsDataCatalog",
        DatabaseName: "library",
        TableName: name,
      }),
    );
    expect(TableMetadata?.Columns?.[0]).toEqual({ Name: "first", Type: "string", Comment: "The first" });
  });

  test("replaces the definition as a whole: what it does not say is gone", async () => {
    const name = await createTable();
    const { Parameters: _header, ...input } = inputOf(await getTable(name));
    await update(input);
    expect((await getTable(name)).Parameters).toBeUndefined();
    // The header is a row like any other now.
    expect(await query(`SELECT a FROM ${name}`)).toEqual([["a"], ["a"], ["1"]]);

    await update({ Name: name });
    expect((await getTable(name)).StorageDescriptor).toBeUndefined();
    expect((await attempt(`SELECT a FROM ${name}`)).reason).toContain("TableType is missing");
  });

  test.each<[string, (input: TableInput) => TableInput, string]>([
    [
      "a SerDe",
      (input) => ({ ...input, StorageDescriptor: { ...input.StorageDescriptor, SerdeInfo: {} } }),
      "SerDe",
    ],
    ["partition keys", ({ PartitionKeys: _none, ...input }) => input, "PartitionKeys are missing"],
    [
      "columns",
      (input) => ({ ...input, StorageDescriptor: { ...input.StorageDescriptor, Columns: [] } }),
      "no columns",
    ],
    [
      "a location",
      (input) => ({ ...input, StorageDescriptor: { ...input.StorageDescriptor, Location: "" } }),
      "s3://",
    ],
  ])("a table without %s can't be read, and says why; others can", async (_what, change, reason) => {
    const name = await createTable();
    const other = await createTable();
    await update(change(inputOf(await getTable(name))));

    expect((await attempt(`SELECT * FROM ${name}`)).reason).toContain(reason);
    expect(await query(`SELECT a FROM ${other}`)).toEqual([["a"], ["1"]]);
  });

  test("one column's name twice is read by nobody", async () => {
    const name = await createTable();
    const twice = [
      { Name: "a", Type: "string" },
      { Name: "A", Type: "string" },
    ];
    await update(withColumns(await getTable(name), twice));
    expect((await attempt(`SELECT * FROM ${name}`)).reason).toContain("Duplicate column name: a");
  });

  test("with the version that is there goes through, with an older one does not", async () => {
    const name = await createTable();
    const table = await getTable(name);
    await update(inputOf(table), table.VersionId);
    await expect(update({ Name: name }, table.VersionId)).rejects.toMatchObject({
      name: "ConcurrentModificationException",
    });
    expect(await getTable(name)).toMatchObject({
      VersionId: "1",
      StorageDescriptor: table.StorageDescriptor,
    });
    await update(inputOf(table));
    expect((await getTable(name)).VersionId).toBe("2");
  });

  test("of several at once with one version, one goes through", async () => {
    const name = await createTable();
    const table = await getTable(name);
    const ended = await Promise.allSettled(
      Array.from({ length: 5 }, (_, n) =>
        update(withColumns(table, [{ Name: `c${n}`, Type: "string" }]), table.VersionId),
      ),
    );
    expect(ended.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect((await getTable(name)).VersionId).toBe("1");
  });

  test("refuses what Glue refuses", async () => {
    const name = await createTable();
    const table = await getTable(name);
    const commented = (Comment: string) =>
      update(withColumns(table, [{ Name: "a", Type: "string", Comment }]));
    for (const comment of ["two\nlines", "bell\u0007", "x".repeat(256), "é".repeat(128), "\ud83d"]) {
      await expect(commented(comment)).rejects.toMatchObject({ name: "ValidationException" });
    }
    for (const comment of ["", "tab\there", "'\"`\\;--\u2028😀", "x".repeat(255), "é".repeat(127)]) {
      await commented(comment);
      expect((await getTable(name)).StorageDescriptor?.Columns?.[0]?.Comment).toBe(comment);
    }
    await expect(update({ Name: "none" })).rejects.toMatchObject({ name: "EntityNotFoundException" });
    const renamed = new UpdateTableCommand({
      DatabaseName: "library",
      Name: name,
      TableInput: { Name: "other" },
    });
    await expect(glue.send(renamed)).rejects.toMatchObject({ name: "InvalidInputException" });
  });

  test("outlives a restart", async () => {
    const name = await createTable();
    await update(withColumns(await getTable(name), [{ Name: "kept", Type: "string", Comment: "Stays" }]));
    const before = await getTable(name);
    await restart();
    expect(await getTable(name)).toEqual(before);
  });
});

describe("a view", () => {
  async function createView(): Promise<string> {
    const name = await createTable();
    await run(`CREATE VIEW v_${name} AS SELECT TRY_CAST(a AS bigint) AS a, b FROM ${name}`);
    return `v_${name}`;
  }

  test("takes comments of its columns, and gives the same rows", async () => {
    const name = await createView();
    const view = await getTable(name);
    const columns = (view.StorageDescriptor?.Columns ?? []).map((column) => ({
      ...column,
      Comment: `Column ${column.Name}`,
    }));
    await update(withColumns(view, columns), view.VersionId);

    expect((await getTable(name)).StorageDescriptor?.Columns).toEqual([
      { Name: "a", Type: "bigint", Comment: "Column a" },
      { Name: "b", Type: "string", Comment: "Column b" },
    ]);
    expect(await query(`SELECT * FROM ${name}`)).toEqual([
      ["a", "b"],
      ["1", "2"],
    ]);
  });

  test("that is created again has no comments any more, and a version more", async () => {
    const name = await createView();
    const view = await getTable(name);
    await update(
      withColumns(view, [
        { Name: "a", Type: "bigint", Comment: "Gone" },
        { Name: "b", Type: "string" },
      ]),
    );
    await run(`CREATE OR REPLACE VIEW ${name} AS SELECT 1 AS a`);
    expect(await getTable(name)).toMatchObject({ VersionId: "2", CreateTime: view.CreateTime });
    expect((await getTable(name)).StorageDescriptor?.Columns).toEqual([{ Name: "a", Type: "int" }]);
  });

  test.each<[string, Column[]]>([
    [
      "other names",
      [
        { Name: "x", Type: "bigint" },
        { Name: "b", Type: "string" },
      ],
    ],
    [
      "other types",
      [
        { Name: "a", Type: "string" },
        { Name: "b", Type: "string" },
      ],
    ],
    ["fewer columns", [{ Name: "a", Type: "bigint" }]],
  ])(
    "whose catalog entry has %s than its text is stale until it is created again",
    async (_what, columns) => {
      const name = await createView();
      await update(withColumns(await getTable(name), columns));
      expect((await attempt(`SELECT * FROM ${name}`)).reason).toContain("is stale or in invalid state");
      await run(`CREATE OR REPLACE VIEW ${name} AS SELECT 7 AS a`);
      expect(await query(`SELECT * FROM ${name}`)).toEqual([["a"], ["7"]]);
    },
  );

  test("whose text was replaced is read by the new text; one that promises what it does not select is stale", async () => {
    const name = await createView();
    const view = await getTable(name);
    const data = decodeView(view);
    const sql = data.originalSql.replace("AS bigint) AS a", "AS bigint) + 41 AS a");
    await update({ ...inputOf(view), ViewOriginalText: encodeView({ ...data, originalSql: sql }) });
    expect(await query(`SELECT a FROM ${name}`)).toEqual([["a"], ["42"]]);

    const untyped = data.originalSql.replace("AS bigint)", "AS varchar)");
    await update({ ...inputOf(view), ViewOriginalText: encodeView({ ...data, originalSql: untyped }) });
    expect((await attempt(`SELECT a FROM ${name}`)).reason).toContain("is stale or in invalid state");
  });

  test.each<[string, (input: TableInput) => TableInput]>([
    ["text", ({ ViewOriginalText: _gone, ...input }) => input],
    ["readable text", (input) => ({ ...input, ViewOriginalText: "/* Presto View: bm90IEpTT04= */" })],
    ["mark that it is Athena's", ({ Parameters: _gone, ...input }) => input],
  ])("without its %s can't be read, and can be created again", async (_what, change) => {
    const name = await createView();
    await update(change(inputOf(await getTable(name))));
    expect((await attempt(`SELECT * FROM ${name}`)).reason).toContain("can't be read as the catalog has it");
    await run(`CREATE OR REPLACE VIEW ${name} AS SELECT 7 AS a`);
    expect(await query(`SELECT * FROM ${name}`)).toEqual([["a"], ["7"]]);
  });
});

describe("a comment in CREATE EXTERNAL TABLE", () => {
  const commentOf = async (name: string) => (await getTable(name)).StorageDescriptor?.Columns?.[0]?.Comment;

  test.each([
    ["'it\\'s \\\"it\\\"'", 'it\'s "it"'],
    ['"it\'s"', "it's"],
    // Two strings side by side are one; a quote is not doubled in Hive.
    ["'it''s'", "its"],
    ["'a;b -- c /* d */ , `e` (f)'", "a;b -- c /* d */ , `e` (f)"],
    ["'C:\\\\new\\\\table'", "C:\\new\\table"],
    ["'\\\\'", "\\"],
    ["'😀 \\u00fc é'", "😀 ü é"],
    ["'a\\tb'", "a\tb"],
    ["'50\\\\% of\\\\_all'", "50\\% of\\_all"],
    ["'50\\% of\\_all'", "50\\% of\\_all"],
    ["'a\\qb'", "aqb"],
    ["''", ""],
  ])("%s", async (literal, comment) => {
    const columns = `\`a\` string COMMENT ${literal}, \`b\` string COMMENT 'the next'`;
    const name = await createTable(columns);
    expect(await commentOf(name)).toBe(comment);
    expect((await getTable(name)).StorageDescriptor?.Columns?.[1]?.Comment).toBe("the next");
    expect(await query(`SELECT b FROM ${name}`)).toEqual([["b"], ["2"]]);
  });

  test("of any text that Glue takes comes back, when backslash, quote and line breaks are escaped", async () => {
    const text = fc
      .oneof(
        fc.string({ unit: "binary", maxLength: 60 }),
        fc.string({
          unit: fc.constantFrom("\\", "'", '"', ";", "`", "u0041", "n", "%", "_", "0", "😀", "-- "),
          maxLength: 20,
        }),
      )
      .map((value) => value.replace(/[^\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}\t]/gu, ""));
    await fc.assert(
      fc.asyncProperty(text, async (comment) => {
        const literal = `'${comment.replace(/[\\']/g, "\\$&")}'`;
        expect(await commentOf(await createTable(`\`a\` string COMMENT ${literal}`))).toBe(comment);
      }),
      { numRuns: 40 },
    );
  });

  test("with a line break or a control character, which Hive's grammar knows and Glue refuses, makes no table", async () => {
    for (const literal of ["'two\\nlines'", "'two\nlines'", "'\\001'"]) {
      const { reason } = await attempt(
        `CREATE EXTERNAL TABLE broken (\`a\` string COMMENT ${literal})
         ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde' LOCATION 's3://data/broken/'`,
      );
      expect(reason).toContain("ValidationException");
    }
    await expect(getTable("broken")).rejects.toMatchObject({ name: "EntityNotFoundException" });
  });
});
