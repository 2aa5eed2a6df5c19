// `npm run chaos`: random plans over the services, in a thread for each core, or one plan again. Exits 0 only where every
// plan ended well.
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import * as z from "zod/mini";
import { type Checked, type CheckOptions, checkPlan, checkPlans, merged } from "./check.ts";
import { planOf } from "./fault-plan.ts";
import { startWorld, type World } from "./world.ts";

const usage = `npm run chaos -- [--plans N] [--seed S] [--path PATH] [--plan JSON]

  --plans N    how many random plans (default 100)
  --seed S     the same seed makes the same plans (default 1)
  --path PATH  only the failing plan of that seed, by the path in its report
  --plan JSON  only this plan
`;

const maxThreads = 8;
const wholeNumber = z.int();
const shareOptions = z.object({
  plans: wholeNumber,
  seed: wholeNumber,
  share: z.object({ index: wholeNumber, of: wholeNumber }),
});

if (isMainThread) process.exitCode = await main();
else {
  const options = shareOptions.parse(workerData);
  parentPort?.postMessage(await inWorld((world) => checkPlans(world, options)));
}

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
  const checked = await check({ plans, seed, path: values.path }, values.plan);
  const { user, system } = process.cpuUsage();
  const cpu = `${Math.round((user + system) / 1e6)} s of CPU`;
  process.stdout.write(`${report(checked, `${Math.round((Date.now() - startedAt) / 1000)} s, ${cpu}`)}\n`);
  return checked.failed ? 1 : 0;
}

async function check(options: CheckOptions, plan: string | undefined): Promise<Checked> {
  if (plan !== undefined) return inWorld((world) => checkPlan(world, planOf(plan)));
  if (options.path !== undefined) return inWorld((world) => checkPlans(world, options));
  const of = Math.min(availableParallelism(), maxThreads, options.plans);
  // The launcher limits memory as `npm start` needs it; these threads would take a quarter more time.
  for (const flag of ["--max-semi-space-size=32", "--max-old-space-size=1024"]) setFlagsFromString(flag);
  const shares = Array.from({ length: of }, (_, index) => inThread({ ...options, share: { index, of } }));
  return merged(await Promise.all(shares));
}

function inThread(options: CheckOptions): Promise<Checked> {
  const worker = new Worker(new URL(import.meta.url), { workerData: options });
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

async function inWorld(check: (world: World) => Promise<Checked>): Promise<Checked> {
  const world = await startWorld();
  try {
    return await check(world);
  } finally {
    await world.close();
  }
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
