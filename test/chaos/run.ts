// `npm run chaos`: random plans over the real handlers, or one plan again. Exits 0 only where every plan ended well.
import { parseArgs } from "node:util";
import { type Checked, checkPlans, count, emptyTotals, type Totals } from "./check.ts";
import { plan as planSchema } from "./plan.ts";
import { startWorld } from "./world.ts";

const usage = `npm run chaos -- [--plans N] [--seed S] [--path PATH] [--plan JSON]

  --plans N    how many random plans (default 100)
  --seed S     the same seed makes the same plans (default 1)
  --path PATH  only the failing plan of that seed, as its failure told
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
        : await onePlan(values.plan, world);
    process.stdout.write(`${report(checked, (Date.now() - startedAt) / 1000)}\n`);
    return checked.failed ? 1 : 0;
  } finally {
    await world.close();
  }
}

async function onePlan(json: string, world: Awaited<ReturnType<typeof startWorld>>): Promise<Checked> {
  const plan = planSchema.parse(JSON.parse(json));
  const totals = emptyTotals();
  const outcome = await world.run(plan);
  count(outcome, totals);
  const { wrong } = outcome;
  return { totals, failed: wrong.length === 0 ? undefined : { plan, wrong, seed: 0, path: "", shrinks: 0 } };
}

function progress({ plans, replays }: Totals): void {
  if (plans % 100 === 0) process.stdout.write(`${plans} plans, ${replays} replays\n`);
}

function report({ totals, failed }: Checked, seconds: number): string {
  const table = (counts: Map<string, number>) =>
    [...counts]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([name, n]) => `  ${name.padEnd(30)}${String(n).padStart(8)}`);
  const all = [...totals.injected.values()].reduce((sum, n) => sum + n, 0);
  const lines = [
    "",
    `faults injected               ${String(all).padStart(10)}`,
    ...table(totals.injected),
    "runs by how they ended",
    ...table(totals.states),
    "",
    `${totals.plans} plans, ${totals.replays} dead letters replayed, ${failed ? 1 : 0} failures, ${Math.round(seconds)} s`,
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
