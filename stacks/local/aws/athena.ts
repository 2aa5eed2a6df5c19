// Athena for one machine: an endpoint that the AWS SDK takes for Athena, and one for the Glue Data Catalog, which is its
// catalog. Queries run on DuckDB over the objects in S3, results go to S3, and each query's end goes to EventBridge, as
// on AWS.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import type { S3Client } from "@aws-sdk/client-s3";
import { z } from "zod";
import {
  applyDdl,
  catalog,
  emptyCatalog,
  findRelation,
  type Relation,
  type WorkGroup,
} from "./athena-catalog.ts";
import { parseS3Uri, parseStatement, QueryError, statementType } from "./athena-ddl.ts";
import { describeView, type EngineQuery, select } from "./athena-engine.ts";
import { type Execution, type Outcome, openQueries } from "./athena-queries.ts";
import { readCsv, writeCsv, writeEmpty } from "./athena-results.ts";
import { AwsJsonError, type Operation, startAwsJson } from "./aws-json.ts";
import { tellDefaultBus } from "./default-bus.ts";
import { glueOperations } from "./glue.ts";
import { openJsonFile } from "./json-file.ts";

const outputLocation = z.object({ OutputLocation: z.string().optional() }).optional();

const startInput = z.object({
  // https://docs.aws.amazon.com/athena/latest/APIReference/API_StartQueryExecution.html
  QueryString: z.string().min(1).max(262_144),
  ClientRequestToken: z.string().min(32).max(128).optional(),
  QueryExecutionContext: z
    .object({
      Database: z.string().min(1).max(255).optional(),
      Catalog: z
        .string()
        .regex(/^awsdatacatalog$/i, "there is one catalog, AwsDataCatalog")
        .optional(),
    })
    .optional(),
  ResultConfiguration: outputLocation,
  WorkGroup: z.string().default("primary"),
  ExecutionParameters: z.undefined("this local Athena takes no parameters").optional(),
});

const byId = z.object({ QueryExecutionId: z.string().min(1).max(128) });
const page = { MaxResults: z.int().min(1).max(1_000).default(1_000), NextToken: z.string().optional() };

/**
 * Starts the two endpoints. Catalog and query history are kept below `dataDir` and are there again at the next start;
 * a query that a stop cut off is run again then.
 * @param options.s3 where tables' objects lie and results go
 * @param options.events takes `Athena Query State Change`, on the default bus
 * @throws Error naming the file below `dataDir` that is damaged
 */
