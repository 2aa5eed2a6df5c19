// Records what each service asks of its ports in two runs and what surrounds them, and names each call as IAM sees it on AWS.
// The names of the actions are those of AWS's reference:
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
// test/emulator/ runs the AWS adapters themselves under these roles.
import { createHash, randomUUID } from "node:crypto";
import type * as zm from "zod/mini";
import { assemblerService } from "../../services/assembler/service.ts";
import { athenaService } from "../../services/athena/service.ts";
import { ec2Service } from "../../services/ec2/service.ts";
import { fetcherService } from "../../services/fetcher/service.ts";
import { kickoffService } from "../../services/kickoff/service.ts";
import { replayService } from "../../services/replay/service.ts";
import { reporterService } from "../../services/reporter/service.ts";
import { tableauService } from "../../services/tableau/service.ts";
import { transformerService } from "../../services/transformer/service.ts";
import { folder, viewNames } from "../../shared/dataset-schema.ts";
import { datasets, defaultDataset } from "../../shared/datasets.ts";
import { type EventType, eventSource } from "../../shared/events.ts";
import { holdTable } from "../../shared/header-change.ts";
import { instanceTag } from "../../shared/instance-settings.ts";
import { previousKey } from "../../shared/keys.ts";
import type { PageRequest } from "../../shared/libinsight/client.ts";
import { objectCreatedMessage } from "../../shared/local/local-bus.ts";
import { LocalInstances } from "../../shared/local/local-instances.ts";
import { processBatch, type Service } from "../../shared/message-loop.ts";
import type { Emit, Message, QueryEngine } from "../../shared/ports.ts";
import { tableauSettings } from "../../shared/tableau-settings.ts";
import { type QueueName, queueNames, routes, services } from "../../shared/topology.ts";
import { type OnCall, watched } from "../contracts/watched.ts";
import { recordOf, recordsOf } from "../factories/libinsight-records.ts";
import { silent, startLocal } from "../support/local-adapters.ts";
import { ScriptedQueryEngine } from "../support/scripted-query-engine.ts";
import { account, type Graph, region } from "./evaluate/graph.ts";
import { bucketArn } from "./readable.ts";
import { all, tableauEnvironment } from "./stages.ts";
import { lambda, only } from "./wiring.ts";

/** A call as IAM sees it. */
export type Call = { service: QueueName; action: string; resource: string; tags?: Record<string, string> };

const { publish: files, name: dataset } = defaultDataset;
const teamInstance = "i-0123456789abcdef0";
const foreignInstance = "i-0fedcba9876543210";
const instanceTags = { [instanceTag.key]: instanceTag.value };
/** Two windows. */
const range = { from: "2021-12-02", to: "2023-06-30" };
/** A hundred of them do not fit into a message. */
const longComment = "x".repeat(60_000);
/** More batches than any scenario needs. */
const maxBatches = 500;
/** Longer than any delay of a message. */
const betweenBatchesMs = 15 * 60_000;

