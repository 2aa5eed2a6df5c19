// A run from its request to the published files: each service in a process of its own, the emulators in others.
import { join } from "node:path";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { S3Client } from "@aws-sdk/client-s3";
import { SNSClient } from "@aws-sdk/client-sns";
import { SQSClient } from "@aws-sdk/client-sqs";
import { z } from "zod";
import { busPublisher } from "../../shared/aws/bus.ts";
import { once } from "../../shared/aws/clients.ts";
import { Store } from "../../shared/aws/store.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import { type RunResult, runIdOf, runResult } from "../../shared/run.ts";
import { firstDay, lastDay } from "../../stacks/local/libinsight.ts";
import { environment, names, services, wire } from "../../stacks/local/wiring.ts";
import { bundleModule } from "../stacks/evaluate/bundles.ts";
import type { Graph } from "../stacks/evaluate/graph.ts";
import { type Child, startChild } from "./child.ts";
import { type SourceSettings, startEmulators } from "./emulators.ts";

/** What a service's process tells of itself at the end. */
const account = z.strictObject({
  /** By action. */
  requests: z.record(z.string(), z.number()),
  /** What Lambda would bill, at whatever memory. */
  lambda: z.strictObject({ calls: z.number(), seconds: z.number() }),
  peakMemoryMb: z.number(),
});
export type Account = z.infer<typeof account>;

export type Collected = {
  /** From the request to the published files. */
  seconds: number;
  records: number;
  pages: number;
  services: Record<string, Account>;
};

/** Some weeks, of the source's three years. */
const warmUpTo = "2022-02-28";

const collecting = ["KICKOFF", "FETCH", "PAGES", "ASSEMBLE"] as const;
type Collecting = (typeof collecting)[number];

/** The functions' names in the stacks, by the queue that feeds them. */
const functionNames: Record<Collecting, string> = {
  KICKOFF: "Kickoff",
  FETCH: "Fetcher",
  PAGES: "Transformer",
  ASSEMBLE: "Assembler",
};

