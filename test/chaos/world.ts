// One process's AWS and services for any number of plans: SQS, S3 and EventBridge on loopback, the real handlers, and
// for each plan its own buckets and its own LibInsight.
import { mkdtemp, rm } from "node:fs/promises";
import { globalAgent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { CreateBucketCommand, DeleteObjectsCommand } from "@aws-sdk/client-s3";
import { type Message, PurgeQueueCommand } from "@aws-sdk/client-sqs";
import { z } from "zod";
import { eventBridge, s3, sns, sqs } from "../../shared/aws/clients.ts";
import { Store } from "../../shared/aws/store.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { addToDate } from "../../shared/dates.ts";
import { eventSource } from "../../shared/events.ts";
import { runIdOf } from "../../shared/run.ts";
import { startEndpoints } from "../../stacks/local/endpoints.ts";
import { environment, names, wire } from "../../stacks/local/wiring.ts";
import { injectIntoClients } from "./aws.ts";
import { Delivery, type Handlers, receiveAll, replayDeadLetters } from "./delivery.ts";
import { Faults, type Injected } from "./faults.ts";
import { type Plan, queues } from "./plan.ts";
import { startSource } from "./source.ts";
import { assess } from "./verdict.ts";

/** A request of this day collects all that the simulation has, in three windows. */
const requestDay = "2024-12-02";
/** Each round of replays uses up faults, and a plan has few. */
const maxReplayRounds = 12;
const maxObjects = 10_000;
/** A hanging request costs a plan this long. */
const libInsightTimeoutMs = 300;
const earlierFile = "an earlier file\n";

export type Outcome = {
  /** What went wrong, one sentence each; none where the plan ended as it has to. */
  wrong: string[];
  injected: Injected;
  /** Dead letters that were sent back. */
  replays: number;
  /** How its runs ended. */
  states: string[];
};

export type WorldOptions = {
  credentials?: { clientId: string; clientSecret: string };
  /** Put into everything that LibInsight says. */
  mark?: string;
  /** Sees what the plan left: events, dead letters, and the objects' metadata. */
  inspect?: (left: { events: string[]; deadLetters: Message[]; metadata: Record<string, string>[] }) => void;
};

export type World = { run(plan: Plan): Promise<Outcome>; close(): Promise<void> };

const busEvent = z.object({ "detail-type": z.string(), detail: z.object({ runId: z.string().optional() }) });

/** One a process: the services find everything in the process's environment. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const { credentials = { clientId: "chaos-client", clientSecret: "chaos-secret" }, mark, inspect } = options;
  delete process.env.AWS_ENDPOINT_URL;
  // No plan gets as far as Athena, and none needs an instance.
  process.env.AWS_ENDPOINT_URL_ATHENA = "http://127.0.0.1:9";
  process.env.AWS_ENDPOINT_URL_GLUE = "http://127.0.0.1:9";
  process.env.AWS_ENDPOINT_URL_EC2 = "http://127.0.0.1:9";
  const folder = await mkdtemp(join(tmpdir(), "chaos-"));
  const closing: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  const defaultBus = await startEndpoints(folder, (end) => closing.push(end));
  closing.push(() => {
    for (const client of [sqs(), s3(), sns(), eventBridge()]) client.destroy();
  });
  const wired = await wire({ sqs: sqs(), s3: s3(), sns: sns(), events: eventBridge(), defaultBus });
  injectIntoClients();
  Object.assign(process.env, environment(wired), {
    RETRY_BASE_SECONDS: "0",
    LIBINSIGHT_TIMEOUT_MS: String(libInsightTimeoutMs),
    SST_RESOURCE_LibInsightClientId: JSON.stringify({ value: credentials.clientId }),
    SST_RESOURCE_LibInsightClientSecret: JSON.stringify({ value: credentials.clientSecret }),
  });
  // Loaded when the environment is set: a logger reads its level when it is made.
  const handlers: Handlers = {
    kickoff: (await import("../../services/kickoff/handler.ts")).handler,
    fetcher: (await import("../../services/fetcher/handler.ts")).handler,
    transformer: (await import("../../services/transformer/handler.ts")).handler,
    assembler: (await import("../../services/assembler/handler.ts")).handler,
  };
  let plans = 0;
  let port = 0;

  async function run(plan: Plan): Promise<Outcome> {
    plans += 1;
    const work = await newBucket(`chaos-work-${plans}`);
    const data = await newBucket(`chaos-data-${plans}`);
    Object.assign(process.env, { WORK_BUCKET: work.bucket, DATA_BUCKET: data.bucket });
    await purge();
    const faults = new Faults(plan);
    // The fetcher keeps its client, so every plan's LibInsight is at one address.
    const source = await startSource(plan, faults, {
      port,
      credentials,
      ...(mark !== undefined && { mark }),
    });
    port = source.port;
    process.env.LIBINSIGHT_BASE_URL = source.baseUrl;
    const letters: Message[] = [];
    const wrong: string[] = [];
    const states: string[] = [];
    try {
      const earlier = plan.earlierFile ? earlierFile : undefined;
      if (earlier) await publishEarlier(data, plan.records);
      const runIds = await request(plan, plans);
      const delivery = new Delivery(plan, faults, wired, handlers);
      await delivery.drain();
      for (let round = 1; ; round++) {
        const replayed = await replayDeadLetters(wired);
        letters.push(...replayed);
        if (replayed.length === 0) break;
        if (round > maxReplayRounds) {
          const errors = replayed.map(({ MessageAttributes }) => MessageAttributes?.Error?.StringValue);
          wrong.push(
            `dead letters come back after ${maxReplayRounds} replays: ${[...new Set(errors)].join()}`,
          );
          break;
        }
        await delivery.drain();
      }
      const events = (await receiveAll(wired.observer.url)).map(({ Body = "" }) => Body);
      const told = events.map((event) => busEvent.parse(JSON.parse(event)));
      const described = told.map((event) => ({ type: event["detail-type"], runId: event.detail.runId }));
      wrong.push(...(await assess({ plan, runIds, source, work, data, earlier, events: described })));
      for (const runId of runIds) {
        const result = await work.getText(`runs/${runId}/result.json`);
        states.push(z.object({ state: z.string() }).parse(JSON.parse(result ?? '{"state":"none"}')).state);
      }
      inspect?.({ events, deadLetters: letters, metadata: await metadataIn(data) });
    } catch (error) {
      wrong.push(error instanceof Error ? error.message : String(error));
    } finally {
      await source.close();
      globalAgent.destroy();
      await empty(work);
      await empty(data);
    }
    return { wrong, injected: faults.injected, replays: letters.length, states };
  }

  async function purge(): Promise<void> {
    const urls = queues.flatMap((queue) => [wired.queues[queue].url, wired.queues[queue].deadLetters.url]);
    // What the ends of runs tell these two, nobody takes.
    const untaken = [wired.queues.reporter.url, wired.queues.ec2.url];
    for (const QueueUrl of [...urls, ...untaken, wired.observer.url])
      await sqs().send(new PurgeQueueCommand({ QueueUrl }));
  }

  return { run, close };
}

async function newBucket(name: string): Promise<Store> {
  await s3().send(new CreateBucketCommand({ Bucket: name }));
  return new Store(s3(), name);
}

async function empty(store: Store): Promise<void> {
  const found = await store.list("", maxObjects);
  for (let from = 0; from < found.length; from += 1_000) {
    const Objects = found.slice(from, from + 1_000).map((Key) => ({ Key }));
    await s3().send(new DeleteObjectsCommand({ Bucket: store.bucket, Delete: { Objects } }));
  }
}

async function metadataIn(store: Store): Promise<Record<string, string>[]> {
  const found = await store.list("", maxObjects);
  return Promise.all(found.map(async (key) => (await store.head(key))?.metadata ?? {}));
}

/** As an earlier run with as many rows left it. */
async function publishEarlier(data: Store, rows: number): Promise<void> {
  const { Readable } = await import("node:stream");
  await data.upload(defaultDataset.publish.csv, Readable.from([Buffer.from(earlierFile)]), {
    contentType: "text/csv",
    metadata: { "run-id": "earlier", "requested-at": "2024-11-01T12:00:00Z", rows: String(rows) },
    condition: "absent",
  });
}

/** Puts the plan's requests on the bus. @returns the ids of the runs that they ask for */
async function request(plan: Plan, number: number): Promise<string[]> {
  const runIds = new Set<string>();
  for (const { id, day } of plan.requests) {
    const requestId = `plan ${number} ${id}`;
    runIds.add(runIdOf(defaultDataset.name, requestId));
    await eventBridge().send(
      new PutEventsCommand({
        Entries: [
          {
            EventBusName: names.bus,
            Source: eventSource,
            DetailType: "run.requested",
            Detail: JSON.stringify({ dataset: defaultDataset.name, reason: "chaos", requestId }),
            Time: new Date(`${addToDate(requestDay, { days: day })}T12:00:00Z`),
          },
        ],
      }),
    );
  }
  return [...runIds];
}
