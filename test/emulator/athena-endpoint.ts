// Simulates the calls of Athena and Glue that the pipeline makes, because MiniStack's Athena does not support Athena's SQL.
// It serves their JSON protocol with the DuckDB engine, and keeps the tables' files and the results in MiniStack's S3.
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { GetObjectCommand, PutObjectCommand, paginateListObjectsV2, type S3Client } from "@aws-sdk/client-s3";
import { parse } from "csv-parse/sync";
import { z } from "zod";
import { DuckDbQueryEngine } from "../../shared/local/duckdb.ts";
import { LocalStore } from "../../shared/local/local-store.ts";
import { LocalDatabase } from "../../shared/local/sqlite.ts";
import { parquetType } from "../../shared/parquet.ts";
import { account, region } from "../stacks/evaluate/graph.ts";
import { listenOnLoopback } from "../support/loopback.ts";

// https://docs.aws.amazon.com/glue/latest/webapi/API_Column.html
const line = z
  .string()
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, "has a line break or a control character")
  .refine((value) => Buffer.byteLength(value) <= 255, "has more than 255 bytes");
const column = z.strictObject({ Name: line, Type: z.string(), Comment: line.optional() });
const tableInput = z.looseObject({
  Name: z.string(),
  TableType: z.enum(["EXTERNAL_TABLE", "VIRTUAL_VIEW"]),
  Parameters: z.record(z.string(), z.string()),
  StorageDescriptor: z.looseObject({
    Columns: z.array(column),
    Location: z.string(),
    SerdeInfo: z.looseObject({
      SerializationLibrary: z.string().optional(),
      Parameters: z.record(z.string(), z.string()),
    }),
  }),
});
type Table = { version: number; input: z.infer<typeof tableInput> };
type Database = { engine: DuckDbQueryEngine; tables: Map<string, Table> };
/** `ddl` is the outcome of a statement other than SELECT, which ends at once. */
type Execution = { database: Database; workGroup: string; location: string; ddl?: { reason?: string } };

const location = z.object({ OutputLocation: z.string().startsWith("s3://").optional() }).optional();
const byId = z.object({ QueryExecutionId: z.string() });
const byName = z.object({ DatabaseName: z.string(), Name: z.string() });
const startInput = z.object({
  QueryString: z.string().min(1).max(262_144),
  ClientRequestToken: z.string().min(32).max(128).optional(),
  QueryExecutionContext: z.object({ Database: z.string() }),
  ResultConfiguration: location,
  WorkGroup: z.string(),
});
const resultsInput = byId.extend({ MaxResults: z.int().min(1).max(1_000) });
const createDatabaseInput = z.strictObject({ DatabaseInput: z.strictObject({ Name: z.string() }) });
const createInput = z.strictObject({ DatabaseName: z.string(), TableInput: tableInput });
const updateInput = createInput.extend({ VersionId: z.string(), SkipArchive: z.boolean() });
/** Hive's types with other names. */
const parquetTypes: Record<string, string> = {
  string: "text",
  "array<string>": "texts",
  bigint: "integer",
  double: "number",
};
/** The only statement other than SELECT, as shared/aws/hive.ts writes it. */
const createView = /^CREATE OR REPLACE VIEW "(\w+)"\."(\w+)" AS\n(.+)$/s;

/** A call as IAM sees it: its action, and every resource that the caller needs a permission for. */
export type EngineCall = { accessKey: string; action: string; resources: string[] };
const named = z.object({ Name: z.string() });
const resourceNames = z.object({
  WorkGroup: z.string().optional(),
  QueryExecutionId: z.string().optional(),
  DatabaseName: z.string().optional(),
  Name: z.string().optional(),
  DatabaseInput: named.optional(),
  TableInput: named.optional(),
});

/** An error response, which the SDK throws as an error with this name. */
class ServiceError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

