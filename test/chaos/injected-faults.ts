// Selects the plan's faults when they are due, and counts the injected ones.
import type { ChaosQueue, Fault, FaultAt, Plan, PortCall } from "./fault-plan.ts";

export type Injected = Map<string, number>;

export class Faults {
  readonly injected: Injected = new Map();
  /** Services that had a fault in a port call. */
  readonly affected = new Set<ChaosQueue>();
  #plan: readonly Fault[];
  readonly #counts = new Map<string, number>();

  constructor(plan: Pick<Plan, "faults">) {
    this.#plan = plan.faults;
  }

  /** Continues with other faults, whose calls count from here. */
  restart({ faults }: Pick<Plan, "faults">): void {
    this.#plan = faults;
    this.#counts.clear();
  }

  /** Returns the changes of records before the next request for a page, and the fault of the request. */
  nextPage(): { changes: FaultAt<"source">[]; fault: FaultAt<"libinsight"> | undefined } {
    const n = this.#count("page");
    return {
      changes: this.#of("source").filter((change) => change.nth === n),
      fault: this.#of("libinsight").find(({ nth, times }) => n >= nth && n < nth + times),
    };
  }

  /** Returns the deployments and clock jumps before the next port call. */
  nextTurn(): (FaultAt<"deploy"> | FaultAt<"clock">)[] {
    const n = this.#count("turn");
    return [...this.#of("deploy"), ...this.#of("clock")].filter(({ nth }) => nth === n);
  }

  /** Returns the fault of the next query that ends. */
  nextQuery(): FaultAt<"query"> | undefined {
    const n = this.#count("query");
    const fault = this.#of("query").find(({ nth }) => nth === n);
    if (fault) this.countInjected(`query ${fault.kind}`);
    return fault;
  }

  /** Returns whether the next notification of S3 is lost. */
  losesNotification(): boolean {
    const n = this.#count("notification");
    const isLost = this.#of("notification").some(({ nth }) => nth === n);
    if (isLost) this.countInjected("notification lost");
    return isLost;
  }

  /** Returns the fault of the next call of a port. */
  nextCall(call: PortCall): FaultAt<"port"> | undefined {
    const n = this.#count(call);
    return this.#of("port").find((fault) => fault.kind !== "in-part" && isDue(fault, call, n));
  }

  /** Returns whether a port accepts only some messages of the next batch. */
  nextBatchCall(call: PortCall): boolean {
    const n = this.#count(`${call} in part`);
    return this.#of("port").some((fault) => fault.kind === "in-part" && isDue(fault, call, n));
  }

  /** Returns the fault that ends the next upload in mid-stream. */
  nextUpload(): FaultAt<"upload"> | undefined {
    const n = this.#count("upload in mid-stream");
    return this.#of("upload").find(({ nth }) => nth === n);
  }

  /** Returns the faults of a queue's next batch. */
  nextBatch(queue: ChaosQueue): FaultAt<"delivery">[] {
    const n = this.#count(queue);
    return this.#of("delivery").filter((fault) => fault.queue === queue && fault.nth === n);
  }

  countInjected(kind: string): void {
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