export async function startAthena(options: {
  dataDir: string;
  s3: S3Client;
  events: EventBridgeClient;
}): Promise<{ endpoint: string; glueEndpoint: string; close(): Promise<void> }> {
  const { dataDir, s3, events } = options;
  const spill = join(dataDir, "spill");
  // Of a process that died.
  await rm(spill, { recursive: true, force: true });
  const kept = await openJsonFile(join(dataDir, "data-catalog.json"), catalog, emptyCatalog);
  const queries = await openQueries({
    file: join(dataDir, "queries.json"),
    execute,
    ended: (execution, previous) => sendStateChange(events, execution, previous),
  });

  async function execute(execution: Execution, signal: AbortSignal): Promise<Outcome> {
    const { sql, database } = execution.request;
    const place = resultPlace(execution);
    const statement = parseStatement(sql, database);
    const query: EngineQuery = {
      catalog: kept.value,
      database,
      s3,
      spillDirectory: join(spill, execution.id),
      signal,
    };
    if (statement.kind === "select") {
      return await select(query, sql, async ({ columns, rows, scannedBytes }) => {
        const header = columns.map((column) => column.name);
        await writeCsv(s3, place, header, rows, signal);
        return { columns, scannedBytes };
      });
    }
    const viewColumns = statement.kind === "create view" ? await describeView(query, statement.sql) : [];
    await kept.replace(
      applyDdl(kept.value, statement, { at: seconds(Date.now()), context: database, viewColumns }),
    );
    await writeEmpty(s3, place, signal);
    return { columns: [], scannedBytes: 0 };
  }

  function findQuery(id: string): Execution {
    const found = queries.find(id);
    if (found) return found;
    throw invalid(`QueryExecution ${id} was not found`);
  }

  function findWorkGroup(name: string): WorkGroup {
    const found = kept.value.workGroups.find((group) => group.name === name);
    if (found) return found;
    throw invalid(`WorkGroup ${name} is not found.`);
  }

  const operations: Record<string, Operation> = {
    StartQueryExecution: operation(startInput, async (input) => {
      const group = findWorkGroup(input.WorkGroup);
      const requested = input.ResultConfiguration?.OutputLocation;
      const outputFolder = group.enforced
        ? (group.outputLocation ?? requested)
        : (requested ?? group.outputLocation);
      const { id } = await queries.start({
        request: {
          sql: input.QueryString,
          database: input.QueryExecutionContext?.Database?.toLowerCase(),
          workGroup: group.name,
          outputFolder: parseOutputFolder(outputFolder),
        },
        statementType: statementType(input.QueryString),
        token: input.ClientRequestToken,
      });
      return { QueryExecutionId: id };
    }),

    GetQueryExecution: operation(byId, (input) => ({
      QueryExecution: describeExecution(findQuery(input.QueryExecutionId)),
    })),

    BatchGetQueryExecution: operation(
      z.object({ QueryExecutionIds: z.array(z.string()).min(1).max(50) }),
      ({ QueryExecutionIds: ids }) => ({
        QueryExecutions: ids.flatMap((id) => queries.find(id) ?? []).map(describeExecution),
        UnprocessedQueryExecutionIds: ids
          .filter((id) => !queries.find(id))
          .map((id) => ({ QueryExecutionId: id, ErrorCode: "INVALID_QUERY_EXECUTION_ID" })),
      }),
    ),

    ListQueryExecutions: operation(
      z.object({
        MaxResults: z.int().min(0).max(50).default(50),
        NextToken: z.string().optional(),
        WorkGroup: z.string().default("primary"),
      }),
      (input) => {
        const ids = queries
          .list()
          .filter((it) => it.request.workGroup === input.WorkGroup)
          .map((it) => it.id);
        const from = input.NextToken === undefined ? 0 : ids.indexOf(input.NextToken);
        if (from < 0) throw invalid("The NextToken is not one that this operation gave out.");
        const to = from + (input.MaxResults || 50);
        return { QueryExecutionIds: ids.slice(from, to), NextToken: ids[to] };
      },
    ),

    GetQueryResults: operation(byId.extend(page), async (input) => {
      const execution = findQuery(input.QueryExecutionId);
      if (execution.state !== "SUCCEEDED") {
        throw invalid(`Query did not finish successfully. Its state is ${execution.state}.`);
      }
      const from = input.NextToken === undefined ? 0 : Number(input.NextToken);
      if (!Number.isSafeInteger(from) || from < 0) {
        throw invalid("The NextToken is not one that this operation gave out.");
      }
      const { rows, next } = await readCsv(s3, resultPlace(execution), from, input.MaxResults);
      return {
        ResultSet: {
          Rows: rows.map((row) => ({ Data: row.map((field) => ({ VarCharValue: field ?? undefined })) })),
          ResultSetMetadata: { ColumnInfo: execution.columns.map(describeResultColumn) },
        },
        UpdateCount: 0,
        NextToken: next === undefined ? undefined : String(next),
      };
    }),

    StopQueryExecution: operation(byId, async (input) => {
      await queries.stop(findQuery(input.QueryExecutionId).id);
      return {};
    }),

    GetTableMetadata: operation(
      z.object({ CatalogName: z.string(), DatabaseName: z.string(), TableName: z.string() }),
      (input) => {
        const named = { database: input.DatabaseName.toLowerCase(), name: input.TableName.toLowerCase() };
        const relation = findRelation(kept.value, named);
        if (relation) return { TableMetadata: describeRelation(relation) };
        throw new AwsJsonError(
          "MetadataException",
          `EntityNotFoundException: Table ${named.database}.${named.name} not found.`,
        );
      },
    ),

    CreateWorkGroup: operation(
      z.object({
        Name: z.string().regex(/^[\w.-]{1,128}$/),
        Description: z.string().max(1_024).optional(),
        Configuration: z
          .object({
            EnforceWorkGroupConfiguration: z.boolean().default(true),
            ResultConfiguration: outputLocation,
          })
          .prefault({}),
      }),
      async ({ Name: name, Description: description, Configuration: configuration }) => {
        if (kept.value.workGroups.some((group) => group.name === name)) {
          throw invalid("WorkGroup is already created");
        }
        const location = configuration.ResultConfiguration?.OutputLocation;
        const group: WorkGroup = {
          name,
          description,
          outputLocation: location === undefined ? undefined : parseOutputFolder(location),
          enforced: configuration.EnforceWorkGroupConfiguration,
          createdAt: seconds(Date.now()),
        };
        await kept.replace({ ...kept.value, workGroups: [...kept.value.workGroups, group] });
        return {};
      },
    ),

    GetWorkGroup: operation(z.object({ WorkGroup: z.string() }), (input) => {
      const group = findWorkGroup(input.WorkGroup);
      return {
        WorkGroup: {
          Name: group.name,
          State: "ENABLED",
          Description: group.description,
          CreationTime: group.createdAt,
          Configuration: {
            EnforceWorkGroupConfiguration: group.enforced,
            ResultConfiguration: { OutputLocation: group.outputLocation },
          },
        },
      };
    }),
  };

  const server = await startAwsJson({ name: "Athena", target: "AmazonAthena", operations });
  const glue = await startAwsJson({ name: "Glue", target: "AWSGlue", operations: glueOperations(kept) });
  return {
    endpoint: server.endpoint,
    glueEndpoint: glue.endpoint,
    close: async () => {
      await glue.close();
      await server.close();
      await queries.close();
      await rm(spill, { recursive: true, force: true });
    },
  };
}

