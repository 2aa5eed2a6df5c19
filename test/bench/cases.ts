// The cases of the benchmark: what each measures, its rounds, its baseline and its target.
import { z } from "zod";
import { costOf, totalOf } from "../../shared/cost.ts";
import { pricesOf } from "../../shared/prices.ts";
import type { Graph } from "../stacks/evaluate/graph.ts";
import { measureAssembler } from "./assembler.ts";
import { measureBundles } from "./bundle-sizes.ts";
import { compareKind, compareKinds, measureChanges } from "./changes.ts";
import { compareTools, requestsAtOnce } from "./compare-tools.ts";
import { type Compared, peerTable, type Target } from "./comparison.ts";
import { measureRefresh } from "./refresh.ts";
import { median } from "./statistics.ts";
import { baselineTable, type Row, type Table } from "./table.ts";
import { measureTransform } from "./transformer.ts";
import { countRun, requestsOfPage, scaled } from "./usage.ts";

export type CaseResult = { table: Table; figures: unknown };

/** The number of Virginia Tech's reference transactions in three years. */
const vtRecords = 10_300;
const recordsPerPage = 100;

type LocalCase = {
  records: number;
  latencyMs: number;
  rounds: number;
  target(pages: number): Target;
};

const localCases: LocalCase[] = [
  {
    records: vtRecords,
    latencyMs: 0,
    rounds: 5,
    target: () => ({ seconds: 1.2, peakMb: 200 }),
  },
  {
    records: vtRecords,
    latencyMs: 250,
    rounds: 5,
    target: (pages) => ({ seconds: (1.3 * Math.ceil(pages / requestsAtOnce) * 250) / 1000 }),
  },
  {
    records: 100_000,
    latencyMs: 0,
    rounds: 3,
    target: () => ({ seconds: 4.5, peakMb: 220 }),
  },
];

const largeCase: LocalCase = {
  records: 1_000_000,
  latencyMs: 0,
  rounds: 1,
  target: () => ({ seconds: 35, peakMb: 260 }),
};

/** @param graph evaluates a stage, which takes some seconds the first time */
export const cases: Record<string, (graph: () => Promise<Graph>) => Promise<CaseResult>> = {
  local: () => measureLocal(localCases),
  /** This case takes as long as all others together. */
  "local-large": () => measureLocal([largeCase]),

  transform: async () => {
    const { records, rounds } = await measureTransform(21);
    const speed = median(rounds.map((round) => records / round.ours));
    const baseline = median(rounds.map((round) => records / round.baseline));
    const ratio = median(rounds.map((round) => round.baseline / round.ours));
    const row = {
      case: "transform of recorded pages",
      measured: `${Math.round(speed)} records/s`,
      baseline: `${Math.round(baseline)} records/s: JSON.parse and csv-stringify`,
      ratio,
      target: { text: ">= 0.6 x", reached: ratio >= 0.6 },
    };
    return { figures: { records, rounds }, table: baselineTable([row]) };
  },

  assembler: async () => {
    const figures = [];
    const rows: Row[] = [];
    for (const [records, rounds] of [
      [10_000, 5],
      [100_000, 3],
    ] as const) {
      const measured = await measureAssembler(records / recordsPerPage, rounds);
      const { megabytes } = measured;
      const ratio = median(measured.rounds.map(({ ours, copy }) => copy / ours));
      const speedOf = (seconds: number[]) => `${(megabytes / median(seconds)).toFixed(1)} MB/s`;
      figures.push({ records, ...measured });
      rows.push({
        case: `assembler, ${records} records`,
        measured: speedOf(measured.rounds.map(({ ours }) => ours)),
        baseline: `${speedOf(measured.rounds.map(({ copy }) => copy))}: the same objects copied on MiniStack`,
        ratio,
        target: { text: ">= 0.8 x", reached: ratio >= 0.8 },
      });
    }
    return { figures, table: baselineTable(rows) };
  },

  changes: async () => {
    const figures = [];
    const rows: Row[] = [];
    for (const [kind, what] of Object.entries(compareKinds)) {
      const measured = await measureChanges(1_000_000, compareKind.parse(kind));
      const { seconds, cpuSeconds, peakMb, readSeconds } = measured;
      figures.push({ kind, ...measured });
      rows.push({
        case: `changes of 1000000 rows, ${what}`,
        measured: `${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} s of CPU, ${Math.round(peakMb)} MB`,
        baseline: `${readSeconds.toFixed(1)} s: reading the files`,
        target: { text: "<= 60 s, 256 MB", reached: seconds <= 60 && peakMb <= 256 },
      });
    }
    return { figures, table: baselineTable(rows) };
  },

  bundles: async (graph) => {
    const figures = await measureBundles(await graph(), 9);
    const rows = figures.flatMap(({ service, size, imports }): Row[] => {
      const bySize = size.bytes / size.baselineBytes;
      const byTime = median(imports.map((one) => one.ms / one.baselineMs));
      return [
        {
          case: `bundle of ${service}`,
          measured: `${Math.round(size.bytes / 1024)} KB`,
          baseline: `${Math.round(size.baselineBytes / 1024)} KB: the SDK alone`,
          ratio: bySize,
          target: { text: "<= 1.3 x", reached: bySize <= 1.3 },
        },
        {
          case: "- its import",
          measured: `${Math.round(median(imports.map((one) => one.ms)))} ms`,
          baseline: `${Math.round(median(imports.map((one) => one.baselineMs)))} ms`,
          ratio: byTime,
          target: { text: "<= 1.3 x", reached: byTime <= 1.3 },
        },
      ];
    });
    return { figures, table: baselineTable(rows) };
  },

  cost: async (graph) => measureCost(memoryOf(await graph())),

  refresh: async (graph) => measureRefresh(vtRecords, memoryOf(await graph()), 1_000_000),
  /** Its full runs take 7 minutes each. */
  "refresh-large": async (graph) => measureRefresh(1_000_000, memoryOf(await graph())),
};

