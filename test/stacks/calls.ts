// Records the AWS calls of every service: its handler and the AWS adapters run with the variables of the deployed function,
// on SDK clients whose middleware responds from memory. The names of the actions are those of AWS's reference:
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import type { ServiceOutputTypes as AthenaOutput } from "@aws-sdk/client-athena";
import type { ServiceOutputTypes as Ec2Output } from "@aws-sdk/client-ec2";
import type { ServiceOutputTypes as BusOutput } from "@aws-sdk/client-eventbridge";
import { EntityNotFoundException, type ServiceOutputTypes as GlueOutput } from "@aws-sdk/client-glue";
import { NotFound, type ServiceOutputTypes as S3Output, S3ServiceException } from "@aws-sdk/client-s3";
import type { ServiceOutputTypes as SnsOutput } from "@aws-sdk/client-sns";
import type { ServiceOutputTypes as SqsOutput } from "@aws-sdk/client-sqs";
import type { SQSRecord } from "aws-lambda";
import { vi } from "vitest";
import { z } from "zod";
import { athena, eventBridge, glue, s3, sns, sqs } from "../../shared/aws/clients.ts";
import { ec2 } from "../../shared/aws/ec2.ts";
import { folder, viewNames } from "../../shared/dataset.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { instanceTag } from "../../shared/instances.ts";
import { type QueueName, queueNames } from "../../shared/topology.ts";
import { recordOf, recordsOf } from "../factories/records.ts";
import { account, type Graph, region } from "./evaluate/graph.ts";
import { all } from "./stages.ts";
import { lambda, only, wiringOf } from "./wiring.ts";

/** A call as IAM sees it. */
export type Call = { service: QueueName; action: string; resource: string; tags?: Record<string, string> };

type Message = { id: string; body: string; isHidden: boolean };
type StoredObject = { bytes: Buffer; etag: string; contentType: string; metadata: Record<string, string> };

const { publish, name: dataset } = defaultDataset;
const instanceId = "i-0123456789abcdef0";
const foreignInstanceId = "i-0fedcba9876543210";
const instanceTags = { [instanceTag.key]: instanceTag.value };
/** Two windows. */
const range = { from: "2021-12-02", to: "2023-06-30" };
/** More calls of handlers than any scenario needs. */
const maxInvocations = 500;
/** More than an upload takes in one part, and than a message may have. */
const longComment = "x".repeat(60_000);
const first = { step: "initialize", priority: "high" } as const;
const $metadata = {};

const handlers = {
  kickoff: () => import("../../services/kickoff/handler.ts"),
  fetcher: () => import("../../services/fetcher/handler.ts"),
  transformer: () => import("../../services/transformer/handler.ts"),
  assembler: () => import("../../services/assembler/handler.ts"),
  athena: () => import("../../services/athena/handler.ts"),
  tableau: () => import("../../services/tableau/handler.ts"),
  reporter: () => import("../../services/reporter/handler.ts"),
  ec2: () => import("../../services/ec2/handler.ts"),
  replay: () => import("../../services/replay/handler.ts"),
};

/** Returns every distinct call of two runs and of what surrounds them: retries, dead letters, replays and daily checks. */
export async function recordCalls(graph: Graph): Promise<Call[]> {
  const source = await startSource();
  const stage = new RecordingStage(graph, source.url);
  try {
    stage.event("instance.start.requested", { dataset, reason: "a schedule" }, "2026-01-05T05:45:00Z");
    stage.event("run.requested", { dataset, reason: "a schedule", ...range }, "2026-01-05T06:00:00Z");
    // Until the assembler has seen the shifted pages, so that it fetches their window again.
    await stage.deliver({ until: "assembler" });
    source.pages = "settled";
    stage.failUploadTo = publish.results;
    await stage.deliver();
    stage.expectPublished();

    source.pages = "shrunk";
    stage.failUploadTo = "/held/data.csv";
    stage.event("run.requested", { dataset, reason: "a schedule", ...range }, "2026-01-12T06:00:00Z");
    await stage.deliver();

    stage.event("instance.stop.requested", { instanceId, reason: "an operator" });
    stage.event("instance.start.requested", { instanceId: foreignInstanceId, reason: "an operator" });
    stage.event("freshness.check.requested", { dataset });
    stage.event("instances.check.requested", {});
    await stage.deliver();
    stage.expectNoDeadLetters();

    stage.event("results.published", {
      runId: "unknown-0123456789ab",
      dataset: "unknown",
      queryExecutionId: "unknown",
      bucket: "unknown",
      key: "unknown",
      rows: 1,
    });
    for (const name of queueNames) stage.send(name, "a message that no service can read");
    await stage.deliver();
    for (const filter of [{ run: "unknown-0123456789ab" }, {}]) {
      stage.event("deadletter.replay.requested", { ...filter, reason: "an operator" });
      stage.event("deadletter.replay.requested", { ...filter, queue: "replay", reason: "an operator" });
      await stage.deliver();
    }
    return stage.calls;
  } finally {
    stage.close();
    await source.close();
  }
}

