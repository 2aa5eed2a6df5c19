// Records the port calls of each service in two runs, and translates each into the actions that IAM checks on AWS:
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
// test/emulator/ runs the AWS adapters themselves under these roles.

import { createHash, randomUUID } from "node:crypto";
import { library } from "#library";
import { storeNames } from "../../shared/column-names.ts";
import { relationsOf } from "../../shared/dataset-schema.ts";
import { datasets, defaultDataset } from "../../shared/datasets.ts";
import { type EventType, eventSource } from "../../shared/events.ts";
import { holdTable } from "../../shared/header-change.ts";
import { folderOf, previousKey } from "../../shared/keys.ts";
import type { LibInsightClient, PageRequest } from "../../shared/libinsight/client.ts";
import { objectCreatedMessage } from "../../shared/local/local-bus.ts";
import { LocalInstances } from "../../shared/local/local-instances.ts";
import { processBatch } from "../../shared/message-loop.ts";
import { parquetKey } from "../../shared/parquet-file.ts";
import type { Emit, Message, MessageQueue, QueryEngine } from "../../shared/ports.ts";
import { deidentified } from "../../shared/privacy/deidentified.ts";
import { tableauSettings } from "../../shared/tableau-settings.ts";
import {
  type DeadLetterName,
  deadLetterNames,
  type QueueName,
  queueNames,
  routes,
  services,
} from "../../shared/topology.ts";
import { recordOf, recordsOf } from "../factories/libinsight-records.ts";
import { forEveryService, queueDeps } from "../support/every-service.ts";
import { type OnCall, watched } from "../support/intercepted-ports.ts";
import { clientOf } from "../support/libinsight-client.ts";
import { silent, startLocal, withoutTrace } from "../support/local-adapters.ts";
import { ScriptedQueryEngine } from "../support/scripted-query-engine.ts";
import { account, type Graph, region } from "./evaluate/graph.ts";
import { bucketArn } from "./readable.ts";
import { all, tableauEnvironment, titleOf } from "./stages.ts";
import { lambda, only } from "./wiring.ts";

/** A call as IAM sees it. */
export type Call = { service: QueueName; action: string; resource: string; tags?: Record<string, string> };

const { publish: files, name: dataset } = defaultDataset;
const teamInstance = "i-0123456789abcdef0";
const foreignInstance = "i-0fedcba9876543210";
const instanceTag = library.instances.tag;
const instanceTags = { [instanceTag.key]: instanceTag.value };
/** A range of two periods. */
const range = { from: "2021-12-02", to: "2023-06-30" };
/** The second run reuses windows of the first. */
const refreshed = datasets.map((each) => ({
  ...each,
  refresh: { lookbackDays: 7, full: "quarterly" } as const,
}));
/** In the middle of a quarter. */
const startMs = Date.parse("2026-11-10T12:00:00Z");
/** The first day of the second period. */
const busyDay = "2022-12-02";
/** A page of 100 such comments does not fit into a message. */
const longComment = "x".repeat(60_000);
const maxBatches = 500;
/** Longer than the delay of any message. */
const betweenBatchesMs = 15 * 60_000;

/** `shrunk`: whether the second day has fewer records. The others are numbers of requests. */
type Source = { shrunk: boolean; secondPages: number; recounts: number };

export const storeActions: Readonly<Record<string, readonly string[]>> = {
  put: ["s3:PutObject"],
  create: ["s3:PutObject"],
  putOnce: ["s3:PutObject"],
  replaceJson: ["s3:PutObject"],
  upload: ["s3:PutObject", "s3:AbortMultipartUpload"],
  getBytes: ["s3:GetObject"],
  getText: ["s3:GetObject"],
  getJson: ["s3:GetObject"],
  getStart: ["s3:GetObject"],
  stream: ["s3:GetObject"],
  head: ["s3:GetObject"],
};
export const queueActions: Readonly<Record<string, string>> = {
  send: "sqs:SendMessage",
  sendAll: "sqs:SendMessage",
  receive: "sqs:ReceiveMessage",
  delete: "sqs:DeleteMessage",
  retryAfter: "sqs:ChangeMessageVisibility",
  release: "sqs:ChangeMessageVisibility",
  count: "sqs:GetQueueAttributes",
};

