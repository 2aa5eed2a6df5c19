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
import { prices } from "../../shared/prices.ts";
import { firstDay, lastDay } from "../../stacks/local/libinsight.ts";
import type { CaseResult } from "./cases.ts";
import { requestsAtOnce } from "./compare-tools.ts";
import { calculateRequests, type Requests } from "./refresh-requests.ts";
import { startSource } from "./source-process.ts";
import { collect } from "./usage.ts";

const latencyMs = 250;
const lookbackDays = 42;
const refreshing = { ...defaultDataset, refresh: { lookbackDays, full: "quarterly" as const } };
/** A full run of a million records waits 5.5 minutes for LibInsight. */
const timeoutMs = 40 * 60_000;
/** Until the simulation has added records. */
const additionMs = 500;

type Figures = { run: string; requests: number; seconds: number; bytes: number; dollars: number };

const headers = ["Records", "Run", "Requests", "Seconds", "MB from LibInsight", "$", "Figures"];

/** @param calculated a number of records whose runs are calculated from those of `records` */
export async function measureRefresh(
  records: number,
  memoryGb: Record<string, number>,
  calculated?: number,
): Promise<CaseResult> {
  const measured = await measureRuns(records, memoryGb);
  const [full] = measured;
  const further = calculated === undefined || !full ? [] : await calculateRuns(calculated, full, memoryGb);
  const row = (size: number, how: string) => (figures: Figures) => {
    const { run, requests, seconds, bytes, dollars } = figures;
    const megabytes = (bytes / 1e6).toFixed(1);
    return [String(size), run, String(requests), seconds.toFixed(1), megabytes, dollars.toFixed(4), how];
  };
  const rows = [
    ...measured.map(row(records, "measured")),
    ...further.map(row(calculated ?? 0, "calculated")),
  ];
  return { figures: { measured, calculated: further }, table: { headers, rows } };
}

/** The assembler's work for a part, in seconds (docs/scale.md). */
const partSeconds = 0.0011;

/** Multiplies the requests by what one of a measured full run takes. The seconds are those of waiting for LibInsight. */
async function calculateRuns(
  records: number,
  { requests: measured, bytes, dollars }: Figures,
  { assembler = 0 }: Record<string, number>,
): Promise<Figures[]> {
  const figures = (run: string, { pages, recounts, searches }: Requests, reusedParts: number): Figures => {
    // With the request of a token.
    const requests = pages + recounts + searches + 1;
    const ofPart = prices.s3Read + partSeconds * assembler * prices.lambdaGbSecond;
    return {
      ...{ run, requests },
      seconds: ((pages + recounts) / requestsAtOnce + searches + 1) * (latencyMs / 1_000),
      bytes: (requests / measured) * bytes,
      dollars: (requests / measured) * dollars + reusedParts * ofPart,
    };
  };
  const runs: Figures[] = [];
  for (const late of [[], lateDays(2), lateDays(12)]) {
    const { full, incremental } = await calculateRequests(records, late, lookbackDays);
    if (runs.length === 0) runs.push(figures("full", full, 0));
    runs.push(figures(incrementalRun(late), incremental, full.pages - incremental.pages));
  }
  return runs;
}

function incrementalRun(late: readonly string[]): string {
  return `incremental, ${late.length} late records`;
}

/** Collects three times, a week after the other. The first run knows no density, and is not measured. */
async function measureRuns(records: number, memoryGb: Record<string, number>): Promise<Figures[]> {
  await using source = await startSource({ records, latencyMs });
  await using counter = await startCounter(new URL(source.env.LIBINSIGHT_BASE_URL));
  const folder = await mkdtemp(join(tmpdir(), "bench-refresh-"));
  const local = await openLocal(folder, { inMemory: true });
  const env = { ...source.env, LIBINSIGHT_BASE_URL: counter.url };
  const measure = async (run: string, to: string, full: boolean): Promise<Figures> => {
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
    const late = lateDays(2);
    source.addRecords(late);
    await delay(additionMs);
    return [full, await measure(incrementalRun(late), lastDay, false)];
  } finally {
    await local.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Returns days before the lookback. */
function lateDays(late: number): string[] {
  const days = daysBetween(firstDay, lastDay) - 2 * lookbackDays;
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
