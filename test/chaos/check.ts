// Random plans until one fails, which is then shrunk to a small one.
import fc from "fast-check";
import { anyPlan, type Plan } from "./plan.ts";
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

/** @param path runs only the plan of an earlier failure, and shrinks it further where it can */
export async function checkPlans(
  world: World,
  { plans, seed, path }: { plans: number; seed: number; path?: string | undefined },
  onPlan: (totals: Totals) => void = () => {},
): Promise<Checked> {
  const totals = emptyTotals();
  let failedAt: number | undefined;
  let wrong: string[] = [];
  const property = fc.asyncProperty(anyPlan, async (plan) => {
    // Plans that shrinking tries are not counted; after a while it keeps what it has.
    if (failedAt !== undefined && Date.now() - failedAt > maxShrinkMs) return;
    const outcome = await world.run(plan);
    if (failedAt === undefined) {
      count(outcome, totals);
      onPlan(totals);
    }
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
  const totals = emptyTotals();
  const outcome = await world.run(plan);
  count(outcome, totals);
  const { wrong } = outcome;
  return { totals, failed: wrong.length === 0 ? undefined : { plan, wrong, seed: 0, path: "", shrinks: 0 } };
}

function emptyTotals(): Totals {
  return { plans: 0, injected: new Map(), replays: 0, states: new Map() };
}

function count({ injected, replays, states }: Outcome, totals: Totals): void {
  totals.plans += 1;
  totals.replays += replays;
  for (const [kind, times] of injected) add(totals.injected, kind, times);
  for (const state of states) add(totals.states, state, 1);
}

function add(to: Map<string, number>, key: string, times: number): void {
  to.set(key, (to.get(key) ?? 0) + times);
}