/** Starts the endpoint of both APIs. It sends no event when a query ends; the service polls instead. */
export async function startAthena({
  dataDir,
  s3,
  resultsOf,
  onCall = () => {},
}: {
  dataDir: string;
  s3: S3Client;
  /** The results folder that each workgroup enforces. Other workgroups enforce none. */
  resultsOf: ReadonlyMap<string, string>;
  onCall?: (call: EngineCall) => void;
}): Promise<{ endpoint: string; close(): Promise<void> }> {
  await mkdir(dataDir, { recursive: true });
  const store = new LocalDatabase(":memory:");
  const databases = new Map<string, Database>();
  const executions = new Map<string, Execution>();

  function openDatabase(name: string): void {
    const engine = new DuckDbQueryEngine({
      database: name,
      catalog: new LocalStore(store, { bucket: name, folder: dataDir, keepsVersions: false }),
      // Here the engine's folders and keys are s3:// URIs.
      filesIn: download,
      adopt: upload,
      temporaryFolder: join(dataDir, "results"),
      onEnd: async () => {},
    });
    databases.set(name, { engine, tables: new Map() });
  }

  async function download(uri: string): Promise<string[]> {
    const { Bucket, Key: Prefix } = locationOf(uri);
    const paths: string[] = [];
    for await (const { Contents = [] } of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix })) {
      for (const { Key } of Contents) {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
        const path = join(dataDir, `${randomUUID()}.csv`);
        await writeFile(path, (await Body?.transformToByteArray()) ?? "");
        paths.push(path);
      }
    }
    return paths;
  }

  async function upload(uri: string, path: string): Promise<void> {
    await s3.send(
      new PutObjectCommand({ ...locationOf(uri), Body: await readFile(path), ContentType: "text/csv" }),
    );
    await rm(path);
  }

  async function runStatement(sql: string): Promise<{ reason?: string }> {
    try {
      const [, databaseName = "", name = "", select] = createView.exec(sql) ?? [];
      if (select === undefined) throw new Error("(SYNTAX_ERROR)");
      const database = findDatabase(databaseName);
      const { columns } = await database.engine.firstRows(select, "", 0);
      await database.engine.defineView(name, { select, comments: new Map() });
      const version = (database.tables.get(name)?.version ?? -1) + 1;
      await putTable(database, viewOf(name, columns), version);
      return {};
    } catch (error) {
      const message = String(error);
      return { reason: /\((\w+)\)/.exec(message)?.[1] ?? message };
    }
  }

  async function putTable(
    { engine, tables }: Database,
    table: Table["input"],
    version: number,
  ): Promise<void> {
    const input = tableInput.parse(table);
    const { Columns, Location, SerdeInfo } = input.StorageDescriptor;
    if (input.TableType === "EXTERNAL_TABLE") {
      const stored = await engine.table(input.Name);
      if (SerdeInfo.SerializationLibrary === "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe") {
        const columns = Columns.map(({ Name, Type, Comment = "" }) => ({
          ...{ name: Name, comment: Comment },
          type: parquetType.parse(parquetTypes[Type] ?? Type),
        }));
        await engine.defineTable(
          input.Name,
          { format: "parquet", columns, folder: Location },
          stored?.version,
        );
        tables.set(input.Name, { version, input });
        return;
      }
      const { separatorChar, quoteChar, escapeChar } = SerdeInfo.Parameters;
      const dialect = [SerdeInfo.SerializationLibrary, separatorChar, quoteChar, escapeChar];
      const skipped = input.Parameters["skip.header.line.count"];
      if (dialect.join() !== 'org.apache.hadoop.hive.serde2.OpenCSVSerde,,,",\u0001' || skipped !== "1") {
        throw new ServiceError("InvalidInputException", "This endpoint only reads the published CSV.");
      }
      const columns = Columns.map(({ Name, Comment = "" }) => ({ name: Name, comment: Comment }));
      await engine.defineTable(input.Name, { format: "csv", columns, folder: Location }, stored?.version);
    }
    tables.set(input.Name, { version, input });
  }

  function findDatabase(name: string): Database {
    const database = databases.get(name);
    if (database) return database;
    throw new ServiceError("EntityNotFoundException", `Database ${name} not found.`);
  }

  function findTable({ DatabaseName, Name }: z.infer<typeof byName>): Table {
    const table = databases.get(DatabaseName)?.tables.get(Name);
    if (table) return table;
    throw new ServiceError("EntityNotFoundException", `Table ${DatabaseName}.${Name} not found.`);
  }

  function findExecution(id: string): Execution {
    const execution = executions.get(id);
    if (execution) return execution;
    throw new ServiceError("InvalidRequestException", `QueryExecution ${id} was not found`);
  }

  /**
   * A call to Glue needs permissions on the resource and on its parents.
   * https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html
   */
  function resourcesOf(input: unknown): string[] {
    const { WorkGroup, QueryExecutionId, DatabaseName, Name, ...inputs } = resourceNames.parse(input);
    const workgroup = WorkGroup ?? executions.get(QueryExecutionId ?? "")?.workGroup;
    if (workgroup !== undefined) return [`arn:aws:athena:${region}:${account}:workgroup/${workgroup}`];
    const databaseName = DatabaseName ?? inputs.DatabaseInput?.Name;
    const table = Name ?? inputs.TableInput?.Name;
    const paths = [
      "catalog",
      `database/${databaseName}`,
      ...(table ? [`table/${databaseName}/${table}`] : []),
    ];
    return paths.map((path) => `arn:aws:glue:${region}:${account}:${path}`);
  }

  const operations: Record<string, (input: unknown) => Promise<object> | object> = {
    async "AmazonAthena.StartQueryExecution"(input) {
      const { QueryString: sql, ClientRequestToken: token, ...request } = startInput.parse(input);
      const found = resultsOf.get(request.WorkGroup) ?? request.ResultConfiguration?.OutputLocation;
      if (!found) throw new ServiceError("InvalidRequestException", "No output location is provided.");
      const name = request.QueryExecutionContext.Database;
      const execution = {
        database: findDatabase(name),
        workGroup: request.WorkGroup,
        location: found.replace(/\/$/, ""),
      };
      if (!/^\s*CREATE\s/i.test(sql)) {
        const { engine } = execution.database;
        const id = await engine.start(sql, execution.location, token ?? randomUUID());
        executions.set(id, execution);
        return { QueryExecutionId: id };
      }
      const id = randomUUID();
      const ddl = await runStatement(sql);
      executions.set(id, { ...execution, ddl });
      return { QueryExecutionId: id };
    },

    async "AmazonAthena.GetQueryExecution"(input) {
      const { QueryExecutionId } = byId.parse(input);
      const { database, ddl, ...execution } = findExecution(QueryExecutionId);
      const query = ddl
        ? { ...ddl, state: ddl.reason === undefined ? "SUCCEEDED" : "FAILED", retryable: false }
        : await database.engine.get(QueryExecutionId);
      const isFailed = query.state === "FAILED";
      return {
        QueryExecution: {
          QueryExecutionId,
          WorkGroup: execution.workGroup,
          ResultConfiguration: {
            OutputLocation: `${execution.location}/${QueryExecutionId}.${ddl ? "txt" : "csv"}`,
          },
          Status: {
            State: query.state,
            ...(isFailed && {
              StateChangeReason: `${query.reason}: of DuckDB`,
              AthenaError: { Retryable: query.retryable },
            }),
          },
        },
      };
    },

    async "AmazonAthena.GetQueryResults"(input) {
      const { QueryExecutionId, MaxResults } = resultsInput.parse(input);
      const { output = "" } = await findExecution(QueryExecutionId).database.engine.get(QueryExecutionId);
      const { Body } = await s3.send(new GetObjectCommand(locationOf(output)));
      const cast = (value: string, { quoting }: { quoting: boolean }) => (quoting ? value : undefined);
      const rows = z
        .array(z.array(z.string().optional()))
        .parse(parse((await Body?.transformToString()) ?? "", { record_delimiter: "\n", cast }));
      const Rows = rows.slice(0, MaxResults).map((row) => ({
        Data: row.map((value) => ({ VarCharValue: value })),
      }));
      return { ResultSet: { Rows } };
    },

    "AWSGlue.GetTable"(input) {
      const name = byName.parse(input);
      const table = findTable(name);
      return {
        Table: { ...table.input, DatabaseName: name.DatabaseName, VersionId: String(table.version) },
      };
    },

    "AWSGlue.CreateDatabase"(input) {
      const { DatabaseInput } = createDatabaseInput.parse(input);
      if (databases.has(DatabaseInput.Name))
        throw new ServiceError("AlreadyExistsException", "Database already exists.");
      openDatabase(DatabaseInput.Name);
      return {};
    },

    async "AWSGlue.CreateTable"(input) {
      const { DatabaseName, TableInput } = createInput.parse(input);
      const database = findDatabase(DatabaseName);
      if (database.tables.has(TableInput.Name))
        throw new ServiceError("AlreadyExistsException", "Table already exists.");
      await putTable(database, TableInput, 0);
      return {};
    },

    async "AWSGlue.UpdateTable"(input) {
      const { DatabaseName, TableInput, VersionId } = updateInput.parse(input);
      const { version } = findTable({ DatabaseName, Name: TableInput.Name });
      if (VersionId !== String(version))
        throw new ServiceError("ConcurrentModificationException", "Another call changed the table.");
      await putTable(findDatabase(DatabaseName), TableInput, version + 1);
      return {};
    },
  };

  const server = createServer((request, response) => {
    const send = (status: number, body: object) =>
      response.writeHead(status, { "content-type": "application/x-amz-json-1.1" }).end(JSON.stringify(body));
    const respond = async (): Promise<object> => {
      const target = String(request.headers["x-amz-target"]);
      const operation = operations[target];
      if (!operation)
        throw new ServiceError("UnknownOperationException", `This endpoint does not support ${target}.`);
      const input: unknown = JSON.parse(await text(request));
      const [, accessKey = ""] = /Credential=(\w+)\//.exec(request.headers.authorization ?? "") ?? [];
      const [, service = "", action = ""] = /^(?:Amazon|AWS)(\w+)\.(\w+)$/.exec(target) ?? [];
      onCall({ accessKey, action: `${service.toLowerCase()}:${action}`, resources: resourcesOf(input) });
      return operation(input);
    };
    respond().then(
      (body) => send(200, body),
      // Other errors, such as an invalid input, are errors of the caller too, so that the SDK does not retry them.
      (error: unknown) => {
        const { name, message } = error instanceof Error ? error : new Error(String(error));
        send(400, { __type: error instanceof ServiceError ? name : "ValidationException", message });
      },
    );
  });
  const { endpoint, close } = await listenOnLoopback(server);
  return {
    endpoint,
    async close() {
      await close();
      for (const { engine } of databases.values()) await engine.close();
      store.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function locationOf(uri: string): { Bucket: string; Key: string } {
  const [, Bucket = "", Key = ""] = /^s3:\/\/([^/]+)\/(.*)$/.exec(uri) ?? [];
  return { Bucket, Key };
}

/** Returns a view as Athena defines it in Glue, except for the columns' types and the view's text. */
function viewOf(name: string, columns: readonly string[]): Table["input"] {
  return {
    Name: name,
    TableType: "VIRTUAL_VIEW",
    PartitionKeys: [],
    Parameters: { presto_view: "true" },
    ViewOriginalText: "/* Presto View */",
    ViewExpandedText: "/* Presto View */",
    StorageDescriptor: {
      Columns: columns.map((Name) => ({ Name, Type: "string" })),
      Location: "",
      SerdeInfo: { Parameters: {} },
    },
  };
}
