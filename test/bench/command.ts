// Runs a command and measures it from outside: wall time, and the peak memory of the largest process in its tree.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export type Command = {
  file: string;
  args: readonly string[];
  cwd: string;
  /** The whole environment: no credentials and no settings of this shell. */
  env: Record<string, string>;
  /** A folder that gets what the command prints: `stdout` and `stderr`. */
  logs: string;
};

export type Measured = { seconds: number; peakMb: number };
/** `failure` is for a table's cell: "exit 1", "> 300 s". */
export type Outcome = Measured | { failure: string };

const gnuTime = "/usr/bin/time";
/** Only where GNU time is missing. A process can grow and end between two looks; GNU time misses nothing. */
const lookEveryMs = 20;

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
  const ended = new AbortController();
  const polled = launcher.length === 0 ? pollPeak(pid, ended.signal) : undefined;
  const timer = setTimeout(() => endGroup(pid), timeoutMs);
  await exit;
  const seconds = (performance.now() - start) / 1000;
  clearTimeout(timer);
  running.delete(pid);
  ended.abort();
  if (child.signalCode === "SIGKILL") return { failure: `> ${Math.round(timeoutMs / 1000)} s` };
  if (child.exitCode !== 0) return { failure: `exit ${child.exitCode ?? child.signalCode}` };
  const kilobytes = (await polled) ?? Number(await readFile(report, "utf8"));
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

/** @returns kilobytes; NaN where there is no /proc */
async function pollPeak(group: number, signal: AbortSignal): Promise<number> {
  let peak = Number.NaN;
  while (!signal.aborted) {
    const processes = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
    for (const id of processes) {
      // A process may end between the two reads.
      const stat = await readFile(`/proc/${id}/stat`, "utf8").catch(() => "");
      // Behind the name in parentheses: state, parent, group.
      const [, , ofGroup] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (Number(ofGroup) !== group) continue;
      const status = await readFile(`/proc/${id}/status`, "utf8").catch(() => "");
      const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? [];
      if (kilobytes) peak = Math.max(Number.isNaN(peak) ? 0 : peak, Number(kilobytes));
    }
    await sleep(lookEveryMs, undefined, { signal }).catch(() => {});
  }
  return peak;
}
