// `npm start` and the operators' commands as child processes, in a folder of their own so that each has its own .local.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { z } from "zod";

const programs = {
  start: "stacks/local/start.ts",
  replay: "stacks/commands/replay.ts",
  runs: "stacks/commands/runs.ts",
  instances: "stacks/commands/instances.ts",
  dictionary: "stacks/commands/dictionary.ts",
  tableau: "stacks/commands/tableau.ts",
};
/** A run takes seconds; one that hangs fails its test by its exit code. */
const longestMs = 60_000;

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
  name: keyof typeof programs,
  cwd: string,
  args: string[],
  env: Record<string, string | undefined> = {},
): Running {
  const program = join(import.meta.dirname, "../..", programs[name]);
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(LIBINSIGHT|TABLEAU)_/.test(name)),
  );
  const child = spawn(process.execPath, [program, ...args], {
    cwd,
    // Failed messages come back at once: what is tested is that they do, not for how long they wait.
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

/** The environment that names a LibInsight. */
export function libInsightEnv(server: { baseUrl: string; clientId: string; clientSecret: string }) {
  return {
    LIBINSIGHT_BASE_URL: server.baseUrl,
    LIBINSIGHT_CLIENT_ID: server.clientId,
    LIBINSIGHT_CLIENT_SECRET: server.clientSecret,
  };
}

/** The days for which the simulation has records, and a month of them. */
export const range = ["--from", "2021-12-02", "--to", "2024-12-01"];
export const small = ["--from", "2023-09-01", "--to", "2023-09-30"];

/** What the tests look at in run.json. */
export const report = z.looseObject({
  runId: z.string(),
  state: z.string(),
  records: z.number(),
  rows: z.number(),
  duplicates: z.number(),
  rejects: z.record(z.string(), z.number()),
  furtherAnswers: z.record(z.string(), z.number()),
  undeclared: z.record(z.string(), z.number()),
  attempt: z.number(),
  violations: z.array(z.string()),
  windows: z.array(z.looseObject({ attempt: z.number(), totalRecords: z.number() })),
  columns: z.array(z.string()),
  athena: z.record(z.string(), z.string()),
  files: z.record(z.string(), z.string()),
});

/** The texts of a folder's files, by name. */
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
