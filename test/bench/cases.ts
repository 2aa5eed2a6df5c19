// The cases: what each measures, how often, beside what, and what is to be reached.
import { z } from "zod";
import type { Graph } from "../stacks/evaluate/graph.ts";
import { measureAssembler } from "./assemble.ts";
import { measureBundles } from "./bundles.ts";
import { type Account, type Collected, startCollection } from "./collect.ts";
import { costOf, totalOf } from "./cost.ts";
import { pricesOf } from "./prices.ts";
import { median } from "./statistics.ts";
import type { Row } from "./table.ts";
import { measureTransform } from "./transform.ts";

export type Measured = { rows: Row[]; figures: unknown };

/** Virginia Tech's reference transactions of three years. */
const vtRecords = 10_300;
const latencyMs = 250;
const fetchersAtOnce = 8;
/** How often a case is run, by records or rows: a million take minutes. */
const runsOf = (size: number) => (size <= 20_000 ? 5 : size <= 100_000 ? 3 : 1);

/** A short run gets faster for some times. */
const shortWarmUps = 3;

/** What one case found, for a later one. */
let concurrentSeconds: number | undefined;
const counted = new Map<number, Collected>();

export const cases: Record<string, (graph: Graph) => Promise<Measured>> = {
  latency: async (graph) => {
    const runs = await collections(graph, { records: vtRecords, latencyMs }, fetchersAtOnce, 5);
    const seconds = median(runs.map((run) => run.seconds));
    concurrentSeconds = seconds;
    remember(vtRecords, runs);
    const floor = (Math.ceil((runs[0]?.pages ?? 0) / fetchersAtOnce) * latencyMs) / 1000;
    return {
      figures: runs,
      rows: [
        {
          case: `${vtRecords} records, ${latencyMs} ms, ${fetchersAtOnce} at once`,
          measured: `${seconds.toFixed(2)} s`,
          floor: `${floor.toFixed(2)} s: pages / ${fetchersAtOnce} x latency`,
          ratio: seconds / floor,
          toReach: { text: "<= 1.4 x", reached: seconds / floor <= 1.4 },
        },
      ],
    };
  },

  sequential: async (graph) => {
    const runs = await collections(graph, { records: vtRecords, latencyMs }, 1, 3);
    const seconds = median(runs.map((run) => run.seconds));
    concurrentSeconds ??= median(
      (await collections(graph, { records: vtRecords, latencyMs }, fetchersAtOnce, 5)).map(
        (run) => run.seconds,
      ),
    );
    return {
      figures: runs,
      rows: [
        {
          case: "the same, one request after the other",
          measured: `${seconds.toFixed(2)} s`,
          floor: `${concurrentSeconds.toFixed(2)} s: ${fetchersAtOnce} at once`,
          ratio: seconds / concurrentSeconds,
          toReach: { text: ">= 6 x", reached: seconds / concurrentSeconds >= 6 },
        },
      ],
    };
  },

  scale: async (graph) => {
    const figures: Record<string, Collected[]> = {};
    const rows: Row[] = [];
    let smallest: { speed: number; memoryMb: number } | undefined;
    for (const records of [10_000, 100_000, 1_000_000]) {
      const runs = await collections(graph, { records, latencyMs: 0 }, fetchersAtOnce, runsOf(records));
      figures[records] = runs;
      remember(records, runs);
      const speed = median(runs.map((run) => run.records / run.seconds));
      const memoryMb = Math.max(
        ...runs.flatMap(({ services }) => accountsOf(services).map((one) => one.peakMemoryMb)),
      );
      smallest ??= { speed, memoryMb };
      const { pages = 1, services = {} } = runs.at(-1) ?? {};
      const lists = requestsOf(services, ["ListObjectsV2"]) / pages;
      rows.push(
        {
          case: `${records} records, no latency`,
          measured: `${Math.round(speed)} records/s`,
          floor: `${Math.round(smallest.speed)} records/s at 10000`,
          ratio: speed / smallest.speed,
          toReach: { text: ">= 0.8 x", reached: speed / smallest.speed >= 0.8 },
        },
        {
          case: "- largest process",
          measured: `${Math.round(memoryMb)} MB`,
          floor: `${Math.round(smallest.memoryMb)} MB at 10000`,
          ratio: memoryMb / smallest.memoryMb,
          toReach: { text: "<= 1.3 x", reached: memoryMb / smallest.memoryMb <= 1.3 },
        },
        {
          case: "- requests a page",
          measured: Object.entries(kinds)
            .map(([kind, actions]) => `${kind} ${(requestsOf(services, actions) / pages).toFixed(2)}`)
            .join(", "),
          floor: "",
          toReach: { text: "LIST <= 0.5", reached: lists <= 0.5 },
        },
      );
    }
    return { figures, rows };
  },

  transform: async () => {
    const { records, rounds } = await measureTransform(21);
    const speed = median(rounds.map((round) => records / round.ours));
    const floor = median(rounds.map((round) => records / round.floor));
    const ratio = median(rounds.map((round) => round.floor / round.ours));
    return {
      figures: { records, rounds },
      rows: [
        {
          case: "transform of recorded pages",
          measured: `${Math.round(speed)} records/s`,
          floor: `${Math.round(floor)} records/s: JSON.parse and csv-stringify`,
          ratio,
          toReach: { text: ">= 0.6 x", reached: ratio >= 0.6 },
        },
      ],
    };
  },

  assembler: (graph) => assembler(graph, [100_000, 1_000_000]),
  /** Takes as long as all the others together. */
  "assembler-large": (graph) => assembler(graph, [5_000_000]),

  bundles: async (graph) => {
    const figures = await measureBundles(graph, 9);
    const rows = figures.flatMap(({ service, size, imports }): Row[] => {
      const bySize = size.bytes / size.floorBytes;
      const byTime = median(imports.map((one) => one.ms / one.floorMs));
      return [
        {
          case: `bundle of ${service}`,
          measured: `${Math.round(size.bytes / 1024)} KB`,
          floor: `${Math.round(size.floorBytes / 1024)} KB: the SDK alone`,
          ratio: bySize,
          toReach: { text: "<= 1.3 x", reached: bySize <= 1.3 },
        },
        {
          case: "- its import",
          measured: `${Math.round(median(imports.map((one) => one.ms)))} ms`,
          floor: `${Math.round(median(imports.map((one) => one.floorMs)))} ms`,
          ratio: byTime,
          toReach: { text: "<= 1.3 x", reached: byTime <= 1.3 },
        },
      ];
    });
    return { figures, rows };
  },

  cost: async (graph) => {
    const memoryGb = memoryOf(graph);
    const figures = [];
    const rows: Row[] = [];
    for (const [records, furtherSecondsOfPage] of [
      [vtRecords, 0],
      // Counted without latency.
      [1_000_000, latencyMs / 1000],
    ] as const) {
      const run = counted.get(records);
      if (!run) continue;
      const csvBytes = records * bytesOfRow;
      const cost = costOf({ ...run, memoryGb, pageBytes: bytesOfPage, csvBytes, furtherSecondsOfPage });
      const dollars = totalOf(cost);
      figures.push({ records, cost, dollars, pricesOf });
      rows.push({
        case: `cost of a run of ${records} records`,
        measured: `$${dollars.toFixed(4)}, a month of weekly runs $${((dollars * 52) / 12).toFixed(3)}`,
        floor: `prices of ${pricesOf}`,
        ...(records === vtRecords && { toReach: { text: "<= $0.01", reached: dollars <= 0.01 } }),
      });
    }
    return { figures, rows };
  },
};