async function measureLocal(chosen: readonly LocalCase[]): Promise<CaseResult> {
  const figures = [];
  const compared: Compared[] = [];
  for (const { records, latencyMs, rounds, target } of chosen) {
    const comparison = await compareTools({ records, latencyMs }, rounds);
    figures.push({ records, latencyMs, ...comparison });
    const latency = latencyMs > 0 ? `${latencyMs} ms, ${requestsAtOnce} at once` : "0 ms";
    compared.push({
      case: `${records} records, ${latency}`,
      outcomes: comparison.outcomes,
      target: target(comparison.pages),
    });
  }
  return { figures, table: peerTable(compared) };
}

/** Counts the port calls of one run, and scales them for the larger run. */
async function measureCost(memoryGb: Record<string, number>): Promise<CaseResult> {
  const run = await countRun(vtRecords);
  const { put, get, head, list } = requestsOfPage(run);
  const most = 1.3;
  const rows: Row[] = [
    {
      case: `requests per page, run of ${vtRecords} records`,
      measured: `PUT ${put.toFixed(2)}, GET ${get.toFixed(2)}, HEAD ${head.toFixed(2)}, LIST ${list.toFixed(2)}`,
      baseline: "1 PUT and 1 GET: each part is written and read once",
      target: { text: `PUT, GET with HEAD <= ${most}`, reached: put <= most && get + head <= most },
    },
  ];
  const costs = [];
  for (const records of [vtRecords, 1_000_000]) {
    const cost = costOf({ ...scaled(run, records / vtRecords), memoryGb });
    const dollars = totalOf(cost);
    costs.push({ records, cost, dollars, pricesOf });
    rows.push({
      case: `cost of a run of ${records} records`,
      measured: `$${dollars.toFixed(4)}, $${((dollars * 52) / 12).toFixed(3)} per month of weekly runs`,
      baseline: `prices of ${pricesOf}`,
      ...(records === vtRecords && { target: { text: "<= $0.01", reached: dollars <= 0.01 } }),
    });
  }
  return { figures: { run, costs }, table: baselineTable(rows) };
}

const lambdaInputs = z.object({ memorySize: z.number() });

/** Returns the gigabytes of memory of each service's function. */
function memoryOf(graph: Graph): Record<string, number> {
  const functions = graph.resources.filter(({ type }) => type === "aws:lambda/function:Function");
  return Object.fromEntries(
    functions.map(({ name, inputs }) => [
      name.replace(/Function$/, "").toLowerCase(),
      lambdaInputs.parse(inputs).memorySize / 1024,
    ]),
  );
}