/** Returns every distinct call of runs, retries, dead letters, replays, instances and daily checks. */
export async function recordCalls(graph: Graph): Promise<Call[]> {
  let elapsedMs = 0;
  const nowMs = () => startMs + elapsedMs;
  const now = () => new Date(nowMs());
  const local = await startLocal(nowMs);
  const queuePairs = new Map(queueNames.map((name) => [name, local.queuePair(name)]));
  const queuePair = (name: QueueName) => only([queuePairs.get(name)].filter((found) => found !== undefined));
  /** EventBridge's two have no messages here. */
  const empty: Pick<MessageQueue, "count" | "receive"> = { count: async () => 0, receive: async () => [] };
  const results = local.store({ keepsVersions: true });
  const work = local.store();
  const data = local.store({
    keepsVersions: true,
    onWritten: (key) => {
      if (key === files.csv) queuePair("athena").source.insert(objectCreatedMessage("data", key));
    },
  });
  const instances = new LocalInstances(local.database, now);
  await instances.put(teamInstance, "stopped", instanceTags);
  await instances.put(foreignInstance, "stopped", {});

  const calls = new Map<string, Call>();
  const record = (call: Call): void => {
    calls.set(JSON.stringify(call), call);
  };
  const names = namesIn(graph);
  const source: Source = { shrunk: false, secondPages: 0, recounts: 0 };
  const send = (type: EventType, detail: unknown): void => {
    const time = now().toISOString();
    const body = JSON.stringify({ id: randomUUID(), source: eventSource, time, "detail-type": type, detail });
    for (const { to, group } of routes.filter(({ events }) => events.includes(type)))
      queuePair(to).source.insert(body, group === undefined ? {} : { group });
  };

  /** Returns ports that record their calls as calls of a service. */
  const portsOf = (service: QueueName) => {
    const add = (action: string, resource: string, tags?: Record<string, string>) =>
      record({ service, action, resource, ...(tags && { tags }) });
    const store = <T extends object>(port: T, bucket: string): T =>
      watched(port, (method, [key]) => {
        // Without this permission S3 responds with 403 instead of 404 to a request for a missing object.
        add("s3:ListBucket", bucket);
        for (const action of storeActions[method] ?? []) add(action, `${bucket}/${key}`);
      });
    const onQueue =
      (arn: string): OnCall =>
      (method) => {
        const action = queueActions[method];
        if (action) add(action, arn);
      };
    const queue = (name: QueueName) => watched(queuePair(name).source, onQueue(names.queue(name)));
    const deadLetters = (name: QueueName) =>
      watched(queuePair(name).deadLetters, onQueue(names.deadLetters(name)));
    const emit: Emit = async (type, detail) => {
      add("events:PutEvents", names.bus);
      send(type, detail);
    };
    const engine = watched(createEngine(), (method, [name]) => {
      const actions = isTableMethod(method)
        ? tableCalls(String(name), names)
        : athenaCalls(method, String(name), names);
      for (const [action, resource] of actions) add(action, resource);
    });
    return {
      emit,
      deadLetters: deadLetters(service),
      work: store(work, names.work),
      data: store(data, names.data),
      results: store(results, names.results),
      ...queueDeps(queue, deadLetters),
      deadLetterQueues: deadLetterNames.map((name) => {
        const found = [...queuePairs.values()].find((pair) => pair.name === name)?.deadLetters ?? empty;
        return { name, deadLetters: watched<typeof empty>(found, onQueue(names.deadLetters(name))) };
      }),
      libInsight: libInsightOf(source),
      engine,
      tables: engine,
      instances: watched(instances, (method, [id]) => {
        const verb = { start: "Start", stop: "Stop" }[method];
        if (verb) add(`ec2:${verb}Instances`, `arn:aws:ec2:${scope}:instance/${id}`, instanceTags);
        else add("ec2:DescribeInstances", "*");
      }),
      notify: async () => add("sns:Publish", names.topic),
      /** Records the calls of Lambda itself, and of processBatch for a failed message. */
      recordLambdaCalls() {
        for (const call of [
          "ReceiveMessage",
          "DeleteMessage",
          "GetQueueAttributes",
          "ChangeMessageVisibility",
        ])
          add(`sqs:${call}`, names.queue(service));
        const stream = `arn:aws:logs:${scope}:log-group:${names.logGroup(service)}:log-stream:a`;
        for (const call of ["CreateLogStream", "PutLogEvents"]) add(`logs:${call}`, stream);
      },
      tableau: tableauSettings(tableauEnvironment),
      tokenSecret: () => "a-secret",
      pseudonymKey: () => "5e".repeat(32),
      requestTimeoutMs: 1,
      refreshTimeoutMs: 1,
      pauseMs: 1,
      waitSeconds: 0,
      checkSeconds: 1,
      stage: "production",
      team: "tagged" as const,
      hasTableau: true,
      isScheduled: true,
      audience: "full" as const,
      datasets: refreshed,
      measure: () => {},
      now,
    };
  };

  const catalog = new ScriptedQueryEngine();
  function createEngine(): QueryEngine {
    return {
      database: names.database,
      table: (name) => catalog.table(name),
      defineTable: (name, table, ifVersion) => catalog.defineTable(name, table, ifVersion),
      moveTable: (name, target, ifVersion) => catalog.moveTable(name, target, ifVersion),
      defineView: async () => {},
      async start(_, path, token) {
        const id = createHash("sha256").update(token).digest("hex").slice(0, 32);
        await results.put(`${path}/${id}.csv`, (await data.getBytes(files.csv)) ?? "", "text/csv");
        return id;
      },
      async get(id) {
        const output = `${files.queryResults}/${id}.csv`;
        return { id, state: "SUCCEEDED", reason: "", retryable: false, output };
      },
      firstRows: async () => ({ columns: [], rows: [] }),
    };
  }

  const failed: string[] = [];
  const handlers = forEveryService((service) => {
    const { name } = service;
    const ports = portsOf(name);
    const batch = {
      source: queuePair(name).source,
      deadLetters: ports.deadLetters,
      log: silent,
      retryBaseSeconds: 1,
    };
    return async (messages: Message[]): Promise<void> => {
      ports.recordLambdaCalls();
      const { retried, deadLetters } = await processBatch(service, messages, ports, batch);
      if (retried.length + deadLetters.length > 0) failed.push(name);
    };
  });

  const handled = new Set<string>();
  /** Handles messages until every queue is empty. Each is handled twice, because queues deliver at least once. */
  const deliver = async (): Promise<void> => {
    for (let batches = 0, idle = 0; idle < 2; batches++) {
      if (batches > maxBatches) throw new Error(`The queues are not empty after ${maxBatches} batches.`);
      idle += 1;
      for (const name of queueNames) {
        const { source: from } = queuePair(name);
        const max = services[name].batchSize;
        const messages = await from.receive({ max, visibilitySeconds: 60, waitSeconds: 0 });
        if (messages.length === 0) continue;
        idle = 0;
        for (const { receipt } of messages) await from.delete(receipt);
        // FIFO queues drop duplicates by id. The assembler's tasks before and after a recount have the same body.
        const keyOf = ({ id, body }: Message) => {
          // One body is not JSON: the message that no service can read.
          const content = body.startsWith("{") ? JSON.stringify(withoutTrace({ body })) : body;
          return `${name} ${services[name].queue.fifo ? id : content}`;
        };
        const fresh = messages.filter((message) => !handled.has(keyOf(message)));
        for (const message of fresh) handled.add(keyOf(message));
        if (fresh.length > 0) await handlers[name](fresh);
        for (const message of fresh) await handlers[name]([message]);
      }
      elapsedMs += betweenBatchesMs;
    }
  };

  try {
    send("instance.start.requested", { dataset, reason: "a schedule" });
    send("run.requested", { dataset, reason: "a schedule", ...range });
    await deliver();
    if (!(await results.head(files.results))) throw new Error("The first run published no results.");
    source.shrunk = true;
    send("run.requested", { dataset, reason: "a schedule", ...range });
    await deliver();
    send("instance.stop.requested", { instanceId: teamInstance, reason: "an operator" });
    send("instance.start.requested", { instanceId: foreignInstance, reason: "an operator" });
    send("freshness.check.requested", { dataset });
    send("instances.check.requested", {});
    await deliver();
    if (failed.length > 0) throw new Error(`Messages failed: ${failed.join()}.`);

    const unknown = { runId: "unknown-0123456789ab", dataset: "unknown", queryExecutionId: "unknown" };
    send("results.published", { ...unknown, bucket: "unknown", key: "unknown", rows: 1 });
    for (const name of queueNames) {
      const fifo = services[name].queue.fifo && { group: "unknown", deduplicationId: "unknown" };
      queuePair(name).source.insert("a message that no service can read", fifo ?? {});
    }
    await deliver();
    // Now there are dead letters.
    send("freshness.check.requested", { dataset });
    await deliver();
    for (const filter of [{ run: unknown.runId }, {}, { queue: "replay" }]) {
      send("deadletter.replay.requested", { ...filter, reason: "an operator" });
      await deliver();
    }
    // The assembler calls this before it publishes a file with another header.
    const next = { runId: "next", headers: ["another header"] };
    const { tables, data: published } = portsOf("assembler");
    await holdTable(defaultDataset, next, { tables, data: published });
    // So does the deidentifier.
    const own = portsOf("deidentifier");
    await holdTable(deidentified(defaultDataset), next, { tables: own.tables, data: own.data });
    // The athena service calls this for a file of an earlier version of the pipeline.
    await storeNames(["a header of that version"], defaultDataset, portsOf("athena").results);
    return [...calls.values()];
  } finally {
    await local.close();
  }
}

