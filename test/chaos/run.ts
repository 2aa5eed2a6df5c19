// `npm run chaos`: random plans over the services, or one plan again. Exits 0 only where every plan ended well.
import { parseArgs } from "node:util";
import { type Checked, checkPlan, checkPlans, type Totals } from "./check.ts";
import { plan as planSchema } from "./plan.ts";
import { startWorld } from "./world.ts";

const usage = `npm run chaos -- [--plans N] [--seed S] [--path PATH] [--plan JSON]

  --plans N    how many random plans (default 100)
  --seed S     the same seed makes the same plans (default 1)
  --path PATH  only the failing plan of that seed, by the path in its report
  --plan JSON  only this plan
`;

process.exitCode = await main();

/** @returns the exit code: 0 all well, 1 a plan failed, 2 the flags can't be read */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      plans: { type: "string", default: "100" },
      seed: { type: "string", default: "1" },
      path: { type: "string" },
      plan: { type: "string" },
    },
  });
  const plans = Number(values.plans);
  const seed = Number(values.seed);
  if (!Number.isInteger(plans) || plans < 1 || !Number.isInteger(seed)) {
    process.stderr.write(usage);
    return 2;
  }
  const startedAt = Date.now();
  const world = await startWorld();
  try {
    const checked =
      values.plan === undefined
        ? await checkPlans(world, { plans, seed, path: values.path }, progress)
        : await checkPlan(world, planSchema.parse(JSON.parse(values.plan)));
    const { user, system } = process.cpuUsage();
    const cpu = `${Math.round((user + system) / 1e6)} s of CPU`;
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    process.stdout.write(`${report(checked, `${seconds} s, ${cpu}`)}\n`);
    return checked.failed ? 1 : 0;
  } finally {
    await world.close();
  }
}

function progress({ plans, replays }: Totals): void {
  if (plans % 100 === 0) process.stdout.write(`${plans} plans, ${replays} replays\n`);
}

function report({ totals, failed }: Checked, duration: string): string {
  const table = (counts: Map<string, number>) =>
    [...counts]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([name, n]) => `  ${name.padEnd(30)}${String(n).padStart(8)}`);
  const all = [...totals.injected.values()].reduce((sum, n) => sum + n, 0);
  const lines = [
    "",
    `faults injected               ${String(all).padStart(10)}`,
    ...table(totals.injected),
    "runs by state",
    ...table(totals.states),
    "",
    `${totals.plans} plans, ${totals.replays} dead letters replayed, ${failed ? 1 : 0} failures, ${duration}`,
  ];
  if (failed) {
    const again = failed.path ? `npm run chaos -- --seed ${failed.seed} --path ${failed.path}` : "";
    lines.push(
      "",
      ...failed.wrong,
      "",
      `The smallest plan found (${failed.shrinks} shrinks). Again: ${again}`,
      `npm run chaos -- --plan '${JSON.stringify(failed.plan)}'`,
    );
  }
  return lines.join("\n");
}
