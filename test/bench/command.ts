// Runs a command, and measures its wall time and the peak memory of the largest process in its tree.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";

export type Command = {
  file: string;
  args: readonly string[];
  cwd: string;
  /** The complete environment, without credentials and settings of this shell. */
  env: Record<string, string>;
  /** A folder for the files `stdout` and `stderr`. */
  logs: string;
};

/** `peakMb` is NaN if GNU time is not installed (Debian: apt install time). */
type Measured = { seconds: number; peakMb: number };
/** `failure` is the text for a table's cell: "exit 1", "> 300 s". */
export type Outcome = Measured | { failure: string };

const gnuTime = "/usr/bin/time";

/** Running process groups. They end with this process unless it gets SIGKILL. */
const running = new Set<number>();
process.on("exit", () => {
  for (const group of running) endGroup(group);
});

/** @param timeoutMs after this time the command and its children are ended */
export async function measure(command: Command, timeoutMs: number): Promise<Outcome> {
  await using stdout = await open(join(command.logs, "stdout"), "w");
  await using stderr = await open(join(command.logs, "stderr"), "w");
  const report = join(command.logs, "peak");
  // GNU time reports the largest of all ended child processes, in kilobytes.
  const launcher = hasGnuTime() ? [gnuTime, "--format=%M", `--output=${report}`] : [];
  const [file = command.file, ...args] = [...launcher, command.file, ...command.args];
  const start = performance.now();
  const child = spawn(file, args, {
    cwd: command.cwd,
    env: command.env,
    stdio: ["ignore", stdout.fd, stderr.fd],
    // Starts a process group, so that a timeout ends all processes in it.
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
    // The group has already ended.
  }
}

function hasGnuTime(): boolean {
  return spawnSync(gnuTime, ["--version"], { encoding: "utf8" }).stdout?.includes("GNU") ?? false;
}