const scope = `${region}:${account}`;

type Names = ReturnType<typeof namesIn>;

/** Returns the ARNs and names that the evaluated stage gives its functions. */
function namesIn(graph: Graph) {
  const found = all(graph, "aws:lambda/function:Function", lambda);
  const variables: Record<string, string> = Object.assign(
    {},
    ...found.map(({ is }) => is.environment.variables),
  );
  const variable = (name: string): string => {
    const value = variables[name];
    if (value === undefined) throw new Error(`No function has ${name}.`);
    return value;
  };
  const queueArn = (url: string) => `arn:aws:sqs:${scope}:${url.slice(url.lastIndexOf("/") + 1)}`;
  return {
    work: bucketArn(graph, "Work"),
    data: bucketArn(graph, "Data"),
    results: bucketArn(graph, "Results"),
    bus: `arn:aws:events:${scope}:event-bus/${variable("BUS_NAME")}`,
    topic: variable("ALERTS_TOPIC_ARN"),
    workgroup: `arn:aws:athena:${scope}:workgroup/${variable("ATHENA_WORKGROUP")}`,
    database: variable("ATHENA_DATABASE"),
    logGroup: (name: QueueName) =>
      only(found.filter((each) => each.name === `${titleOf(name)}Function`)).is.loggingConfig.logGroup,
    queue: (name: QueueName) => queueArn(variable(`${name.toUpperCase()}_QUEUE_URL`)),
    deadLetters: (name: DeadLetterName) => queueArn(variable(`${name.toUpperCase()}_DEAD_LETTERS_URL`)),
  };
}

