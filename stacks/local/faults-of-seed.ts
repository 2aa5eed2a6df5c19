// The faults of `npm start -- --faults SEED`: a LibInsight as it is on a bad day, the same for the same seed.
import { receiveLimit } from "../../shared/topology.ts";
import { between, type NonEmpty, pick, seeded } from "./libinsight/random.ts";
import type { FaultSetting } from "./libinsight.ts";

/** These pass by themselves: the message comes back and succeeds. */
const passing: NonEmpty<FaultSetting> = [
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
const passingFaults = 8;

/** @param firstDay of the run: the first page of its first window fails until its message is a dead letter */
export function faultsOfSeed(seed: number, firstDay: string): FaultSetting[] {
  const random = seeded(seed);
  const outlasting: FaultSetting = {
    kind: "status",
    status: 503,
    where: { endpoint: "data-grid", from: firstDay, page: 1 },
    times: receiveLimit,
  };
  const others = Array.from({ length: passingFaults }, (): FaultSetting => {
    return { ...pick(random, passing), where: { endpoint: "data-grid", page: between(random, 2, 12) } };
  });
  return [outlasting, ...others];
}