const storeActions: Readonly<Record<string, readonly string[]>> = {
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
const queueActions: Readonly<Record<string, string>> = {
  send: "sqs:SendMessage",
  sendAll: "sqs:SendMessage",
  receive: "sqs:ReceiveMessage",
  delete: "sqs:DeleteMessage",
  retryAfter: "sqs:ChangeMessageVisibility",
  release: "sqs:ChangeMessageVisibility",
  count: "sqs:GetQueueAttributes",
};

/** Returns every distinct call: of runs, retries, dead letters, replays, instances and daily checks. */
export async function recordCalls(graph: Graph): Promise<Call[]> {
  let passedMs = 0;
  const nowMs = () => Date.now() + passedMs;
  const now = () => new Date(nowMs());
  const local = await startLocal(nowMs);
  const queuePairs = new Map(queueNames.map((name) => [name, local.mailbox(name)]));
  const mailbox = (name: QueueName) => only([queuePairs.get(name)].filter((found) => found !== undefined));
  const results = local.store({ keepsVersions: true });
  const work = local.store();
  const data = local.store({
    keepsVersions: true,
    onWritten: (key) => {
      if (key === files.csv) mailbox("athena").source.insert(objectCreatedMessage("data", key));
    },
  });
  const instances = new LocalInstances(local.database, { now });
  await instances.put(teamInstance, "stopped", instanceTags);
  await instances.put(foreignInstance, "stopped", {});

  const calls = new Map<string, Call>();
  const record = (call: Call): void => {
    calls.set(JSON.stringify(call), call);
  };
  const names = namesIn(graph);
  const source = { shrunk: false, secondPages: 0 };
  const send = (type: EventType, detail: unknown): void => {
    const time = now().toISOString();
    const body = JSON.stringify({ id: randomUUID(), source: eventSource, time, "detail-type": type, detail });
    for (const { to, group } of routes.filter(({ events }) => events.includes(type)))
      mailbox(to).source.insert(body, group === undefined ? {} : { group });
  };

  /** Returns the ports of a service, whose calls are recorded as its own. */
  const portsOf = (service: QueueName) => {
    const add = (action: string, resource: string, tags?: Record<string, string>) =>
      record({ service, action, resource, ...(tags && { tags }) });
    const store = <T extends object>(port: T, bucket: string): T =>
      watched(port, (method, [key]) => {
        // Without it S3 responds with 403 where an object is missing, and not with 404.
        add("s3:ListBucket", bucket);
        for (const action of storeActions[method] ?? []) add(action, `${bucket}/${key}`);
      });
    const onQueue =
      (arn: string): OnCall =>
      (method) => {
        const action = queueActions[method];
        if (action) add(action, arn);
      };
    const queue = (name: QueueName) => watched(mailbox(name).source, onQueue(names.queue(name)));
    const deadLetters = (name: QueueName) =>
      watched(mailbox(name).deadLetters, onQueue(names.deadLetters(name)));
    const emit: Emit = async (type, detail) => {
      add("events:PutEvents", names.bus);
      send(type, detail);
    };
    const engine = watched(engineOn(), (method, [name]) => {
      const made = isOfTable(method)
        ? tableCalls(String(name), names)
        : athenaCalls(method, String(name), names);
      for (const [action, resource] of made) add(action, resource);
    });
    return {
      emit,
      deadLetters: deadLetters(service),
      work: store(work, names.work),
      data: store(data, names.data),
      results: store(results, names.results),
      fetcherQueue: queue("fetcher"),
      transformerQueue: queue("transformer"),
      assemblerQueue: queue("assembler"),
      athenaQueue: queue("athena"),
      ec2Queue: queue("ec2"),
      queuePairs: queueNames.map((name) => ({ name, source: queue(name), deadLetters: deadLetters(name) })),
      libInsight: { fetchPage: async (request: PageRequest) => pageOf(request, source) },
      engine,
      tables: engine,
      instances: watched(instances, (method, [id]) => {
        const verb = { start: "Start", stop: "Stop" }[method];
        if (verb) add(`ec2:${verb}Instances`, `arn:aws:ec2:${here}:instance/${id}`, instanceTags);
        else add("ec2:DescribeInstances", "*");
      }),
      notify: async () => add("sns:Publish", names.topic),
      // Of Lambda itself, and of processBatch for a failed message.
      ofLambda() {
        for (const call of [
          "ReceiveMessage",
          "DeleteMessage",
          "GetQueueAttributes",
          "ChangeMessageVisibility",
        ])
          add(`sqs:${call}`, names.queue(service));
        const stream = `arn:aws:logs:${here}:log-group:/libinsight/production/${service}:log-stream:a`;
        for (const call of ["CreateLogStream", "PutLogEvents"]) add(`logs:${call}`, stream);
      },
      tableau: tableauSettings(tableauEnvironment),
      tokenSecret: () => "a-secret",
      requestTimeoutMs: 1,
      refreshTimeoutMs: 1,
      pauseMs: 1,
      waitSeconds: 0,
      checkSeconds: 1,
      stage: "production",
      team: "tagged" as const,
      hasTableau: true,
      datasets,
      measure: () => {},
      now,
    };
  };

  const catalog = new ScriptedQueryEngine();
  function engineOn(): QueryEngine {
    return {
      database: names.database,
      table: (name) => catalog.table(name),
      defineTable: (name, table, ifVersion) => catalog.defineTable(name, table, ifVersion),
      moveTable: (name, place, ifVersion) => catalog.moveTable(name, place, ifVersion),
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
  const handler =
    <T extends zm.ZodMiniType, Deps>(service: Service<T, Deps>, ports: ReturnType<typeof portsOf> & Deps) =>
    async (messages: Message[]): Promise<void> => {
      ports.ofLambda();
      const { source: from } = mailbox(service.name);
      const batch = { source: from, deadLetters: ports.deadLetters, log: silent, retryBaseSeconds: 1 };
      const { retried, deadLetters } = await processBatch(service, messages, ports, batch);
      if (retried.length + deadLetters.length > 0) failed.push(service.name);
    };
  const handlers: Record<QueueName, (messages: Message[]) => Promise<void>> = {
    kickoff: handler(kickoffService, portsOf("kickoff")),
    fetcher: handler(fetcherService, portsOf("fetcher")),
    transformer: handler(transformerService, portsOf("transformer")),
    assembler: handler(assemblerService, portsOf("assembler")),
    athena: handler(athenaService, portsOf("athena")),
    tableau: handler(tableauService, portsOf("tableau")),
    reporter: handler(reporterService, portsOf("reporter")),
    ec2: handler(ec2Service, portsOf("ec2")),
    replay: handler(replayService, portsOf("replay")),
  };

  const handled = new Set<string>();
  /** Handles messages until every queue is empty. Each is handled twice, as queues deliver at least once. */
  const deliver = async (): Promise<void> => {
    for (let batches = 0, idle = 0; idle < 2; batches++) {
      if (batches > maxBatches) throw new Error(`The queues are not empty after ${maxBatches} batches.`);
      idle += 1;
      for (const name of queueNames) {
        const { source: from } = mailbox(name);
        const max = services[name].batchSize;
        const messages = await from.receive({ max, visibilitySeconds: 60, waitSeconds: 0 });
        if (messages.length === 0) continue;
        idle = 0;
        for (const { receipt } of messages) await from.delete(receipt);
        // FIFO queues drop what is sent twice, and the assembler's tasks before and after a recount look the same.
        const keyOf = ({ id, body }: Message) => `${name} ${services[name].queue.fifo ? id : body}`;
        const fresh = messages.filter((message) => !handled.has(keyOf(message)));
        for (const message of fresh) handled.add(keyOf(message));
        if (fresh.length > 0) await handlers[name](fresh);
        for (const message of fresh) await handlers[name]([message]);
      }
      passedMs += betweenBatchesMs;
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
      mailbox(name).source.insert("a message that no service can read", fifo ?? {});
    }
    await deliver();
    for (const filter of [{ run: unknown.runId }, {}, { queue: "replay" }]) {
      send("deadletter.replay.requested", { ...filter, reason: "an operator" });
      await deliver();
    }
    // What the assembler does before a file with another header.
    const { tables, data: published } = portsOf("assembler");
    await holdTable(defaultDataset, ["another header"], { tables, data: published });
    return [...calls.values()];
  } finally {
    await local.close();
  }
}

const here = `${region}:${account}`;

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
  const queueArn = (url: string) => `arn:aws:sqs:${here}:${url.slice(url.lastIndexOf("/") + 1)}`;
  return {
    work: bucketArn(graph, "Work"),
    data: bucketArn(graph, "Data"),
    results: bucketArn(graph, "Results"),
    bus: `arn:aws:events:${here}:event-bus/${variable("BUS_NAME")}`,
    topic: variable("ALERTS_TOPIC_ARN"),
    workgroup: `arn:aws:athena:${here}:workgroup/${variable("ATHENA_WORKGROUP")}`,
    database: variable("ATHENA_DATABASE"),
    queue: (name: QueueName) => queueArn(variable(`${name.toUpperCase()}_QUEUE_URL`)),
    deadLetters: (name: QueueName) => queueArn(variable(`${name.toUpperCase()}_DEAD_LETTERS_URL`)),
  };
}

const isOfTable = (method: string) => ["table", "defineTable", "moveTable"].includes(method);

const eachOf = (actions: readonly string[], resources: readonly string[]) =>
  actions.flatMap((action) => resources.map((resource): [string, string] => [action, resource]));
const glueArns = (...resources: string[]) => resources.map((resource) => `arn:aws:glue:${here}:${resource}`);

/** Returns what shared/aws/glue.ts calls for a table. */
function tableCalls(name: string, { database }: Names): [string, string][] {
  const ofDatabase = glueArns("catalog", `database/${database}`);
  return [
    ...eachOf(["glue:CreateDatabase"], ofDatabase),
    ...eachOf(
      ["glue:GetTable", "glue:CreateTable", "glue:UpdateTable"],
      [...ofDatabase, ...glueArns(`table/${database}/${name}`)],
    ),
  ];
}

/**
 * Returns what shared/aws/athena.ts calls for a method, and what Athena then calls with the permissions of the caller.
 * https://docs.aws.amazon.com/athena/latest/ug/s3-permissions.html
 * https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html
 * @param name of the view that is defined
 */
function athenaCalls(
  method: string,
  name: string,
  { data, results, database, workgroup }: Names,
): [string, string][] {
  const ofDatabase = glueArns("catalog", `database/${database}`);
  const tables = [files.table, ...Object.values(viewNames(files.table))];
  const tableArns = (table: string) => [...ofDatabase, ...glueArns(`table/${database}/${table}`)];
  const output = `${results}/${files.queryResults}/any.csv`;
  return [
    ...eachOf(["athena:StartQueryExecution", "athena:GetQueryExecution"], [workgroup]),
    ...eachOf(["s3:GetBucketLocation", "s3:ListBucket"], [data, results]),
    ...eachOf(["s3:ListBucketMultipartUploads"], [results]),
    ...eachOf(
      ["s3:GetObject"],
      [`${data}/${folder(files.csv)}any.csv`, `${data}/${previousKey(files.csv)}`, output],
    ),
    ...eachOf(["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], [output]),
    ...eachOf(["glue:GetDatabase"], [...ofDatabase, ...glueArns("database/default")]),
    ...tables.flatMap((table) =>
      eachOf(["glue:GetTable", "glue:GetTables", "glue:GetPartitions"], tableArns(table)),
    ),
    ...(method === "defineView" ? eachOf(["glue:CreateTable", "glue:UpdateTable"], tableArns(name)) : []),
  ];
}

/** A page of long comments in the first window, and two pages in the second, which shift while they are first read. */
async function pageOf({ from, page }: PageRequest, source: { shrunk: boolean; secondPages: number }) {
  const recordsIn = () => {
    // A record without its id is rejected.
    if (from === range.from)
      return recordsOf(1, 100).map((record, index) => ({
        ...(index === 0 ? recordOf(1, { _id: undefined }) : record),
        "Comments/Notes": longComment,
      }));
    if (source.shrunk) return recordsOf(1_001, 1_100);
    const records = recordsOf(1_001, 1_150);
    if (page > 1) source.secondPages += 1;
    return source.secondPages === 1 ? records.with(100, recordOf(1_001)) : records;
  };
  const records = recordsIn().map((record) => ({
    ...record,
    _start_date: `${from} 10:00:00`,
    // A new column without any value would hold the run.
    classroom: "A",
    studio: "B",
  }));
  return {
    records: records.slice(100 * (page - 1), 100 * page),
    totals: { totalPages: Math.ceil(records.length / 100), totalRecords: records.length },
  };
}