/** Of the simulation's records: a message with a hundred, and a row of the CSV. */
const bytesOfPage = 70_000;
const bytesOfRow = 260;

/** The requests of AWS's bill that grow with the pages. */
const kinds = {
  PUT: ["PutObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload"],
  GET: ["GetObject", "HeadObject"],
  LIST: ["ListObjectsV2"],
  SQS: ["SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch"],
};

/** Runs that follow a warm-up, in the same processes: what is measured is not how Node compiles what it runs. */
async function collections(
  graph: Graph,
  source: { records: number; latencyMs: number },
  atOnce: number,
  runs: number,
): Promise<Collected[]> {
  await using collection = await startCollection(graph, source, atOnce);
  await collection.warmUp();
  const isShort = source.records <= 20_000 && atOnce > 1;
  for (let run = 0; isShort && run < shortWarmUps; run++) await collection.run();
  const measured: Collected[] = [];
  for (let run = 0; run < runs; run++) measured.push(await collection.run());
  return measured;
}

function remember(records: number, runs: readonly Collected[]): void {
  const last = runs.at(-1);
  if (last) counted.set(records, last);
}

const accountsOf = (services: Record<string, Account>) => Object.values(services);

function requestsOf(services: Record<string, Account>, actions: readonly string[]): number {
  return accountsOf(services).reduce(
    (sum, { requests }) => sum + actions.reduce((more, action) => more + (requests[action] ?? 0), 0),
    0,
  );
}

const lambdaInputs = z.object({ memorySize: z.number() });

/** Gigabytes of each service's function, as the stage would create it. */
function memoryOf(graph: Graph): Record<string, number> {
  const functions = graph.resources.filter(({ type }) => type === "aws:lambda/function:Function");
  return Object.fromEntries(
    functions.map(({ name, inputs }) => [
      name.replace(/Function$/, "").toLowerCase(),
      lambdaInputs.parse(inputs).memorySize / 1024,
    ]),
  );
}

async function assembler(graph: Graph, sizes: readonly number[]): Promise<Measured> {
  const figures = [];
  const rows: Row[] = [];
  for (const size of sizes) {
    const measured = await measureAssembler(graph, size, runsOf(size));
    figures.push(measured);
    const { bytes, rounds, peakMemoryMb, peakMemoryOfFloorMb } = measured;
    const speed = (seconds: number) => `${(bytes / 1e6 / seconds).toFixed(1)} MB/s`;
    const seconds = median(rounds.map((round) => round.seconds));
    const same = median(rounds.map((round) => round.sameObjects / round.seconds));
    const one = median(rounds.map((round) => round.oneObject / round.seconds));
    rows.push(
      {
        case: `assembler, ${size} rows`,
        measured: speed(seconds),
        floor: `${speed(median(rounds.map((round) => round.sameObjects)))}: the same objects, S3 to S3`,
        ratio: same,
        toReach: { text: ">= 0.6 x", reached: same >= 0.6 },
      },
      {
        case: "- the same",
        measured: speed(seconds),
        floor: `${speed(median(rounds.map((round) => round.oneObject)))}: as one object, S3 to S3`,
        ratio: one,
      },
      {
        case: "- its process",
        measured: `${Math.round(peakMemoryMb)} MB`,
        floor: `${Math.round(peakMemoryOfFloorMb)} MB`,
        toReach: { text: "<= 256 MB", reached: peakMemoryMb <= 256 },
      },
    );
  }
  return { figures, rows };
}