/** As `operation` of aws-json.ts, with Athena's name for an input that does not fit. */
function operation<S extends z.ZodType>(
  shape: S,
  handle: (input: z.infer<S>) => Promise<unknown> | unknown,
): Operation {
  return async (input) => {
    const parsed = shape.safeParse(input);
    if (!parsed.success) throw invalid(z.prettifyError(parsed.error));
    return await handle(parsed.data);
  };
}

function invalid(message: string): AwsJsonError {
  return new AwsJsonError("InvalidRequestException", message);
}

/** The folder with its slash, whether it came with one or not. */
function parseOutputFolder(location: string | undefined): string {
  if (location === undefined) {
    throw invalid(
      "No output location provided. An output location is required either through the Workgroup result " +
        "configuration setting or as an API input.",
    );
  }
  try {
    parseS3Uri(location);
  } catch (error) {
    throw invalid(error instanceof QueryError ? `OutputLocation: ${error.message}` : "OutputLocation");
  }
  return location.endsWith("/") ? location : `${location}/`;
}

function resultUri({ id, statementType, request }: Execution): string {
  return `${request.outputFolder}${id}.${statementType === "DML" ? "csv" : "txt"}`;
}

function resultPlace(execution: Execution): { bucket: string; key: string } {
  return parseS3Uri(resultUri(execution));
}

/** Times of the AWS JSON protocol. */
function seconds(milliseconds: number): number {
  return milliseconds / 1_000;
}

// https://docs.aws.amazon.com/athena/latest/APIReference/API_QueryExecution.html
function describeExecution(execution: Execution): object {
  const { request, submittedAt, startedAt = submittedAt, completedAt } = execution;
  const now = completedAt ?? Date.now();
  return {
    QueryExecutionId: execution.id,
    Query: request.sql,
    StatementType: execution.statementType,
    ResultConfiguration: { OutputLocation: resultUri(execution) },
    QueryExecutionContext: { Database: request.database, Catalog: "awsdatacatalog" },
    WorkGroup: request.workGroup,
    EngineVersion: { SelectedEngineVersion: "AUTO", EffectiveEngineVersion: "Athena engine version 3" },
    Status: {
      State: execution.state,
      StateChangeReason: execution.reason,
      SubmissionDateTime: seconds(submittedAt),
      CompletionDateTime: completedAt === undefined ? undefined : seconds(completedAt),
      AthenaError:
        execution.state === "FAILED"
          ? {
              // 1: of the system, 2: of the user.
              ErrorCategory: execution.userError ? 2 : 1,
              Retryable: !execution.userError,
              ErrorMessage: execution.reason,
            }
          : undefined,
    },
    Statistics: {
      EngineExecutionTimeInMillis: now - startedAt,
      QueryQueueTimeInMillis: startedAt - submittedAt,
      TotalExecutionTimeInMillis: now - submittedAt,
      DataScannedInBytes: execution.scannedBytes,
    },
  };
}

function describeResultColumn({ name, type }: { name: string; type: string }): object {
  return {
    CatalogName: "hive",
    SchemaName: "",
    TableName: "",
    Name: name,
    Label: name,
    Type: type,
    Nullable: "UNKNOWN",
    CaseSensitive: type === "varchar",
  };
}

// https://docs.aws.amazon.com/athena/latest/APIReference/API_TableMetadata.html
function describeRelation({ definition, createdAt }: Relation): object {
  const { Columns = [], Location, InputFormat, OutputFormat, SerdeInfo } = definition.StorageDescriptor ?? {};
  const serdeParameters = Object.entries(SerdeInfo?.Parameters ?? {});
  return {
    Name: definition.Name,
    CreateTime: createdAt,
    TableType: definition.TableType,
    Columns: Columns.map(({ Name, Type, Comment }) => ({ Name, Type, Comment })),
    PartitionKeys: definition.PartitionKeys,
    Parameters: {
      ...definition.Parameters,
      inputformat: InputFormat,
      location: Location,
      outputformat: OutputFormat,
      "serde.serialization.lib": SerdeInfo?.SerializationLibrary,
      ...Object.fromEntries(serdeParameters.map(([name, value]) => [`serde.param.${name}`, value])),
    },
  };
}

/** https://docs.aws.amazon.com/athena/latest/ug/athena-events.html */
function sendStateChange(
  events: EventBridgeClient,
  execution: Execution,
  previousState: "QUEUED" | "RUNNING",
): Promise<void> {
  const entry = {
    Source: "aws.athena",
    DetailType: "Athena Query State Change",
    Detail: JSON.stringify({
      versionId: "0",
      currentState: execution.state,
      previousState,
      statementType: execution.statementType,
      queryExecutionId: execution.id,
      workgroupName: execution.request.workGroup,
      sequenceNumber: previousState === "RUNNING" ? "3" : "2",
    }),
  };
  const what = `The local Athena could not send the event that query ${execution.id} ended`;
  return tellDefaultBus(events, entry, what);
}