class RecordingStage {
  readonly #graph: Graph;
  readonly #functions: { service: QueueName; variables: Record<string, string> }[];
  readonly #batchSizes: Record<string, { batchSize: number }>;
  readonly #rules: { type: string; queue: string }[];
  readonly #sourceUrl: string;

  readonly #calls = new Map<string, Call>();
  #caller: QueueName = "kickoff";
  readonly #queues = new Map<string, Message[]>();
  /** Bodies that a service got: each is delivered twice, and not again. */
  readonly #delivered = new Set<string>();
  readonly #objects = new Map<string, StoredObject>();
  readonly #uploads = new Map<string, Map<number, Buffer>>();
  readonly #tables = new Set<string>();
  readonly #queries = new Map<string, string>();
  #instanceState = "stopped";
  /** The next part of an upload to a key with this end fails. */
  failUploadTo: string | undefined;

  constructor(graph: Graph, sourceUrl: string) {
    this.#graph = graph;
    this.#sourceUrl = sourceUrl;
    const wiring = wiringOf(graph);
    this.#batchSizes = wiring.queues;
    this.#rules = wiring.rules.flatMap(({ pattern, queue }) =>
      rulePattern.parse(pattern)["detail-type"].map((type) => ({ type, queue })),
    );
    const found = all(graph, "aws:lambda/function:Function", lambda);
    this.#functions = queueNames.map((service) => {
      const { is } = only(found.filter(({ name }) => name.toLowerCase() === `${service}function`));
      return { service, variables: is.environment.variables };
    });
    // SST reads secrets from the environment when it is first loaded; on AWS they are beside the function's code.
    for (const name of ["LibInsightClientId", "LibInsightClientSecret", "TableauTokenSecret"])
      process.env[`SST_RESOURCE_${name}`] = JSON.stringify({ value: "a-secret" });
    this.#intercept();
  }

  get calls(): Call[] {
    return [...this.#calls.values()];
  }

  close(): void {
    vi.unstubAllEnvs();
  }

  /** Puts an event on the pipeline's bus. Equal events have the same id. */
  event(type: string, detail: unknown, time = "2026-01-12T07:00:00Z"): void {
    const id = hashOf(JSON.stringify([type, detail, time]));
    const body = JSON.stringify({ id, source: "libinsight.pipeline", "detail-type": type, time, detail });
    for (const rule of this.#rules.filter((each) => each.type === type)) this.send(rule.queue, body);
  }

  /** @param queue a service's name, or `replay dead letters` */
  send(queue: string, body: string): void {
    const messages = this.#queues.get(queue) ?? [];
    this.#queues.set(queue, messages);
    if (queue.endsWith(" dead letters") || !this.#delivered.has(`${queue} ${body}`))
      messages.push({ id: hashOf(`${queue} ${body} ${messages.length}`), body, isHidden: false });
    this.#delivered.add(`${queue} ${body}`);
  }

  /** Calls handlers until every queue is empty. @param until stops after the first call of this service */
  async deliver({ until }: { until?: QueueName } = {}): Promise<void> {
    for (let invocations = 0; invocations < maxInvocations; invocations++) {
      const service = queueNames.find((name) => this.#queues.get(name)?.length);
      if (!service) return;
      const batch = this.#queues.get(service)?.splice(0, this.#batchSizes[service]?.batchSize ?? 1) ?? [];
      const failed = await this.#invoke(service, batch);
      // Queues deliver at least once: each message arrives again, alone.
      for (const message of [...batch, ...failed]) await this.#invoke(service, [message]);
      if (service === until) return;
    }
    throw new Error(`The queues are not empty after ${maxInvocations} invocations.`);
  }

  /** @throws Error where no results were published, and with them everything before */
  expectPublished(): void {
    if (![...this.#objects.keys()].some((path) => path.endsWith(`/${publish.results}`)))
      throw new Error("The first run published no results.");
    this.expectNoDeadLetters();
  }

  /** @throws Error naming the first dead letter */
  expectNoDeadLetters(): void {
    for (const [queue, [message]] of this.#queues)
      if (queue.endsWith(" dead letters") && message)
        throw new Error(`${queue}: ${message.body.slice(0, 500)}`);
  }

  /** @returns the messages that failed */
  async #invoke(service: QueueName, messages: Message[]): Promise<Message[]> {
    const { variables } = only(this.#functions.filter((each) => each.service === service));
    vi.unstubAllEnvs();
    const common = {
      AWS_REGION: region,
      POWERTOOLS_LOG_LEVEL: "SILENT",
      POWERTOOLS_METRICS_DISABLED: "true",
      LIBINSIGHT_BASE_URL: this.#sourceUrl,
    };
    // SST's own variables name the file of encrypted secrets, which a bundle has beside it.
    const given = Object.entries({ ...variables, ...common }).filter(([name]) => !name.startsWith("SST_"));
    for (const [name, value] of given) vi.stubEnv(name, value);
    this.#caller = service;
    const { handler } = await handlers[service]();
    this.#recordOfLambda(service);
    const { batchItemFailures } = await handler({ Records: messages.map(recordOfSqs) });
    return messages.filter(({ id }) => batchItemFailures.some(({ itemIdentifier }) => itemIdentifier === id));
  }

  #record(action: string, resources: string | string[], tags?: Record<string, string>): void {
    for (const resource of [resources].flat()) {
      const call: Call = { service: this.#caller, action, resource, ...(tags && { tags }) };
      this.#calls.set(JSON.stringify(call), call);
    }
  }

  /** What Lambda calls with the function's role. ChangeMessageVisibility is shared/service.ts's, for each failed message. */
  #recordOfLambda(service: QueueName): void {
    const { variables } = only(this.#functions.filter((each) => each.service === service));
    const queue = queueArn(variables[`${service.toUpperCase()}_QUEUE_URL`] ?? "");
    for (const action of ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility"])
      this.#record(`sqs:${action}`, queue);
    const stream = `arn:aws:logs:${region}:${account}:log-group:/libinsight/${this.#stage}/${service}:log-stream:a`;
    for (const action of ["CreateLogStream", "PutLogEvents"]) this.#record(`logs:${action}`, stream);
  }

  get #stage(): string {
    return this.#graph.app.protect ? "production" : "ada";
  }

  #intercept(): void {
    s3().middlewareStack.add(
      (_, { commandName = "" }) =>
        async ({ input }) => ({ output: this.#s3(commandName, input), response: {} }),
      first,
    );
    sqs().middlewareStack.add(
      (_, { commandName = "" }) =>
        async ({ input }) => ({ output: this.#sqs(commandName, input), response: {} }),
      first,
    );
    eventBridge().middlewareStack.add(
      (_, { commandName = "" }) =>
        async ({ input }) => ({ output: this.#bus(commandName, input), response: {} }),
      first,
    );
    sns().middlewareStack.add(
      (_, { commandName = "" }) =>
        async ({ input }) => ({ output: this.#sns(commandName, input), response: {} }),
      first,
    );
    athena().middlewareStack.add(
      (_, { commandName = "" }) =>
        async ({ input }) => ({ output: this.#athena(commandName, input), response: {} }),
      first,
    );
    glue().middlewareStack.add(
      (_, { commandName = "" }) =>
        async ({ input }) => ({ output: this.#glue(commandName, input), response: {} }),
      first,
    );
    ec2().middlewareStack.add(
      (_, { commandName = "" }) =>
        async ({ input }) => ({ output: this.#ec2(commandName, input), response: {} }),
      first,
    );
  }

  #s3(command: string, given: object): S3Output {
    const input = s3Input.parse(given);
    const { Bucket, Key, UploadId } = input;
    const bucketArn = `arn:aws:s3:::${Bucket}`;
    const path = `${Bucket}/${Key}`;
    const found = this.#objects.get(path);
    switch (command) {
      case "GetObjectCommand":
      case "HeadObjectCommand": {
        this.#record("s3:GetObject", `${bucketArn}/${Key}`);
        // Without it S3 responds with 403 in place of 404.
        this.#record("s3:ListBucket", bucketArn);
        if (!found) throw new NotFound({ message: path, $metadata: { httpStatusCode: 404 } });
        const { bytes, etag: ETag, contentType: ContentType, metadata: Metadata } = found;
        const head = { $metadata, ETag, ContentType, Metadata, LastModified: new Date() };
        return command === "HeadObjectCommand"
          ? { ...head, ContentLength: bytes.length }
          : { ...head, Body: bodyOf(bytes) };
      }
      case "ListObjectsV2Command": {
        this.#record("s3:ListBucket", bucketArn);
        const prefix = `${Bucket}/${input.Prefix}`;
        const paths = [...this.#objects.keys()].filter((each) => each.startsWith(prefix)).sort();
        const Contents = paths.map((each) => ({
          Key: each.slice(Bucket.length + 1),
          Size: this.#objects.get(each)?.bytes.length ?? 0,
          LastModified: new Date(),
        }));
        return { $metadata, Contents };
      }
      case "PutObjectCommand": {
        this.#record("s3:PutObject", `${bucketArn}/${Key}`);
        return { $metadata, ETag: this.#put(path, Buffer.from(input.Body), input) };
      }
      case "CreateMultipartUploadCommand": {
        this.#record("s3:PutObject", `${bucketArn}/${Key}`);
        const id = `upload-${this.#uploads.size}`;
        this.#uploads.set(id, new Map());
        // S3 keeps what the object gets with the upload.
        this.#objects.set(id, {
          bytes: Buffer.alloc(0),
          etag: "",
          contentType: input.ContentType,
          metadata: input.Metadata,
        });
        return { $metadata, UploadId: id };
      }
      case "UploadPartCommand": {
        this.#record("s3:PutObject", `${bucketArn}/${Key}`);
        if (this.failUploadTo !== undefined && Key.endsWith(this.failUploadTo)) {
          this.failUploadTo = undefined;
          throw new Error("The connection broke.");
        }
        this.#uploads.get(UploadId)?.set(input.PartNumber, Buffer.from(input.Body));
        return { $metadata, ETag: `"part-${input.PartNumber}"` };
      }
      case "CompleteMultipartUploadCommand": {
        this.#record("s3:PutObject", `${bucketArn}/${Key}`);
        const parts = [...(this.#uploads.get(UploadId) ?? [])].sort(([a], [b]) => a - b);
        const { contentType = "", metadata = {} } = this.#objects.get(UploadId) ?? {};
        const { IfMatch, IfNoneMatch } = input;
        const kept = { ContentType: contentType, Metadata: metadata, IfMatch, IfNoneMatch };
        return { $metadata, ETag: this.#put(path, Buffer.concat(parts.map(([, bytes]) => bytes)), kept) };
      }
      case "AbortMultipartUploadCommand":
        this.#record("s3:AbortMultipartUpload", `${bucketArn}/${Key}`);
        return { $metadata };
      default:
        throw unknownCommand(command);
    }
  }

  #put(path: string, bytes: Buffer, { ContentType, Metadata, IfMatch, IfNoneMatch }: Written): string {
    const current = this.#objects.get(path);
    if ((IfNoneMatch && current) || (IfMatch && IfMatch !== current?.etag)) {
      throw new S3ServiceException({
        name: "PreconditionFailed",
        $fault: "client",
        $metadata: { httpStatusCode: 412 },
      });
    }
    const etag = `"${hashOf(bytes)}"`;
    this.#objects.set(path, { bytes, etag, contentType: ContentType, metadata: Metadata });
    const { DATA_BUCKET } = process.env;
    if (path === `${DATA_BUCKET}/${publish.csv}`) {
      const record = {
        eventName: "ObjectCreated:Put",
        s3: { bucket: { name: DATA_BUCKET }, object: { key: publish.csv } },
      };
      this.send("athena", JSON.stringify({ Records: [record], etag }));
    }
    return etag;
  }

  #sqs(command: string, given: object): SqsOutput {
    const input = sqsInput.parse(given);
    const arn = queueArn(input.QueueUrl);
    const queue = this.#queueOf(input.QueueUrl);
    const messages = this.#queues.get(queue) ?? [];
    const visible = (receipts: string[]) => {
      for (const message of messages) if (receipts.includes(message.id)) message.isHidden = false;
    };
    switch (command) {
      case "SendMessageCommand":
        this.#record("sqs:SendMessage", arn);
        this.send(queue, input.MessageBody);
        return { $metadata };
      case "SendMessageBatchCommand":
        this.#record("sqs:SendMessage", arn);
        for (const { MessageBody } of input.Entries) this.send(queue, MessageBody);
        return {
          $metadata,
          Successful: input.Entries.map(({ Id }) => ({ Id, MessageId: Id, MD5OfMessageBody: "" })),
          Failed: [],
        };
      case "ReceiveMessageCommand": {
        this.#record("sqs:ReceiveMessage", arn);
        const received = messages.filter(({ isHidden }) => !isHidden).slice(0, 10);
        for (const message of received) message.isHidden = true;
        return {
          $metadata,
          Messages: received.map(({ id, body }) => ({ MessageId: id, ReceiptHandle: id, Body: body })),
        };
      }
      case "DeleteMessageCommand":
        this.#record("sqs:DeleteMessage", arn);
        this.#queues.set(
          queue,
          messages.filter(({ id }) => id !== input.ReceiptHandle),
        );
        return { $metadata };
      case "ChangeMessageVisibilityCommand":
        this.#record("sqs:ChangeMessageVisibility", arn);
        return { $metadata };
      case "ChangeMessageVisibilityBatchCommand":
        this.#record("sqs:ChangeMessageVisibility", arn);
        visible(input.Entries.map(({ ReceiptHandle }) => ReceiptHandle));
        return { $metadata, Successful: [], Failed: [] };
      case "GetQueueAttributesCommand":
        this.#record("sqs:GetQueueAttributes", arn);
        return { $metadata, Attributes: { ApproximateNumberOfMessages: String(messages.length) } };
      default:
        throw unknownCommand(command);
    }
  }

  /** Returns the name under which `send` knows the queue of a URL. */
  #queueOf(url: string): string {
    const { variables } = only(this.#functions.filter(({ service }) => service === "replay"));
    const [variable] = only(Object.entries(variables).filter(([, value]) => value === url));
    const name = variable.replace(/_(QUEUE|DEAD_LETTERS)_URL$/, "").toLowerCase();
    return variable.endsWith("_DEAD_LETTERS_URL") ? `${name} dead letters` : name;
  }

  #bus(command: string, given: object): BusOutput {
    if (command !== "PutEventsCommand") throw unknownCommand(command);
    for (const { EventBusName, DetailType, Detail } of busInput.parse(given).Entries) {
      this.#record("events:PutEvents", `arn:aws:events:${region}:${account}:event-bus/${EventBusName}`);
      this.event(DetailType, JSON.parse(Detail));
    }
    return { $metadata, FailedEntryCount: 0, Entries: [] };
  }

  #sns(command: string, given: object): SnsOutput {
    if (command !== "PublishCommand") throw unknownCommand(command);
    this.#record("sns:Publish", snsInput.parse(given).TopicArn);
    return { $metadata, MessageId: "a-message" };
  }

  #athena(command: string, given: object): AthenaOutput {
    const { QueryString, QueryExecutionId, QueryExecutionContext, ResultConfiguration } =
      athenaInput.parse(given);
    const { ATHENA_WORKGROUP, RESULTS_BUCKET = "", DATA_BUCKET } = process.env;
    this.#record(
      `athena:${command.replace(/Command$/, "")}`,
      `arn:aws:athena:${region}:${account}:workgroup/${ATHENA_WORKGROUP}`,
    );
    switch (command) {
      case "StartQueryExecutionCommand": {
        const id = hashOf(QueryString).slice(0, 32);
        const location = `${ResultConfiguration.OutputLocation}${id}.csv`;
        this.#queries.set(id, location);
        this.#recordOfAthena(QueryString, QueryExecutionContext.Database, location);
        const published = this.#objects.get(`${DATA_BUCKET}/${publish.csv}`);
        if (published) this.#objects.set(location.slice("s3://".length), published);
        if (!location.startsWith(`s3://${RESULTS_BUCKET}/`)) throw new Error(`Results go to ${location}.`);
        return { $metadata, QueryExecutionId: id };
      }
      case "GetQueryExecutionCommand": {
        const OutputLocation = this.#queries.get(QueryExecutionId);
        return {
          $metadata,
          QueryExecution: {
            QueryExecutionId,
            Status: { State: "SUCCEEDED" },
            ...(OutputLocation !== undefined && { ResultConfiguration: { OutputLocation } }),
          },
        };
      }
      default:
        throw unknownCommand(command);
    }
  }

  /**
   * What Athena calls with the permissions of the caller.
   * https://docs.aws.amazon.com/athena/latest/ug/s3-permissions.html
   * https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html
   */
  #recordOfAthena(sql: string, database: string, location: string): void {
    const { DATA_BUCKET, RESULTS_BUCKET } = process.env;
    const [dataArn, resultsArn] = [`arn:aws:s3:::${DATA_BUCKET}`, `arn:aws:s3:::${RESULTS_BUCKET}`];
    const output = location.replace("s3://", "arn:aws:s3:::");
    this.#record("s3:GetBucketLocation", [dataArn, resultsArn]);
    this.#record("s3:ListBucket", [dataArn, resultsArn]);
    this.#record("s3:ListBucketMultipartUploads", resultsArn);
    this.#record("s3:GetObject", [`${dataArn}/${folder(publish.csv)}any.csv`, output]);
    for (const action of ["PutObject", "AbortMultipartUpload", "ListMultipartUploadParts"])
      this.#record(`s3:${action}`, output);
    this.#record("glue:GetDatabase", [
      glueArn("catalog"),
      glueArn("database/default"),
      glueArn(`database/${database}`),
    ]);
    if (/^CREATE DATABASE/.test(sql))
      this.#record("glue:CreateDatabase", [glueArn("catalog"), glueArn(`database/${database}`)]);
    const names = [publish.table, ...Object.values(viewNames(publish.table))];
    for (const name of names) {
      const reading = ["GetTable", "GetTables", "GetPartitions"];
      const [, target] =
        /^CREATE (?:EXTERNAL TABLE IF NOT EXISTS|OR REPLACE VIEW) \S+\.[`"](\w+)[`"]/.exec(sql) ?? [];
      const writing = target === name ? ["CreateTable", "UpdateTable"] : [];
      for (const action of [...reading, ...writing])
        this.#record(`glue:${action}`, tableArns(database, name));
      if (target === name) this.#tables.add(name);
    }
  }

  #glue(command: string, given: object): GlueOutput {
    const { DatabaseName, Name, TableInput } = glueInput.parse(given);
    const name = Name ?? TableInput?.Name ?? "";
    this.#record(`glue:${command.replace(/Command$/, "")}`, tableArns(DatabaseName, name));
    switch (command) {
      case "GetTableCommand":
        if (!this.#tables.has(name)) throw new EntityNotFoundException({ message: name, $metadata });
        return { $metadata, Table: { Name: name, VersionId: "1", StorageDescriptor: { Columns: [] } } };
      case "UpdateTableCommand":
        return { $metadata };
      default:
        throw unknownCommand(command);
    }
  }

  #ec2(command: string, given: object): Ec2Output {
    const { InstanceIds } = ec2Input.parse(given);
    const asked = InstanceIds?.[0] ?? instanceId;
    const Tags =
      asked === instanceId ? Object.entries(instanceTags).map(([Key, Value]) => ({ Key, Value })) : [];
    if (command === "DescribeInstancesCommand") {
      this.#record("ec2:DescribeInstances", "*");
      const State = { Name: this.#instanceState === "running" ? "running" : "stopped" } as const;
      return { $metadata, Reservations: [{ Instances: [{ InstanceId: asked, State, Tags }] }] };
    }
    const arn = `arn:aws:ec2:${region}:${account}:instance/${asked}`;
    this.#record(`ec2:${command.replace(/Command$/, "")}`, arn, instanceTags);
    this.#instanceState = command === "StartInstancesCommand" ? "running" : "stopped";
    return { $metadata };
  }
}

const rulePattern = z.looseObject({ "detail-type": z.array(z.string()) });

const body = z.union([z.string(), z.instanceof(Uint8Array)]).default("");
const s3Input = z.object({
  Bucket: z.string(),
  Key: z.string().default(""),
  Prefix: z.string().default(""),
  Body: body,
  ContentType: z.string().default(""),
  Metadata: z.record(z.string(), z.string()).default({}),
  IfMatch: z.string().optional(),
  IfNoneMatch: z.string().optional(),
  UploadId: z.string().default(""),
  PartNumber: z.number().default(1),
});
type Written = Pick<z.infer<typeof s3Input>, "ContentType" | "Metadata" | "IfMatch" | "IfNoneMatch">;
const sqsInput = z.object({
  QueueUrl: z.string(),
  MessageBody: z.string().default(""),
  ReceiptHandle: z.string().default(""),
  Entries: z
    .array(
      z.object({
        Id: z.string(),
        MessageBody: z.string().default(""),
        ReceiptHandle: z.string().default(""),
      }),
    )
    .default([]),
});
const busInput = z.object({
  Entries: z.array(z.object({ EventBusName: z.string(), DetailType: z.string(), Detail: z.string() })),
});
const snsInput = z.object({ TopicArn: z.string() });
const athenaInput = z.object({
  QueryString: z.string().default(""),
  QueryExecutionId: z.string().default(""),
  QueryExecutionContext: z.object({ Database: z.string() }).default({ Database: "" }),
  ResultConfiguration: z.object({ OutputLocation: z.string() }).default({ OutputLocation: "" }),
});
const glueInput = z.object({
  DatabaseName: z.string(),
  Name: z.string().optional(),
  TableInput: z.object({ Name: z.string() }).optional(),
});
const ec2Input = z.object({ InstanceIds: z.array(z.string()).optional() });

/** A LibInsight with one page of long comments in the first window, and two pages in the second. */
async function startSource() {
  const source: { pages: "shifted" | "settled" | "shrunk" } = { pages: "shifted" };
  const recordsIn = (from: string) => {
    // A record without its id is rejected.
    if (from === range.from)
      return recordsOf(1, 100).map((record, index) => ({
        ...(index === 0 ? recordOf(1, { _id: undefined }) : record),
        "Comments/Notes": longComment,
      }));
    if (source.pages === "shrunk") return recordsOf(1_001, 1_100);
    const records = recordsOf(1_001, 1_150);
    return source.pages === "settled" ? records : records.with(100, recordOf(1_001));
  };
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://127.0.0.1");
    const page = Number(searchParams.get("page"));
    const records = recordsIn(searchParams.get("from") ?? "");
    const payload = {
      records: records.slice(100 * (page - 1), 100 * page),
      total_pages: Math.ceil(records.length / 100),
      total_records: records.length,
      displayed_page: page,
    };
    const token = { access_token: "a-token", expires_in: 3600 };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(pathname.endsWith("/oauth/token") ? token : { type: "success", payload }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no port.");
  return Object.assign(source, {
    url: `http://127.0.0.1:${address.port}/v1.0`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  });
}

function recordOfSqs({ id, body }: Message): SQSRecord {
  return {
    messageId: id,
    receiptHandle: id,
    body,
    attributes: {
      ApproximateReceiveCount: "1",
      SentTimestamp: "0",
      SenderId: "a-sender",
      ApproximateFirstReceiveTimestamp: "0",
    },
    messageAttributes: {},
    md5OfBody: "",
    eventSource: "aws:sqs",
    eventSourceARN: "",
    awsRegion: region,
  };
}

/** Returns the body of a GetObject response. */
function bodyOf(bytes: Buffer) {
  return Object.assign(Readable.from([bytes]), {
    transformToByteArray: async () => new Uint8Array(bytes),
    transformToString: async () => bytes.toString("utf8"),
    transformToWebStream: (): never => {
      throw new Error("No adapter reads a web stream.");
    },
  });
}

function queueArn(url: string): string {
  return `arn:aws:sqs:${region}:${account}:${url.slice(url.lastIndexOf("/") + 1)}`;
}

function glueArn(resource: string): string {
  return `arn:aws:glue:${region}:${account}:${resource}`;
}

/** Glue checks a table's database and catalog too. */
function tableArns(database: string, name: string): string[] {
  return ["catalog", `database/${database}`, `table/${database}/${name}`].map(glueArn);
}

function hashOf(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

function unknownCommand(command: string): Error {
  return new Error(`The recording does not know ${command}. Add it to test/stacks/calls.ts.`);
}
