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

/** With more windows, each has a page or two, and the faults are in some windows instead of on some pages. */
const maxPagedWindows = 20;

/** @param windows of the run; the first page of the first one fails until its message is a dead letter */
export function faultsOfSeed(seed: number, [first, ...others]: NonEmpty<DateRange>): FaultSetting[] {
  const random = seeded(seed);
  const permanentFault: FaultSetting = {
    kind: "status",
    status: 503,
    where: { from: first.from, page: 1 },
    times: receiveLimit,
  };
  const transient = Array.from({ length: transientCount }, (): FaultSetting => {
    const fault = pick(random, transientFaults);
    const window = others.length > maxPagedWindows && others[between(random, 0, others.length - 1)];
    return { ...fault, where: window ? { from: window.from } : { page: between(random, 2, 12) } };
  });
  return [permanentFault, ...transient];
}
