// Generates the faults of `npm start -- --faults SEED`. The same seed gives the same faults.
import type { DateRange } from "../../shared/kinds/kind.ts";
import { receiveLimit } from "../../shared/topology.ts";
import { between, type NonEmpty, pick, seeded } from "./libinsight/random.ts";
import type { FaultSetting } from "./libinsight.ts";

/** Retries overcome these faults. */
const transientFaults: NonEmpty<FaultSetting> = [
  { kind: "status", status: 500 },
  { kind: "rate-limited", retryAfter: 1 },
  { kind: "rate-limited" },
  { kind: "html", status: 502 },
  { kind: "broken-json" },
  { kind: "error-at-200" },
  { kind: "reset" },
  { kind: "cut-body" },
  { kind: "unauthorized" },
];
const transientCount = 8;

/** @param periods of the run; the first request of the first one fails until its message is a dead letter */
export function faultsOfSeed(seed: number, [first, ...others]: NonEmpty<DateRange>): FaultSetting[] {
  const random = seeded(seed);
  const permanentFault: FaultSetting = {
    kind: "status",
    status: 503,
    where: { from: first.from, page: 1 },
    times: receiveLimit,
  };
  // Spread evenly, because a request that fails too often becomes a dead letter.
  const offset = between(random, 0, Math.max(others.length - 1, 0));
  const transient = Array.from({ length: transientCount }, (_, n): FaultSetting => {
    const period = others[(offset + n) % Math.max(others.length, 1)];
    return { ...pick(random, transientFaults), where: period ? { from: period.from } : { page: 1 } };
  });
  return [permanentFault, ...transient];
}
