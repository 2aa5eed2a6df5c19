// Measures a weekly run that collects everything, and one that reuses windows: what they request from LibInsight, how long
// they take at 250 ms and 8 requests at once, and what they cost.
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { costOf, totalOf } from "../../shared/cost.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { addDays, daysBetween } from "../../shared/dates.ts";
import { openLocal } from "../../shared/local/open-local.ts";
import { firstDay, lastDay } from "../../stacks/local/libinsight.ts";
import type { CaseResult } from "./cases.ts";
import { startSource } from "./source-process.ts";
import { collect } from "./usage.ts";

const latencyMs = 250;
const lookbackDays = 42;
const refreshing = { ...defaultDataset, refresh: { lookbackDays, full: "quarterly" as const } };
/** A full run of a million records waits 5.5 minutes for LibInsight. */
const timeoutMs = 40 * 60_000;
/** Until the simulation has added records. */
const additionMs = 500;

type Measured = { run: string; requests: number; seconds: number; bytes: number; dollars: number };

export async function measureRefresh(
  sizes: readonly number[],
  memoryGb: Record<string, number>,
): Promise<CaseResult> {
  const figures = [];
  const rows: string[][] = [];
  for (const records of sizes) {
    const measured = await measureRuns(records, memoryGb);
    figures.push({ records, measured });
    for (const { run, requests, seconds, bytes, dollars } of measured) {
      const megabytes = (bytes / 1e6).toFixed(1);
      rows.push([String(records), run, String(requests), seconds.toFixed(1), megabytes, dollars.toFixed(4)]);
    }
  }
  return {
    figures,
    table: { headers: ["Records", "Run", "Requests", "Seconds", "MB from LibInsight", "$"], rows },
  };
}

/** Collects three times, a week after the other. The first run knows no density, and is not measured. */
async function measureRuns(records: number, memoryGb: Record<string, number>): Promise<Measured[]> {
  await using source = await startSource({ records, latencyMs });
  await using counter = await startCounter(new URL(source.env.LIBINSIGHT_BASE_URL));
  const folder = await mkdtemp(join(tmpdir(), "bench-refresh-"));
  const local = await openLocal(folder, { inMemory: true });
  const env = { ...source.env, LIBINSIGHT_BASE_URL: counter.url };
  const measure = async (run: string, to: string, full: boolean): Promise<Measured> => {
    counter.reset();
    const startedAt = performance.now();
    const range = { from: firstDay, to, full };
    const counted = await collect(local, env, { ...range, datasets: [refreshing], timeoutMs });
    const seconds = (performance.now() - startedAt) / 1_000;
    return { run, ...counter.counts(), seconds, dollars: totalOf(costOf({ ...counted, memoryGb })) };
  };
  try {
    await measure("first", addDays(lastDay, -14), true);
    const full = await measure("full", addDays(lastDay, -7), true);
    const late = lateDays(records);
    source.addRecords(late);
    await delay(additionMs);
    return [full, await measure(`incremental, ${late.length} late records`, lastDay, false)];
  } finally {
    await local.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Returns days before the lookback: two, and one more for each 100,000 records. */
function lateDays(records: number): string[] {
  const days = daysBetween(firstDay, lastDay) - 2 * lookbackDays;
  const late = 2 + Math.floor(records / 100_000);
  return Array.from({ length: late }, (_, n) => addDays(firstDay, Math.floor(((n + 0.5) * days) / late)));
}

type Counter = {
  url: string;
  reset(): void;
  counts(): { requests: number; bytes: number };
  [Symbol.asyncDispose](): Promise<void>;
};

/** Starts a proxy that counts the requests and the bytes of the responses. */
async function startCounter({ hostname, port, pathname }: URL): Promise<Counter> {
  let [requests, bytes] = [0, 0];
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    client.on("data", (sent) => {
      // A request of the pipeline is one chunk.
      if (/^(GET|POST) /.test(sent.toString("latin1", 0, 5))) requests += 1;
    });
    upstream.on("data", (received) => {
      bytes += received.length;
    });
    client.on("error", () => upstream.destroy()).pipe(upstream);
    upstream.on("error", () => client.destroy()).pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address: AddressInfo | string | null = server.address();
  if (typeof address !== "object" || address === null) throw new Error("The counter has no port.");
  return {
    url: `http://127.0.0.1:${address.port}${pathname}`,
    reset() {
      requests = 0;
      bytes = 0;
    },
    counts: () => ({ requests, bytes }),
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}
