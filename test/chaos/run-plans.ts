// `npm run chaos`: runs random plans in one thread per core, or repeats one plan. Exits 1 if a plan fails.
import { inspect } from "node:util";
import { runCommandLine } from "../../stacks/cli.ts";
import { type Command, line } from "./chaos-args.ts";
import { type Checked, checkInThreads, checkPlan, checkPlans } from "./check.ts";
import { withHarness } from "./harness.ts";

await runCommandLine(line, run, inspect);

async function run(command: Command): Promise<string> {
  const startedAt = Date.now();
  const checked = await check(command);
  if (checked.failed) process.exitCode = 1;
  const { user, system } = process.cpuUsage();
  const cpu = `${Math.round((user + system) / 1e6)} s of CPU`;
  return `${report(checked, `${Math.round((Date.now() - startedAt) / 1000)} s, ${cpu}`)}\n`;
}

function check({ plan, ...options }: Command): Promise<Checked> {
  if (plan !== undefined) return withHarness((harness) => checkPlan(harness, plan));
  if (options.path !== undefined) return withHarness((harness) => checkPlans(harness, options));
  return checkInThreads(options);
}

function report({ totals, failed }: Checked, duration: string): string {
  const table = (counts: Map<string, number>) =>
    [...counts]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([name, n]) => `  ${name.padEnd(30)}${String(n).padStart(8)}`);
  const all = [...totals.injected.values()].reduce((sum, n) => sum + n, 0);
  const lines = [
    `faults injected               ${String(all).padStart(10)}`,
    ...table(totals.injected),
    "runs by state",
    ...table(totals.states),
    `records lost to compensating changes ${String(totals.excused).padStart(3)}`,
    `windows reused                ${String(totals.reused).padStart(10)}`,
    "",
    `${totals.plans} plans, ${totals.replays} dead letters replayed, ${failed ? 1 : 0} failures, ${duration}`,
  ];
  if (failed) {
    const repeat = failed.path ? [`npm run chaos -- --seed ${failed.seed} --path ${failed.path}`] : [];
    lines.push(
      "",
      ...failed.wrong,
      "",
      `Repeat the smallest failing plan (${failed.shrinks} shrinks) with:`,
      ...repeat,
      `npm run chaos -- --plan '${JSON.stringify(failed.plan)}'`,
    );
  }
  return lines.join("\n");
}
