// What each service does in a whole run: the services run on the local adapters against the simulated LibInsight, and each
// call of a port counts as the AWS requests that shared/aws makes of it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as z from "zod/mini";
import { assemblerService } from "../../services/assembler/service.ts";
import { fetcherService } from "../../services/fetcher/service.ts";
import { kickoffService } from "../../services/kickoff/service.ts";
import { transformerService } from "../../services/transformer/service.ts";
import { uploadPartBytes } from "../../shared/aws/s3.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { type LibInsightClient, libInsightClient } from "../../shared/libinsight/client.ts";
import { type Local, openLocal } from "../../shared/local/local.ts";
import type { Publish } from "../../shared/ports.ts";
import { processBatch, type Service } from "../../shared/service.ts";
import { type QueueName, services } from "../../shared/topology.ts";
import { firstDay, lastDay } from "../../stacks/local/libinsight.ts";
import { silent } from "../support/local.ts";
import { type Counted, s3Reads, s3Writes, type Usage } from "./cost.ts";
import { type Source, startSource } from "./source.ts";
import { timed } from "./statistics.ts";

/** Added to the time that this machine takes: as if every request waited for the one before. */
const awsSeconds = 0.03;
const libInsightSeconds = 0.25;
/** More batches than any run here has. */
const maxBatches = 100_000;

/** What a call of a port's method sends to AWS. */
const requestOf: Readonly<Record<string, string>> = {
  put: "PutObject",
  create: "PutObject",
  putOnce: "PutObject",
  replaceJson: "PutObject",
  getBytes: "GetObject",
  getText: "GetObject",
  getJson: "GetObject",
  getStart: "GetObject",
  stream: "GetObject",
  head: "HeadObject",
  objects: "ListObjectsV2",
  list: "ListObjectsV2",
  send: "SendMessage",
  sendAll: "SendMessageBatch",
};
/** Messages that SQS takes in one request. */
const sendsAtOnce = 10;

export type CountedRun = Omit<Counted, "memoryGb">;

