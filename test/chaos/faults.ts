// The plan's faults as they come due, and the count of those that really happened.
import type { ChaosQueue, Fault, FaultAt, Plan } from "./plan.ts";

export type Injected = Map<string, number>;

export class Faults {
  readonly injected: Injected = new Map();
  readonly #plan: readonly Fault[];
  readonly #counts = new Map<string, number>();

  constructor(plan: Pick<Plan, "faults">) {
    this.#plan = plan.faults;
  }

  /** What befalls the next request for a page: changes of the records, and one fault. */
  nextPage(): { changes: FaultAt<"source">[]; fault: FaultAt<"libinsight"> | undefined } {
    const n = this.#count("page");
    return {
      changes: this.#of("source").filter((change) => change.nth === n),
      fault: this.#of("libinsight").find(({ nth, times }) => n >= nth && n < nth + times),
    };
  }

  /** What befalls a handler's next call of an AWS command. */
  nextCall(command: string): FaultAt<"aws"> | undefined {
    const n = this.#count(command);
    return this.#of("aws").find(
      ({ kind, command: on, nth, times }) =>
        kind !== "in-part" && on === command && n >= nth && n < nth + times,
    );
  }

  /** Whether AWS takes only some entries of a handler's next batch call. */
  nextBatchCall(command: string): boolean {
    const n = this.#count(`${command} in part`);
    return this.#of("aws").some(
      ({ kind, command: on, nth, times }) =>
        kind === "in-part" && on === command && n >= nth && n < nth + times,
    );
  }

  /** What befalls a queue's next batch. */
  nextBatch(queue: ChaosQueue): FaultAt<"delivery">[] {
    const n = this.#count(queue);
    return this.#of("delivery").filter((fault) => fault.queue === queue && fault.nth === n);
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
