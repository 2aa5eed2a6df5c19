// Runs a command and measures it from outside: wall time, and the peak memory of the largest process in its tree.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";

export type Command = {
  file: string;
  args: readonly string[];
  cwd: string;
  /** The whole environment: no credentials and no settings of this shell. */
  env: Record<string, string>;
  /** A folder that gets what the command prints: `stdout` and `stderr`. */
  logs: string;
};

/** `peakMb` is NaN where GNU time is missing (Debian: apt install time). */
export type Measured = { seconds: number; peakMb: number };
/** `failure` is for a table's cell: "exit 1", "> 300 s". */
export type Outcome = Measured | { failure: string };

const gnuTime = "/usr/bin/time";

/** Process groups that run. They end with this process, however it ends but by SIGKILL. */
const running = new Set<number>();
process.on("exit", () => {
  for (const group of running) endGroup(group);
});

/** @param timeoutMs ends the command, with its children, when it takes longer */
export async function measure(command: Command, timeoutMs: number): Promise<Outcome> {
  await using stdout = await open(join(command.logs, "stdout"), "w");
  await using stderr = await open(join(command.logs, "stderr"), "w");
  const report = join(command.logs, "peak");
  // The largest of all children that ended below it, in kilobytes.
  const launcher = hasGnuTime() ? [gnuTime, "--format=%M", `--output=${report}`] : [];
  const [file = command.file, ...args] = [...launcher, command.file, ...command.args];
  const start = performance.now();
  const child = spawn(file, args, {
    cwd: command.cwd,
    env: command.env,
    stdio: ["ignore", stdout.fd, stderr.fd],
    // A process group of its own, so that a timeout ends all of it.
    detached: true,
  });
  const exit = once(child, "exit");
  const { pid } = child;
  if (pid === undefined) {
    await exit;
    throw new Error(`${file} did not start.`);
  }
  running.add(pid);
  const timer = setTimeout(() => endGroup(pid), timeoutMs);
  await exit;
  const seconds = (performance.now() - start) / 1000;
  clearTimeout(timer);
  running.delete(pid);
  if (child.signalCode === "SIGKILL") return { failure: `> ${Math.round(timeoutMs / 1000)} s` };
  if (child.exitCode !== 0) return { failure: `exit ${child.exitCode ?? child.signalCode}` };
  const kilobytes = launcher.length === 0 ? Number.NaN : Number(await readFile(report, "utf8"));
  return { seconds, peakMb: kilobytes / 1024 };
}

function endGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // It ended by itself meanwhile.
  }
}

function hasGnuTime(): boolean {
  return spawnSync(gnuTime, ["--version"], { encoding: "utf8" }).stdout?.includes("GNU") ?? false;
}
