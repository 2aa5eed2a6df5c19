// `npm run chaos`: runs random plans in one thread per core, or repeats one plan.
import { parseArgs } from "node:util";
import { type Checked, checkInThreads, checkPlan, checkPlans } from "./check.ts";
import { planOf } from "./fault-plan.ts";
import { withHarness } from "./harness.ts";

const usage = `Usage: npm run chaos -- [--plans N] [--seed S] [--path PATH] [--plan JSON]

Run the services under random plans of faults and check that each plan ends correctly.

  --plans N    Run N random plans (default: 100)
  --seed S     Choose the plans; the same seed gives the same plans (default: 1)
  --path PATH  Run only one plan of the seed, by the path in the report of its failure
  --plan JSON  Run only this plan
  --help       Print this help

Exit codes: 0 every plan passed, 1 a plan failed, 2 an option is invalid

Example: npm run chaos -- --plans 300 --seed 7
`;

process.exitCode = await main();

function parseOptions(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      plans: { type: "string", default: "100" },
      seed: { type: "string", default: "1" },
      path: { type: "string" },
      plan: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const plans = Number(values.plans);
  const seed = Number(values.seed);
  if (!Number.isInteger(plans) || plans < 1) throw new Error("--plans must be a whole number above 0.");
  if (!Number.isInteger(seed)) throw new Error("--seed must be a whole number.");
  const plan = values.plan === undefined ? undefined : planOf(values.plan);
  return { plans, seed, path: values.path, plan, help: values.help };
}

/** @returns the exit code (see `usage`) */
async function main(): Promise<number> {
  let options: ReturnType<typeof parseOptions>;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(
      `${error instanceof Error ? error.message : String(error)}\nSee npm run chaos -- --help\n`,
    );
    return 2;
  }
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  const startedAt = Date.now();
  const checked = await check(options);
  const { user, system } = process.cpuUsage();
  const cpu = `${Math.round((user + system) / 1e6)} s of CPU`;
  process.stdout.write(`${report(checked, `${Math.round((Date.now() - startedAt) / 1000)} s, ${cpu}`)}\n`);
  return checked.failed ? 1 : 0;
}

function check({ plan, ...options }: ReturnType<typeof parseOptions>): Promise<Checked> {
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
