// The plan's faults as they come due, and the count of those that really happened.
import type { ChaosQueue, Fault, FaultAt, Plan, PortCall } from "./plan.ts";

export type Injected = Map<string, number>;

/** What makes LibInsight's numbers disagree. */
const disturbingKinds = /^source |^libinsight (too-few|too-many|repeated|other-total)$/;

export class Faults {
  readonly injected: Injected = new Map();
  readonly #plan: readonly Fault[];
  readonly #counts = new Map<string, number>();

  constructor(plan: Pick<Plan, "faults">) {
    this.#plan = plan.faults;
  }

  /** Returns what befalls the next request for a page: changes of the records, and one fault. */
  nextPage(): { changes: FaultAt<"source">[]; fault: FaultAt<"libinsight"> | undefined } {
    const n = this.#count("page");
    return {
      changes: this.#of("source").filter((change) => change.nth === n),
      fault: this.#of("libinsight").find(({ nth, times }) => n >= nth && n < nth + times),
    };
  }

  /** Returns what befalls the next call of a port. */
  nextCall(call: PortCall): FaultAt<"port"> | undefined {
    const n = this.#count(call);
    return this.#of("port").find((fault) => fault.kind !== "in-part" && isDue(fault, call, n));
  }

  /** Returns whether a port takes only some messages of the next batch. */
  nextBatchCall(call: PortCall): boolean {
    const n = this.#count(`${call} in part`);
    return this.#of("port").some((fault) => fault.kind === "in-part" && isDue(fault, call, n));
  }

  /** Returns what ends the next upload in mid-stream. */
  nextUpload(): FaultAt<"upload"> | undefined {
    const n = this.#count("upload in mid-stream");
    return this.#of("upload").find(({ nth }) => nth === n);
  }

  /** Returns what befalls a queue's next batch. */
  nextBatch(queue: ChaosQueue): FaultAt<"delivery">[] {
    const n = this.#count(queue);
    return this.#of("delivery").filter((fault) => fault.queue === queue && fault.nth === n);
  }

  /** Returns how often LibInsight lied or changed. */
  get disturbances(): number {
    const disturbing = [...this.injected].filter(([kind]) => disturbingKinds.test(kind));
    return disturbing.reduce((sum, [, times]) => sum + times, 0);
  }

  happened(kind: string): void {
    this.injected.set(kind, (this.injected.get(kind) ?? 0) + 1);
  }

  #count(what: string): number {
    const n = (this.#counts.get(what) ?? 0) + 1;
    this.#counts.set(what, n);
    return n;
  }

  #of<A extends Fault["at"]>(at: A): FaultAt<A>[] {
    return this.#plan.filter((fault): fault is FaultAt<A> => fault.at === at);
  }
}

function isDue({ call: of, nth, times }: FaultAt<"port">, call: PortCall, n: number): boolean {
  return of === call && n >= nth && n < nth + times;
}
