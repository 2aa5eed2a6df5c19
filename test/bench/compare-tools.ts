// Compares `npm start` with dlt and the Airbyte CDK: each runs as a command against the same simulated LibInsight.
import { createReadStream, rmSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import { firstDay, lastDay } from "../../stacks/local/libinsight.ts";
import { type Command, measure, type Outcome } from "./command.ts";
import type { Tool } from "./comparison.ts";
import { installPeers, type Peer } from "./peers.ts";
import { type Source, type SourceSettings, startSource } from "./source-process.ts";

/** The number of concurrent requests, the same as the fetcher's on a stage. */
export const requestsAtOnce = 8;

/** The limit of each run. The peers take 2 to 4 minutes for a million records. */
const timeoutMs = 5 * 60_000;

const warmUp: SourceSettings = { records: 1_000, latencyMs: 0 };

const tools = ["ours", "dlt", "airbyte"] as const satisfies Tool[];

export type Comparison = {
  /** LibInsight's pages; if `npm start` failed, the minimum for these records. */
  pages: number;
  /** Empty for peers that can't be installed. */
  outcomes: Record<Tool, Outcome[]>;
};

/** The counts of a run as the tool reports them. */
type Counted = { records: number; pages?: number };
type Run = (source: Source) => Promise<{ outcome: Outcome; counted?: Counted }>;

/**
 * Measures each tool `rounds` times, alternating, so that a machine that slows down affects all tools.
 * @throws Error if a command succeeded with fewer or more records than LibInsight has
 */
export async function compareTools(settings: SourceSettings, rounds: number): Promise<Comparison> {
  const folder = await makeFolder();
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  try {
    const runs = await runsIn(folder, settings);
    {
      // Warms up the caches of files and compiled code.
      await using small = await startSource(warmUp);
      for (const name of tools) await runs[name]?.(small);
    }
    await using source = await startSource(settings);
    const comparison: Comparison = {
      pages: Math.ceil(settings.records / 100),
      outcomes: { ours: [], dlt: [], airbyte: [] },
    };
    for (let round = 0; round < rounds; round++) {
      for (const name of tools) {
        const { outcome, counted } = (await runs[name]?.(source)) ?? {};
        if (counted && counted.records !== settings.records)
          throw new Error(`${name} collected ${counted.records} of ${settings.records} records.`);
        comparison.pages = counted?.pages ?? comparison.pages;
        if (outcome) comparison.outcomes[name].push(outcome);
      }
    }
    return comparison;
  } finally {
    process.off("exit", remove);
    remove();
  }
}

/** Creates a folder on the project's disk: in a temporary file system SQLite's commits would cost nothing. */
async function makeFolder(): Promise<string> {
  const cache = join(process.cwd(), ".cache", "bench");
  await mkdir(cache, { recursive: true });
  return await mkdtemp(join(cache, "local-"));
}

async function runsIn(folder: string, { latencyMs }: SourceSettings): Promise<Partial<Record<Tool, Run>>> {
  const project = await projectIn(folder);
  const peers = installPeers();
  if (!peers) return { ours: (source) => runOurs(project, source) };
  // Each peer gets its fastest setting: without latency the CDK's threads cost more than they save; dlt's do not.
  const airbyteWorkers = latencyMs > 0 ? requestsAtOnce : 1;
  return {
    ours: (source) => runOurs(project, source),
    dlt: (source) => runPeer(peers.dlt, join(folder, "dlt"), requestsAtOnce, source, recordsOfDlt),
    airbyte: (source) =>
      runPeer(peers.airbyte, join(folder, "airbyte"), airbyteWorkers, source, recordsOfAirbyte),
  };
}

/**
 * Copies the project, so that its `.local` is not the user's. Packages are links, and so is package-lock.json, because
 * stacks/local/install.mjs compares its time with that of the packages.
 */
async function projectIn(folder: string): Promise<string> {
  const project = join(folder, "project");
  await mkdir(project);
  for (const name of ["stacks", "services", "shared"])
    await cp(name, join(project, name), { recursive: true });
  for (const name of ["package.json", "package-lock.json", ".npmrc", "node_modules"])
    await symlink(join(process.cwd(), name), join(project, name));
  return project;
}

const runJson = z.object({ records: z.int(), windows: z.array(z.object({ pages: z.int() })) });

async function runOurs(project: string, source: Source) {
  const out = join(project, ".local", "out");
  await rm(join(project, ".local"), { recursive: true, force: true });
  const args = ["start", "--", "--quiet", "--from", firstDay, "--to", lastDay, "--out", out];
  const command = { file: "npm", args, cwd: project, env: { ...shell(), ...source.env }, logs: project };
  const outcome = await measureAndReport(command);
  if ("failure" in outcome) return { outcome };
  const { records, windows } = runJson.parse(JSON.parse(await readFile(join(out, "run.json"), "utf8")));
  return { outcome, counted: { records, pages: windows.reduce((sum, { pages }) => sum + pages, 0) } };
}

async function runPeer(
  { python, program }: Peer,
  folder: string,
  workers: number,
  source: Source,
  recordsOf: (stdout: string) => Promise<number>,
) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  const command = {
    file: python,
    // -B writes no bytecode into the project. The bytecode of the packages was compiled at their installation.
    args: ["-B", program, firstDay, lastDay, folder, String(workers)],
    cwd: folder,
    env: { ...shell(), ...source.env, DLT_DATA_DIR: folder },
    logs: folder,
  };
  const outcome = await measureAndReport(command);
  if ("failure" in outcome) return { outcome };
  return { outcome, counted: { records: await recordsOf(join(folder, "stdout")) } };
}

async function measureAndReport(command: Command): Promise<Outcome> {
  const outcome = await measure(command, timeoutMs);
  if ("failure" in outcome) {
    const stderr = await readFile(join(command.logs, "stderr"), "utf8");
    process.stderr.write(`${command.file} ended with "${outcome.failure}": ${stderr.slice(-1000)}\n`);
  }
  return outcome;
}

/** Returns the user's PATH and HOME, without the settings that npm adds for this benchmark. */
function shell(): Record<string, string> {
  const { PATH = "", HOME = "" } = process.env;
  const folders = PATH.split(delimiter).filter((name) => !name.endsWith(join("node_modules", ".bin")));
  return { PATH: folders.join(delimiter), HOME };
}

const dltOutput = z.strictObject({ records: z.int() });

async function recordsOfDlt(stdout: string): Promise<number> {
  return dltOutput.parse(JSON.parse(await readFile(stdout, "utf8"))).records;
}

/** Counts the records in the CDK's output, which has one line per message. */
async function recordsOfAirbyte(stdout: string): Promise<number> {
  let records = 0;
  for await (const line of createInterface({ input: createReadStream(stdout) })) {
    if (line.startsWith('{"type":"RECORD"')) records += 1;
  }
  return records;
}