const isTableMethod = (method: string) => ["table", "defineTable", "moveTable"].includes(method);

const pairsOf = (actions: readonly string[], resources: readonly string[]) =>
  actions.flatMap((action) => resources.map((resource): [string, string] => [action, resource]));
const glueArns = (...resources: string[]) => resources.map((resource) => `arn:aws:glue:${scope}:${resource}`);

/** Returns the AWS calls of shared/aws/glue.ts for a table. */
function tableCalls(name: string, { database }: Names): [string, string][] {
  const ofDatabase = glueArns("catalog", `database/${database}`);
  return [
    ...pairsOf(["glue:CreateDatabase"], ofDatabase),
    ...pairsOf(
      ["glue:GetTable", "glue:CreateTable", "glue:UpdateTable"],
      [...ofDatabase, ...glueArns(`table/${database}/${name}`)],
    ),
  ];
}

/**
 * Returns the AWS calls of a method of shared/aws/athena.ts, and those that Athena makes with the caller's permissions.
 * https://docs.aws.amazon.com/athena/latest/ug/s3-permissions.html
 * https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html
 * @param name the view that the method defines
 */
function athenaCalls(
  method: string,
  name: string,
  { data, results, database, workgroup }: Names,
): [string, string][] {
  const ofDatabase = glueArns("catalog", `database/${database}`);
  const entries = [defaultDataset, deidentified(defaultDataset)];
  const tables = entries.flatMap(relationsOf);
  const tableArns = (table: string) => [...ofDatabase, ...glueArns(`table/${database}/${table}`)];
  const output = `${results}/${files.queryResults}/any.csv`;
  return [
    ...pairsOf(["athena:StartQueryExecution", "athena:GetQueryExecution"], [workgroup]),
    ...pairsOf(["s3:GetBucketLocation", "s3:ListBucket"], [data, results]),
    ...pairsOf(["s3:ListBucketMultipartUploads"], [results]),
    ...pairsOf(
      ["s3:GetObject"],
      [
        ...entries.flatMap(({ publish: { csv } }) => [
          ...[folderOf(csv), folderOf(parquetKey(csv, "run"))].map((folder) => `${data}/${folder}any`),
          `${data}/${previousKey(csv)}`,
        ]),
        output,
      ],
    ),
    ...pairsOf(["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], [output]),
    ...pairsOf(["glue:GetDatabase"], [...ofDatabase, ...glueArns("database/default")]),
    ...pairsOf(["glue:CreateDatabase"], glueArns("catalog", "database/default")),
    ...tables.flatMap((table) =>
      pairsOf(["glue:GetTable", "glue:GetTables", "glue:GetPartitions"], tableArns(table)),
    ),
    ...(method === "defineView" ? pairsOf(["glue:CreateTable", "glue:UpdateTable"], tableArns(name)) : []),
  ];
}

/**
 * Returns a page of records of two days: long comments on the first one, and two pages on the second one, which shift on the
 * first read. After `shrunk`, the second one has one page, and its period has a record more when it is first counted again.
 */
async function pageOf({ from, to, page }: PageRequest, source: Source) {
  const days: { day: string; records: Record<string, unknown>[] }[] = [
    {
      day: range.from,
      // The record without an id is rejected.
      records: recordsOf(1, 100).map((record, index) => ({
        ...(index === 0 ? recordOf(1, { _id: undefined }) : record),
        "Comments/Notes": longComment,
      })),
    },
    { day: busyDay, records: recordsOf(1_001, source.shrunk ? 1_100 : 1_150) },
  ];
  const found = days.filter(({ day }) => from <= day && day <= to);
  const records = found.flatMap(({ day, records }) =>
    records.map((record) => ({
      ...record,
      _start_date: `${day} 10:00:00`,
      // The run would be held if these columns had no value.
      classroom: "A",
      studio: "B",
    })),
  );
  const [first] = records.slice(100 * (page - 1), 100 * page);
  if (page > 1) source.secondPages += 1;
  const isShifted = page > 1 && source.secondPages === 1;
  return {
    records: [
      ...(isShifted ? records.slice(0, 1) : first ? [first] : []),
      ...records.slice(100 * (page - 1) + 1, 100 * page),
    ],
    totals: { totalPages: Math.ceil(records.length / 100), totalRecords: records.length },
  };
}

/** Returns a client that counts a period again by its first page. */
function libInsightOf(source: Source): LibInsightClient {
  const { fetchPage, recount } = clientOf(async (request) => pageOf(request, source));
  return {
    fetchPage,
    async recount(request) {
      const { totalRecords = 0 } = await recount(request);
      // Only the recount of a whole period ends with the range: the search counts its windows from the first one.
      const isChanged = source.shrunk && request.from === busyDay && request.to === range.to;
      if (isChanged) source.recounts += 1;
      return { totalRecords: isChanged && source.recounts === 1 ? totalRecords + 1 : totalRecords };
    },
  };
}
