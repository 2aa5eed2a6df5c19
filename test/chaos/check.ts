// Runs random plans until one fails, and shrinks that one to a small plan.
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { anyPlan, type Plan } from "./fault-plan.ts";
import type { Harness, Outcome } from "./harness.ts";

/** Limits the time in which smaller plans are tried. */
const maxShrinkMs = 30_000;
const maxThreads = 8;
/** Room for each thread; with the limits that the launcher sets for `npm start` a thread takes a quarter more time. */
const threadMemory = { maxOldGenerationSizeMb: 1_024, maxYoungGenerationSizeMb: 96 };

type Totals = {
  plans: number;
  /** Injected faults by kind. */
  injected: Map<string, number>;
  replays: number;
  excused: number;
  reused: number;
  /** Runs by state. */
  states: Map<string, number>;
};

/** `path` identifies the failing plan among those of the seed. */
type Failed = { plan: Plan; wrong: string[]; seed: number; path: string; shrinks: number };
export type Checked = { totals: Totals; failed: Failed | undefined };

export type CheckOptions = {
  plans: number;
  seed: number;
  /** Runs only the plan with this path, and shrinks it further if possible. */
  path?: string | undefined;
  /** Runs every `of`-th plan, starting at `index`; other threads run the other plans. */
  share?: { index: number; of: number };
};

export async function checkPlans(harness: Harness, options: CheckOptions): Promise<Checked> {
  const { plans, seed, path, share = { index: 0, of: 1 } } = options;
  const totals = emptyTotals();
  let made = 0;
  let failedAt: number | undefined;
  let wrong: string[] = [];
  const property = fc.asyncProperty(anyPlan, async (plan) => {
    const isShared = made++ % share.of === share.index;
    // Shrinking stops at its time limit, and the plans that it tries are not counted.
    if (failedAt === undefined ? !isShared : Date.now() - failedAt > maxShrinkMs) return;
    const outcome = await harness.run(plan);
    if (failedAt === undefined) addTotals(totalsOf(outcome), totals);
    if (outcome.wrong.length === 0) return;
    failedAt ??= Date.now();
    wrong = outcome.wrong;
    throw new Error(outcome.wrong.join("\n"));
  });
  const parameters = path === undefined ? { numRuns: plans, seed } : { numRuns: 1, seed, path };
  const details = await fc.check(property, parameters);
  const [plan] = details.counterexample ?? [];
  if (!plan) return { totals, failed: undefined };
  const { counterexamplePath, numShrinks: shrinks } = details;
  return { totals, failed: { plan, wrong, seed, path: counterexamplePath ?? "", shrinks } };
}

/** Runs random plans in one thread per core. The plans are the same for any number of threads. */
export async function checkInThreads({
  plans,
  seed,
}: Pick<CheckOptions, "plans" | "seed">): Promise<Checked> {
  const of = Math.min(availableParallelism(), maxThreads, plans);
  const shares = Array.from({ length: of }, (_, index) =>
    checkInThread({ plans, seed, share: { index, of } }),
  );
  return mergeResults(await Promise.all(shares));
}

function checkInThread(workerData: CheckOptions): Promise<Checked> {
  const worker = new Worker(new URL("./plan-worker.ts", import.meta.url), {
    workerData,
    resourceLimits: threadMemory,
  });
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

/** Runs one plan, without shrinking it. */
export async function checkPlan(harness: Harness, plan: Plan): Promise<Checked> {
  const outcome = await harness.run(plan);
  const { wrong } = outcome;
  const failed = wrong.length === 0 ? undefined : { plan, wrong, seed: 0, path: "", shrinks: 0 };
  return { totals: totalsOf(outcome), failed };
}

/** Returns the sum of the results of all threads. */
function mergeResults(shares: readonly Checked[]): Checked {
  const totals = emptyTotals();
  for (const share of shares) addTotals(share.totals, totals);
  return { totals, failed: shares.find(({ failed }) => failed)?.failed };
}

function emptyTotals(): Totals {
  return { plans: 0, injected: new Map(), replays: 0, excused: 0, reused: 0, states: new Map() };
}

function totalsOf({ states, ...outcome }: Outcome): Totals {
  const counts = [...Map.groupBy(states, (state) => state)].map(
    ([state, all]) => [state, all.length] as const,
  );
  const { injected, replays, excused, reused } = outcome;
  return { plans: 1, injected, replays, excused, reused, states: new Map(counts) };
}

function addTotals(from: Totals, to: Totals): void {
  to.plans += from.plans;
  to.replays += from.replays;
  to.excused += from.excused;
  to.reused += from.reused;
  for (const which of ["injected", "states"] as const) {
    for (const [name, n] of from[which]) to[which].set(name, (to[which].get(name) ?? 0) + n);
  }
}
