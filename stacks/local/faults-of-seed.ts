// Generates the faults of `npm start -- --faults SEED`. The same seed gives the same faults.
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

/** @param firstDay the run's first day: the first page of its window fails until its message is a dead letter */
export function faultsOfSeed(seed: number, firstDay: string): FaultSetting[] {
  const random = seeded(seed);
  const permanentFault: FaultSetting = {
    kind: "status",
    status: 503,
    where: { endpoint: "data-grid", from: firstDay, page: 1 },
    times: receiveLimit,
  };
  const others = Array.from({ length: transientCount }, (): FaultSetting => {
    return {
      ...pick(random, transientFaults),
      where: { endpoint: "data-grid", page: between(random, 2, 12) },
    };
  });
  return [permanentFault, ...others];
}