export type Collection = {
  /** Collects all of the source; runs may follow each other. */
  run(): Promise<Collected>;
  /** Collects the first days of the source, so that what is measured then is not how Node warms up. */
  warmUp(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** @param fetchersAtOnce 8 on a stage */
export async function startCollection(
  graph: Graph,
  source: SourceSettings,
  fetchersAtOnce: number,
): Promise<Collection> {
  await using starting = new AsyncDisposableStack();
  const place = starting.use(await startPlace(source));
  const children = new Map<Collecting, Child>();
  for (const queue of collecting) {
    const concurrency = queue === "FETCH" ? fetchersAtOnce : services[queue].concurrency;
    children.set(queue, await place.startService(graph, queue, concurrency));
  }
  let requests = 0;

  async function collect(to: string): Promise<{ seconds: number; result: RunResult }> {
    requests += 1;
    const requestId = `benchmark ${requests}`;
    const failures = [...children.values()].map(({ failed }) => failed);
    const published = children.get("ASSEMBLE")?.next(batchDone);
    const start = performance.now();
    // Whatever was published before.
    const meant = { reason: "benchmark", force: "benchmark" };
    await place.publish("run.requested", {
      dataset: defaultDataset.name,
      from: firstDay,
      to,
      requestId,
      ...meant,
    });
    await Promise.race([published, ...failures]);
    const seconds = (performance.now() - start) / 1000;
    return { seconds, result: await place.publishedRun(runIdOf(defaultDataset.name, requestId)) };
  }

  async function accounts(): Promise<Record<string, Account>> {
    const found: Record<string, Account> = {};
    for (const [queue, child] of children) found[services[queue].service] = await accountOf(child);
    return found;
  }

  const running = starting.move();
  return {
    async run() {
      const before = await accounts();
      const { seconds, result } = await collect(lastDay);
      const after = await accounts();
      const { records, windows } = result;
      const pages = windows.reduce((sum, window) => sum + window.pages, 0);
      return {
        seconds,
        records,
        pages,
        services: mapValues(after, (account, name) => since(before[name], account)),
      };
    },
    async warmUp() {
      await collect(warmUpTo);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** What was done in between. The peak of memory is that of the process's whole life. */
function since(before: Account | undefined, { requests, lambda, peakMemoryMb }: Account): Account {
  const done = mapValues(requests, (count, action) => count - (before?.requests[action] ?? 0));
  return {
    requests: Object.fromEntries(Object.entries(done).filter(([, count]) => count > 0)),
    lambda: {
      calls: lambda.calls - (before?.lambda.calls ?? 0),
      seconds: lambda.seconds - (before?.lambda.seconds ?? 0),
    },
    peakMemoryMb,
  };
}

function mapValues<T, U>(record: Record<string, T>, map: (value: T, name: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]));
}

/** A service says so of each batch. */
export const batchDone = z.strictObject({ done: z.int().positive() });

export function accountOf(child: Child): Promise<Account> {
  child.tell({ tell: "account" });
  return child.next(account);
}

/** Emulators with the queues, buckets and rules of a stage, wired and without services. */
export async function startPlace(libInsight?: SourceSettings) {
  await using starting = new AsyncDisposableStack();
  const emulators = starting.use(await startEmulators(libInsight));
  const clients = clientsOf(emulators.env);
  starting.defer(() => {
    for (const client of Object.values(clients)) client.destroy();
  });
  const { sqs, s3, sns, events } = clients;
  const wired = await wire({ sqs, s3, sns, events, defaultBus: events });
  const work = new Store(clients.s3, names.buckets.work);
  const env = { ...emulators.env, ...environment(wired) };
  const running = starting.move();
  return {
    ...clients,
    env,
    wired,
    work,
    publish: busPublisher(clients.events, names.bus),

    /** Ends with the place. */
    async startService(graph: Graph, queue: Collecting, concurrency: number): Promise<Child> {
      const child = startChild(
        await serviceModule(),
        {
          bundle: bundleOf(graph, queue),
          queue: { url: wired.queues[queue].url, arn: wired.queues[queue].arn },
          mapping: { ...services[queue], concurrency },
        },
        { env, measured: true },
      );
      running.use(child);
      await child.next(z.strictObject({ ready: z.literal(true) }));
      return child;
    },

    /** @throws Error where it was not published */
    async publishedRun(runId: string): Promise<RunResult> {
      const result = await work.getJson(keys.result(runId), runResult);
      if (result?.state === "published") return result;
      throw new Error(`The run ended as ${result?.state}: ${result?.reason}`);
    },

    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function clientsOf(env: Record<string, string>) {
  const settings = (service: string) => ({
    region: "us-east-1",
    credentials: { accessKeyId: "bench", secretAccessKey: "bench" },
    endpoint: env[`AWS_ENDPOINT_URL_${service}`] ?? "",
  });
  return {
    sqs: new SQSClient({ ...settings("SQS"), useQueueUrlAsEndpoint: false }),
    s3: new S3Client(settings("S3")),
    /** S3 itself is where SQS is; before it stands a front (stacks/local/aws/s3.ts). */
    behindFront: new S3Client({ ...settings("SQS"), forcePathStyle: true }),
    sns: new SNSClient(settings("SNS")),
    events: new EventBridgeClient(settings("EVENTBRIDGE")),
  };
}

function bundleOf(graph: Graph, queue: Collecting): string {
  const bundle = graph.bundles[functionNames[queue]];
  if (!bundle) throw new Error(`There is no bundle of ${functionNames[queue]}.`);
  return join(bundle.directory, "bundle.mjs");
}

/** @returns the file of service.ts, bundled */
const serviceModule = once(async () => {
  const file = join(process.cwd(), ".cache", "bench", "service.mjs");
  await bundleModule({ entryPoints: [join(import.meta.dirname, "service.ts")] }, file);
  return file;
});
