// Counts the AWS requests of a run until its publication. The services run as `npm start` runs them, against the simulated
// LibInsight with 250 ms per response, and each port call counts as the requests that shared/aws makes for it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { uploadPartBytes } from "../../shared/aws/s3.ts";
import { type Counted, s3Puts, type Usage } from "../../shared/cost.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { libInsightClient } from "../../shared/libinsight/client.ts";
import { type Local, openLocal } from "../../shared/local/open-local.ts";
import { firstDay, lastDay } from "../../stacks/local/libinsight.ts";
import { localSettings } from "../../stacks/local/local-settings.ts";
import { startWorkers } from "../../stacks/local/workers.ts";
import { type OnCall, watched } from "../support/intercepted-ports.ts";
import { type Source, startSource } from "./source-process.ts";

const latencyMs = 250;
/** The assumed duration of a request to AWS, as if requests were sequential. */
const awsSeconds = 0.03;
/** A run of 10,300 records takes some 5 seconds. */
const usualTimeoutMs = 2 * 60_000;
/** The messages of one SendMessageBatch request. */
const batchSize = 10;

/** The AWS request for each method of a port. */
const actionOf: Readonly<Record<string, string>> = {
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

export type CountedRun = Omit<Counted, "memoryGb">;
export type CollectOptions = {
  from: string;
  to: string;
  full?: boolean;
  datasets?: readonly Dataset[];
  timeoutMs?: number;
};

/** @throws Error if the run is not published within two minutes */
export async function countRun(records: number): Promise<CountedRun> {
  await using source = await startSource({ records, latencyMs });
  const folder = await mkdtemp(join(tmpdir(), "bench-usage-"));
  const local = await openLocal(folder, { inMemory: true });
  try {
    return await collect(local, source.env, { from: firstDay, to: lastDay });
  } finally {
    await local.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Collects the default dataset, and counts until its publication. @throws Error if that takes longer than the timeout */
export async function collect(
  local: Local,
  env: Source["env"],
  { datasets, timeoutMs = usualTimeoutMs, ...request }: CollectOptions,
): Promise<CountedRun> {
  const requests: Record<string, number> = {};
  const add = (action: string, times = 1) => {
    requests[action] = (requests[action] ?? 0) + times;
  };
  let [pages, bytesOfPages, messages] = [0, 0, 0];
  const { kickoff, fetcher, transformer, assembler } = local.queues;
  const onCall: OnCall = (method, [first]) => {
    const action = actionOf[method];
    if (action) add(action, Array.isArray(first) ? Math.ceil(first.length / batchSize) : 1);
  };
  const onPage: OnCall = (method, args) => {
    onCall(method, args);
    if (method === "send") bytesOfPages += Buffer.byteLength(String(args[0]));
  };
  const counted: Local = {
    ...local,
    work: watched(local.work, onCall),
    data: watched(local.data, onCall),
    queues: {
      ...local.queues,
      kickoff: watched(kickoff, onCall),
      fetcher: watched(fetcher, onCall),
      transformer: watched(transformer, onPage),
      assembler: watched(assembler, onCall),
    },
    emit: async (type, detail) => {
      add("PutEvents");
      await local.emit(type, detail);
    },
  };
  const published = Promise.withResolvers<void>();
  const startedAt = process.cpuUsage();
  const workers = startWorkers({
    local: counted,
    settings: localSettings({}),
    pseudonymKey: "be".repeat(32),
    ...(datasets && { datasets }),
    libInsight: libInsightClient({
      baseUrl: env.LIBINSIGHT_BASE_URL,
      clientId: env.LIBINSIGHT_CLIENT_ID,
      clientSecret: env.LIBINSIGHT_CLIENT_SECRET,
    }),
    events: {
      onHandled: (queue, { outcome }) => {
        messages += 1;
        if (queue === "fetcher") pages += 1;
        if (queue === "assembler" && outcome === "published") published.resolve();
      },
      onDeadLetter: (queue) => published.reject(new Error(`A message of ${queue} was dead-lettered.`)),
    },
  });
  try {
    await local.emit("run.requested", { dataset: defaultDataset.name, ...request, reason: "benchmark" });
    const late = delay(timeoutMs, undefined, { ref: false }).then(() => {
      throw new Error(`The run was not published within ${timeoutMs} ms.`);
    });
    await Promise.race([published.promise, late]);
  } finally {
    await workers.stop();
  }
  const { user, system } = process.cpuUsage(startedAt);
  // Counts each message as a batch.
  add("ReceiveMessage", messages);
  add("DeleteMessageBatch", messages);
  const [csvBytes, jsonlBytes] = await Promise.all([
    bytesOf(local, defaultDataset.publish.csv),
    bytesOf(local, defaultDataset.publish.jsonl),
  ]);
  for (const bytes of [csvBytes, jsonlBytes]) addUpload(bytes, add);
  const waits = Object.values(requests).reduce((sum, times) => sum + times, 0) * awsSeconds;
  return {
    pages,
    services: {
      fetcher: { requests: {}, lambda: { calls: 0, seconds: (pages * latencyMs) / 1000 } },
      // Usage that can't be attributed to a service counts at the largest function's price.
      assembler: { requests, lambda: { calls: messages, seconds: (user + system) / 1e6 + waits } },
    },
    pageBytes: bytesOfPages / pages,
    csvBytes,
  };
}

async function bytesOf({ data }: Local, key: string): Promise<number> {
  const info = await data.head(key);
  if (info) return info.bytes;
  throw new Error(`The run did not publish ${key}.`);
}

/** Adds the requests that lib-storage makes to upload a file. */
function addUpload(bytes: number, add: (action: string, times?: number) => void): void {
  const parts = Math.ceil(bytes / uploadPartBytes);
  if (parts <= 1) {
    add("PutObject");
    return;
  }
  add("CreateMultipartUpload");
  add("UploadPart", parts);
  add("CompleteMultipartUpload");
}

/** Returns the usage of a run with `factor` times the pages. */
export function scaled(run: CountedRun, factor: number): CountedRun {
  const services = Object.entries(run.services).map(([name, { requests, lambda }]): [string, Usage] => [
    name,
    {
      requests: Object.fromEntries(
        Object.entries(requests).map(([action, times]) => [action, times * factor]),
      ),
      lambda: { calls: lambda.calls * factor, seconds: lambda.seconds * factor },
    },
  ]);
  const { pages, pageBytes, csvBytes } = run;
  const scaledServices = Object.fromEntries(services);
  return { pages: pages * factor, services: scaledServices, pageBytes, csvBytes: csvBytes * factor };
}

export type RequestsOfPage = Record<"put" | "get" | "head" | "list", number>;

/** Returns the S3 requests per page of a run. */
export function requestsOfPage({ pages, services }: CountedRun): RequestsOfPage {
  const requests = Object.values(services).flatMap((usage) => Object.entries(usage.requests));
  const ofPage = (actions: readonly string[]) =>
    requests.reduce((sum, [action, times]) => sum + (actions.includes(action) ? times : 0), 0) / pages;
  const [put, get] = [ofPage(s3Puts), ofPage(["GetObject"])];
  return { put, get, head: ofPage(["HeadObject"]), list: ofPage(["ListObjectsV2"]) };
}
