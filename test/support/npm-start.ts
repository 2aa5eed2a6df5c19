// Runs `npm start` and the operator commands as child processes. The .local folder is in the given working directory.
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { z } from "zod";
import { type LibInsight, startLibInsight } from "../../stacks/local/libinsight.ts";
import { condition } from "../use-test-library.ts";

const root = join(import.meta.dirname, "../..");
const programs = {
  start: "test/support/start.mjs",
  replay: "stacks/commands/replay.ts",
  runs: "stacks/commands/runs.ts",
  instances: "stacks/commands/instances.ts",
  dictionary: "stacks/commands/dictionary.ts",
  stats: "stacks/commands/stats.ts",
  privacy: "stacks/commands/privacy.ts",
  tableau: "stacks/commands/tableau.ts",
  doctor: "stacks/commands/doctor.ts",
};
export type Program = keyof typeof programs;
/** A run takes seconds. A run that hangs is killed and fails its test. */
const longestMs = 60_000;

// Updates the bundle like launch.mjs, so that no test runs an outdated one.
const bundle = {
  folder: ".cache/start-of-tests",
  sources: ["services", "shared", "stacks", "test/fixtures"],
  conditions: [condition],
};
const bundling = `import { bundleStart } from "./stacks/local/bundle.mjs"; await bundleStart(${JSON.stringify(bundle)});`;
await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", bundling], { cwd: root });

export type Ended = { code: number | null; stdout: string; stderr: string };
export type Running = { process: ReturnType<typeof spawn>; ended: Promise<Ended> };

export async function temporaryFolder(): Promise<{ path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "libinsight-start-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export function start(cwd: string, args: string[], env: Record<string, string> = {}): Running {
  return command("start", cwd, args, env);
}

export function command(
  program: Program,
  cwd: string,
  args: string[],
  env: Record<string, string | undefined> = {},
): Running {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(ALERTS|LIBINSIGHT|TABLEAU|SST_RESOURCE|npm)_/.test(name),
    ),
  );
  const child = spawn(process.execPath, [join(root, programs[program]), ...args], {
    cwd,
    // Failed messages are retried at once. No test depends on the delay.
    env: { ...inherited, RETRY_BASE_SECONDS: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: longestMs,
    killSignal: "SIGKILL",
  });
  const ended = (async (): Promise<Ended> => {
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "exit"),
    ]);
    return { code, stdout, stderr };
  })();
  return { process: child, ended };
}

/** Returns the environment variables for a LibInsight server. */
export function libInsightEnv(server: { baseUrl: string; clientId: string; clientSecret: string }) {
  return {
    LIBINSIGHT_BASE_URL: server.baseUrl,
    LIBINSIGHT_CLIENT_ID: server.clientId,
    LIBINSIGHT_CLIENT_SECRET: server.clientSecret,
  };
}

/** Returns the environment variables of `sst shell` for a stage whose AWS is at an address. */
export function stageEnv(url: string, variables: Record<string, string>): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: url,
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    SST_RESOURCE_Settings: JSON.stringify({ variables, type: "sst.sst.Linkable" }),
  };
}

/** The date range of the simulator's records, and a month of it. */
export const range = ["--from", "2021-12-02", "--to", "2024-12-01"];
export const small = ["--from", "2023-09-01", "--to", "2023-09-30"];

/** Digests of the files that every run over `range` publishes for 3,000 simulated records, even after failures. */
export const pinnedRecords = 3_000;
export const pinned = {
  "LibInsightQueryData.csv": "01378104406cccd62df30747ff199918bd61deba4680000cf102079e2754d344",
  "LibInsightQueryData.jsonl": "62acf420afcafcf79f6456d6071b989416d2cbf2c9c1741c2dc387384483b5db",
  "LibInsightQueryResults.csv": "631683a2175876fe9003852b7288fe2d0e1bf7df8eb1d5845291724ec194265d",
};

/** The first days of pieces into which a first run over `range` splits its second period. */
export const pieceStarts = [
  "2022-12-24",
  "2023-01-16",
  "2023-02-08",
  "2023-03-03",
  "2023-03-26",
  "2023-04-17",
  "2023-05-10",
  "2023-06-02",
] as const;

/** Returns the digests of the published files in a folder's .local/out, with the keys of `pinned`. */
export async function publishedIn(folder: string): Promise<Record<string, string>> {
  const digests = await digestsIn(folder);
  return Object.fromEntries(Object.keys(pinned).map((name) => [name, digests[name] ?? ""]));
}

/** Returns the digests of all files in a folder's .local/out, by name. */
export async function digestsIn(folder: string): Promise<Record<string, string>> {
  const files = await filesIn(join(folder, ".local/out"));
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [name, digest(text)]));
}

/** The fields of run.json that tests read. */
export const runReport = z.looseObject({
  runId: z.string(),
  state: z.string(),
  records: z.number(),
  rows: z.number(),
  duplicates: z.number(),
  rejects: z.record(z.string(), z.number()),
  furtherAnswers: z.record(z.string(), z.number()),
  undeclared: z.record(z.string(), z.number()),
  attempt: z.number(),
  violations: z.array(z.looseObject({ text: z.string() })),
  windows: z.array(z.looseObject({ attempt: z.number(), totalRecords: z.number() })),
  columns: z.array(z.string()),
  athena: z.record(z.string(), z.string()),
  files: z.record(z.string(), z.string()),
});

/** Returns the contents of a folder's files, by name. */
export async function filesIn(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), "utf8")] as const)),
  );
}

export function digest(text: string | undefined): string {
  return createHash("sha256")
    .update(text ?? "")
    .digest("hex");
}

/** Starts a LibInsight that responds to the first request of a page 2 with 404, which makes it a dead letter. */
export function startBrokenLibInsight(): Promise<LibInsight> {
  return startLibInsight({
    records: pinnedRecords,
    faults: [{ kind: "status", status: 404, where: { endpoint: "data-grid", from: pieceStarts[0] } }],
  });
}