/** Collects so many records, and counts. */
export async function countRun(records: number): Promise<CountedRun> {
  await using source = await startSource({ records, latencyMs: 0 });
  const folder = await mkdtemp(join(tmpdir(), "bench-usage-"));
  const local = await openLocal(folder, { inMemory: true });
  try {
    return await collect(local, source.env);
  } finally {
    await local.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function collect(local: Local, env: Source["env"]): Promise<CountedRun> {
  const { queues } = local;
  const usages: Record<string, Usage> = {};
  const pageBytes: number[] = [];
  const client = libInsightClient({
    baseUrl: env.LIBINSIGHT_BASE_URL,
    clientId: env.LIBINSIGHT_CLIENT_ID,
    clientSecret: env.LIBINSIGHT_CLIENT_SECRET,
  });
  /** Returns what a service runs on, counted as its own. */
  const portsOf = (name: QueueName) => {
    const usage: Usage = { requests: {}, lambda: { calls: 0, seconds: 0 } };
    usages[name] = usage;
    const count = (action: string, times = 1) => {
      usage.requests[action] = (usage.requests[action] ?? 0) + times;
      usage.lambda.seconds += times * awsSeconds;
    };
    const publish: Publish = async (type, detail) => {
      count("PutEvents");
      await local.publish(type, detail);
    };
    const libInsight: LibInsightClient = {
      fetchPage: (request) => {
        usage.lambda.seconds += libInsightSeconds;
        return client.fetchPage(request);
      },
    };
    return {
      usage,
      count,
      publish,
      libInsight,
      work: counting(local.work, count),
      data: counting(local.data, count),
      fetcherQueue: counting(queues.fetcher, count),
      transformerQueue: counting(queues.transformer, count),
      assemblerQueue: counting(queues.assembler, count),
      measure: () => {},
      now: () => new Date(),
    };
  };
  const drain = async <T extends z.ZodMiniType, Deps>(
    service: Service<T, Deps>,
    ports: ReturnType<typeof portsOf> & Deps,
  ): Promise<void> => {
    const source = queues[service.name];
    const deadLetters = local.deadLetters[service.name];
    const { batchSize, timeoutSeconds } = services[service.name];
    const { lambda } = ports.usage;
    for (let batch = 0; batch < maxBatches; batch++) {
      const received = { max: batchSize, visibilitySeconds: timeoutSeconds, waitSeconds: 0 };
      const messages = await source.receive(received);
      if (messages.length === 0) return;
      if (service.name === "transformer")
        pageBytes.push(...messages.map(({ body }) => Buffer.byteLength(body)));
      ports.count("ReceiveMessage");
      lambda.calls += 1;
      const batchDeps = { source, deadLetters, log: silent, retryBaseSeconds: 1 };
      lambda.seconds += await timed(() => processBatch(service, messages, ports, batchDeps));
      ports.count("DeleteMessageBatch");
      for (const { receipt } of messages) await source.delete(receipt);
    }
    throw new Error(`The queue of ${service.name} still had messages after ${maxBatches} batches.`);
  };

  await local.publish("run.requested", {
    dataset: defaultDataset.name,
    from: firstDay,
    to: lastDay,
    reason: "benchmark",
  });
  await drain(kickoffService, portsOf("kickoff"));
  await drain(fetcherService, portsOf("fetcher"));
  await drain(transformerService, portsOf("transformer"));
  const assembler = portsOf("assembler");
  await drain(assemblerService, assembler);
  const { csv, jsonl } = defaultDataset.publish;
  const files = await Promise.all([csv, jsonl].map((key) => local.data.head(key)));
  for (const file of files) {
    if (!file) throw new Error("The counted run published nothing.");
    countUpload(file.bytes, assembler.count);
  }
  return {
    pages: pageBytes.length,
    services: usages,
    pageBytes: pageBytes.reduce((sum, bytes) => sum + bytes, 0) / pageBytes.length,
    csvBytes: files[0]?.bytes ?? 0,
  };
}

type Count = (action: string, times?: number) => void;

/** Returns the port with its calls counted, but not those that it makes of itself. */
function counting<T extends object>(port: T, count: Count): T {
  return new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        const action = requestOf[String(name)];
        const [bodies] = args;
        if (action) count(action, Array.isArray(bodies) ? Math.ceil(bodies.length / sendsAtOnce) : 1);
        return Reflect.apply(member, target, args);
      };
    },
  });
}

/** As lib-storage uploads a file. */
function countUpload(bytes: number, count: Count): void {
  const parts = Math.ceil(bytes / uploadPartBytes);
  if (parts <= 1) return count("PutObject");
  count("CreateMultipartUpload");
  count("UploadPart", parts);
  count("CompleteMultipartUpload");
}

/** Returns the same run with so many times the pages. */
export function scaled({ pages, services, csvBytes, pageBytes }: CountedRun, factor: number): CountedRun {
  return {
    pages: pages * factor,
    services: mapValues(services, ({ requests, lambda }) => ({
      requests: mapValues(requests, (count) => count * factor),
      lambda: { calls: lambda.calls * factor, seconds: lambda.seconds * factor },
    })),
    pageBytes,
    csvBytes: csvBytes * factor,
  };
}

/** Returns what S3 is asked for each page: writes with listings, and reads. */
export function requestsOfPage({ pages, services }: CountedRun): { puts: number; gets: number } {
  const all = Object.values(services).flatMap(({ requests }) => Object.entries(requests));
  const sum = (actions: readonly string[]) =>
    all.reduce((total, [action, count]) => total + (actions.includes(action) ? count : 0), 0) / pages;
  return { puts: sum(s3Writes), gets: sum(s3Reads) };
}

function mapValues<T, U>(record: Record<string, T>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
