// Random plans until one fails, which is then shrunk to a small one.
import fc from "fast-check";
import { anyPlan, type Plan } from "./fault-plan.ts";
import type { Outcome, World } from "./world.ts";

/** A shrink tries some hundred plans at most. */
const maxShrinkMs = 30_000;

export type Totals = {
  plans: number;
  /** Faults that really happened, by kind. */
  injected: Map<string, number>;
  replays: number;
  /** Runs, by state. */
  states: Map<string, number>;
};

/** `path` is where in the seed's plans the failing one is. */
export type Failed = { plan: Plan; wrong: string[]; seed: number; path: string; shrinks: number };
export type Checked = { totals: Totals; failed: Failed | undefined };

export type CheckOptions = {
  plans: number;
  seed: number;
  /** Runs only the plan of an earlier failure, and shrinks it further where it can. */
  path?: string | undefined;
  /** Runs every n-th plan; other threads run the others. */
  share?: { index: number; of: number };
};

export async function checkPlans(world: World, options: CheckOptions): Promise<Checked> {
  const { plans, seed, path, share = { index: 0, of: 1 } } = options;
  const totals = emptyTotals();
  let made = 0;
  let failedAt: number | undefined;
  let wrong: string[] = [];
  const property = fc.asyncProperty(anyPlan, async (plan) => {
    const isShared = made++ % share.of === share.index;
    // Plans that shrinking tries are not counted; after a while it keeps what it has.
    if (failedAt === undefined ? !isShared : Date.now() - failedAt > maxShrinkMs) return;
    const outcome = await world.run(plan);
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

/** Runs one plan, without shrinking it. */
export async function checkPlan(world: World, plan: Plan): Promise<Checked> {
  const outcome = await world.run(plan);
  const { wrong } = outcome;
  const failed = wrong.length === 0 ? undefined : { plan, wrong, seed: 0, path: "", shrinks: 0 };
  return { totals: totalsOf(outcome), failed };
}

/** Puts together what threads have checked. */
export function merged(shares: readonly Checked[]): Checked {
  const totals = emptyTotals();
  for (const share of shares) addTotals(share.totals, totals);
  return { totals, failed: shares.find(({ failed }) => failed)?.failed };
}

function emptyTotals(): Totals {
  return { plans: 0, injected: new Map(), replays: 0, states: new Map() };
}

function totalsOf({ injected, replays, states }: Outcome): Totals {
  const counts = [...Map.groupBy(states, (state) => state)].map(
    ([state, all]) => [state, all.length] as const,
  );
  return { plans: 1, injected, replays, states: new Map(counts) };
}

function addTotals(from: Totals, to: Totals): void {
  to.plans += from.plans;
  to.replays += from.replays;
  for (const which of ["injected", "states"] as const) {
    for (const [name, n] of from[which]) to[which].set(name, (to[which].get(name) ?? 0) + n);
  }
}
