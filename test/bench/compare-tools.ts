// `npm start` beside dlt and the Airbyte CDK, each as a command of its own against the same simulated LibInsight.
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

/** As many requests at once as the fetcher has on a stage. */
export const requestsAtOnce = 8;

/** Each run gets this long. The peers take 2 to 4 minutes for a million records. */
const timeoutMs = 5 * 60_000;

const warmUp: SourceSettings = { records: 1_000, latencyMs: 0 };

const tools = ["ours", "dlt", "airbyte"] as const satisfies Tool[];

export type Comparison = {
  /** Of LibInsight. Where our command failed, as many as there are at least. */
  pages: number;
  /** Empty where the peers can't be installed. */
  outcomes: Record<Tool, Outcome[]>;
};

/** What a run collected, by the tool's own account. */
type Counted = { records: number; pages?: number };
type Run = (source: Source) => Promise<{ outcome: Outcome; counted?: Counted }>;

/**
 * Measures each tool so many times, in turn, so that a machine that slows down slows all.
 * @throws Error where a command that succeeded collected fewer or more records than there are
 */
export async function compareTools(settings: SourceSettings, rounds: number): Promise<Comparison> {
  const folder = await makeFolder();
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  try {
    const runs = await runsIn(folder, settings);
    {
      // Fills the caches of files and compiled code.
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

/** On the project's own disk: in a temporary file system a commit would cost nothing. */
async function makeFolder(): Promise<string> {
  const cache = join(process.cwd(), ".cache", "bench");
  await mkdir(cache, { recursive: true });
  return await mkdtemp(join(cache, "local-"));
}

async function runsIn(folder: string, { latencyMs }: SourceSettings): Promise<Partial<Record<Tool, Run>>> {
  const project = await projectIn(folder);
  const peers = installPeers();
  if (!peers) return { ours: (source) => runOurs(project, source) };
  // Each peer as it is fastest: without latency the CDK's threads cost more than they save, dlt's do not.
  const airbyteWorkers = latencyMs > 0 ? requestsAtOnce : 1;
  return {
    ours: (source) => runOurs(project, source),
    dlt: (source) => runPeer(peers.dlt, join(folder, "dlt"), requestsAtOnce, source, recordsOfDlt),
    airbyte: (source) =>
      runPeer(peers.airbyte, join(folder, "airbyte"), airbyteWorkers, source, recordsOfAirbyte),
  };
}

/**
 * The project as after a clone, but for links to its packages. Its `.local` is not the user's; package-lock.json is a link
 * because stacks/local/install.mjs compares its time with the packages'.
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
  const outcome = await measureLoudly(command);
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
    // Without bytecode of the program beside it; that of the packages was made when they were installed.
    args: ["-B", program, firstDay, lastDay, folder, String(workers)],
    cwd: folder,
    env: { ...shell(), ...source.env, DLT_DATA_DIR: folder },
    logs: folder,
  };
  const outcome = await measureLoudly(command);
  if ("failure" in outcome) return { outcome };
  return { outcome, counted: { records: await recordsOf(join(folder, "stdout")) } };
}

async function measureLoudly(command: Command): Promise<Outcome> {
  const outcome = await measure(command, timeoutMs);
  if ("failure" in outcome) {
    const stderr = await readFile(join(command.logs, "stderr"), "utf8");
    process.stderr.write(`${command.file} ended with "${outcome.failure}": ${stderr.slice(-1000)}\n`);
  }
  return outcome;
}

/** Nothing that npm set for this benchmark: no packages' programs before the user's, no settings of npm or Python. */
function shell(): Record<string, string> {
  const { PATH = "", HOME = "" } = process.env;
  const folders = PATH.split(delimiter).filter((name) => !name.endsWith(join("node_modules", ".bin")));
  return { PATH: folders.join(delimiter), HOME };
}

const dltOutput = z.strictObject({ records: z.int() });

async function recordsOfDlt(stdout: string): Promise<number> {
  return dltOutput.parse(JSON.parse(await readFile(stdout, "utf8"))).records;
}

/** A line for each message; not all are records. */
async function recordsOfAirbyte(stdout: string): Promise<number> {
  let records = 0;
  for await (const line of createInterface({ input: createReadStream(stdout) })) {
    if (line.startsWith('{"type":"RECORD"')) records += 1;
  }
  return records;
}
