// Delivers messages to the services, as event source mappings do, in an order that the plan's seed decides: which
// batch starts next, and whose port call goes next, one at a time. Nothing here waits for a clock.
import { setImmediate as turn } from "node:timers/promises";
import type { BatchResult } from "../../shared/message-loop.ts";
import type { Message } from "../../shared/ports.ts";
import { services } from "../../shared/topology.ts";
import { between, type Random, seeded } from "../../stacks/local/libinsight/random.ts";
import type { ChaosQueue, FaultAt, Plan, PortCall } from "./fault-plan.ts";
import { type Caller, type Clock, PortError, type Ports } from "./faulty-ports.ts";
import type { Faults } from "./injected-faults.ts";

/** A plan takes some hundreds. */
const maxSteps = 30_000;
/** A handler that neither ends nor calls a port for this long hangs. */
const stuckMs = 5_000;
/** Longer than any plan's steps take on its clock. */
const visibilitySeconds = 43_200;
/** Of one queue at a time; a plan has some dozens. */
const maxMessages = 1_000;

/** Runs a service on a batch; its port calls go through the caller. */
export type Handlers = Record<ChaosQueue, (batch: Message[], caller: Caller) => Promise<BatchResult>>;

export type DeliveryOptions = {
  plan: Plan;
  faults: Faults;
  /** Without faults. */
  ports: Ports;
  handlers: Handlers;
  /** Whose messages are handled. */
  queues: readonly ChaosQueue[];
  /** Of the plan: each step takes a second. */
  clock: Clock;
  /** Returns what goes on beside the services and can go on now, such as a query's end. */
  aside: () => (() => Promise<void>) | undefined;
  /** Called before each call of a port. */
  onTurn: () => void;
  /** Called after each step. */
  afterStep: () => Promise<void>;
  /** Moves the clock to where the next delayed message is due. @returns whether there is one */
  advance: () => boolean;
  /** What errors of the ports quote. */
  mark: string;
  /** Called with each call of a port as its turn comes. */
  onCall?: ((call: string) => void) | undefined;
};

/** A received message; `from` is the step at which it may be handled. */
type Waiting = { queue: ChaosQueue; message: Message; from: number };
type Invocation = { queue: ChaosQueue; parked: (() => unknown)[]; dead: boolean };

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #random: Random;
  readonly #waiting: Waiting[] = [];
  readonly #running = new Set<Invocation>();
  /** Queues that may have got messages since they were last received from. */
  readonly #fed = new Set<ChaosQueue>();
  #step = 0;
  /** Why the harness itself failed. */
  #broken: unknown;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#random = seeded(options.plan.seed);
  }

  /**
   * Delivers until every queue is empty.
   * @throws Error when that takes more than `maxSteps`, or when a handler hangs
   */
  async drain(): Promise<void> {
    const { queues, afterStep, advance } = this.#options;
    for (const queue of queues) this.#fed.add(queue);
    while (this.#step < maxSteps) {
      this.#step += 1;
      this.#options.clock.now += 1_000;
      await this.#quiet();
      // Each receive takes a turn of the event loop, so not at every step.
      if (between(this.#random, 1, 4) === 1) await this.#receiveFed();
      const choices = this.#choices();
      const choice = choices[between(this.#random, 0, choices.length - 1)];
      if (choice) {
        await choice();
        await afterStep();
        continue;
      }
      if (this.#fed.size === 0) {
        if (!advance()) return;
        for (const queue of queues) this.#fed.add(queue);
      }
      await this.#receiveFed();
    }
    throw new Error(`The plan did not end in ${maxSteps} steps.`);
  }

  /** Resolves when every handler that runs waits for its turn. */
  async #quiet(): Promise<void> {
    const stuckAt = Date.now() + stuckMs;
    do {
      // Calls that begin together are parked in one turn: handlers wait for nothing else but LibInsight, one at a time.
      await turn();
      if (this.#broken) throw this.#broken;
      if (Date.now() > stuckAt) throw new Error("A handler neither ends nor calls a port.");
    } while ([...this.#running].some(({ parked }) => parked.length === 0));
  }

  #choices(): (() => unknown)[] {
    const { queues, aside } = this.#options;
    const parkedCalls = [...this.#running].flatMap(({ parked }) =>
      parked.map((go, index) => () => {
        parked.splice(index, 1);
        return go();
      }),
    );
    const beside = aside();
    const calls = beside
      ? [
          ...parkedCalls,
          async () => {
            await beside();
            for (const queue of queues) this.#fed.add(queue);
          },
        ]
      : parkedCalls;
    if (this.#running.size >= this.#options.plan.concurrency) return calls;
    const ready = this.#waiting.filter(({ from }) => from <= this.#step);
    // Where all that is left waits for later steps, later is now.
    const startable = ready.length > 0 || calls.length > 0 ? ready : this.#waiting;
    const startableQueues = queues.filter((queue) => startable.some((waiting) => waiting.queue === queue));
    return [...calls, ...startableQueues.map((queue) => () => this.#start(queue))];
  }

  #start(queue: ChaosQueue): void {
    const waiting = this.#waiting.filter((each) => each.queue === queue);
    const due = waiting.filter(({ from }) => from <= this.#step);
    const candidates = due.length > 0 ? due : waiting;
    const size = between(this.#random, 1, Math.min(services[queue].batchSize, candidates.length));
    const batch: Message[] = [];
    for (let n = 0; n < size; n++) {
      const [chosen] = candidates.splice(between(this.#random, 0, candidates.length - 1), 1);
      if (!chosen) break;
      this.#waiting.splice(this.#waiting.indexOf(chosen), 1);
      batch.push(chosen.message);
    }
    const { faults } = this.#options;
    const befalling = faults.nextBatch(queue);
    const late = befalling.find(({ kind }) => kind === "delay");
    if (late) {
      faults.happened("delivery delay");
      this.#wait(queue, batch, late.steps);
      return;
    }
    const invocation: Invocation = { queue, parked: [], dead: false };
    this.#running.add(invocation);
    this.#run(invocation, batch, befalling).catch((error: unknown) => {
      this.#broken = error;
    });
  }

  async #run(invocation: Invocation, batch: Message[], faults: FaultAt<"delivery">[]): Promise<void> {
    const { queue } = invocation;
    const source = this.#options.ports.queue(queue);
    const release = (messages: Message[]) => source.release(messages.map(({ receipt }) => receipt));
    // Its first turn: batches that are started do not all begin at once.
    await new Promise<void>((go) => invocation.parked.push(go));
    if (faults.some(({ kind }) => kind === "visibility")) {
      this.#options.faults.happened("delivery visibility");
      await release(batch);
      await this.#receive(queue);
    }
    const died = Promise.withResolvers<"died">();
    const caller = this.#callerFor(invocation, () => died.resolve("died"));
    const result = await Promise.race([this.#options.handlers[queue](batch, caller), died.promise]);
    // Makes messages visible again, as their visibility timeout would.
    if (result === "died") await release(batch);
    else {
      const retried = new Set(result.retried);
      const done = batch.filter(({ id }) => !retried.has(id));
      await Promise.all(done.map(({ receipt }) => source.delete(receipt)));
      if (retried.size > 0) await release(batch.filter(({ id }) => retried.has(id)));
      const again = faults.find(({ kind }) => kind === "duplicate");
      if (again && done.length > 0) {
        this.#options.faults.happened("delivery duplicate");
        this.#wait(queue, done, again.steps);
      }
    }
    // Events and notifications go to any of them.
    for (const each of this.#options.queues) this.#fed.add(each);
    this.#running.delete(invocation);
  }

  #callerFor(invocation: Invocation, died: () => void): Caller {
    const { plan, faults, mark, onCall, onTurn } = this.#options;
    const die = (): void => {
      invocation.dead = true;
      invocation.parked.length = 0;
      died();
    };
    return {
      perform: <T>(call: PortCall, act: () => Promise<T>, onConflict?: () => T): Promise<T> => {
        const { promise, resolve, reject } = Promise.withResolvers<T>();
        let tries = 0;
        const go = async (): Promise<void> => {
          tries += 1;
          onTurn();
          const fault = faults.nextCall(call);
          onCall?.(`${invocation.queue} ${call} ${fault?.kind ?? ""}`);
          if (fault && (fault.kind !== "conflict" || onConflict)) {
            faults.happened(`port ${fault.kind}`);
            faults.struck.add(invocation.queue);
          }
          try {
            if (fault?.kind === "conflict" && onConflict) return resolve(onConflict());
            if (fault?.kind === "dies-before") return die();
            const error = fault && errorNames[fault.kind];
            if (error && fault.kind !== "after") throw new PortError(error, mark);
            const value = await act();
            if (fault?.kind === "dies-after") return die();
            if (error) throw new PortError(error, mark);
            resolve(value);
          } catch (error) {
            const again = error instanceof PortError && error.mayPass && tries < plan.tries;
            if (again) invocation.parked.push(go);
            else reject(error);
          }
        };
        if (!invocation.dead) invocation.parked.push(go);
        return promise;
      },
      taken: (call, messages) => {
        if (!faults.nextBatchCall(call)) return messages;
        faults.happened("port in-part");
        return Math.floor(messages / 2);
      },
      nextUpload: () => faults.nextUpload(),
      endUpload: ({ kind }) => {
        faults.happened(`upload ${kind}`);
        if (kind === "breaks") throw new PortError("TimeoutError", mark);
        die();
        return new Promise(() => {});
      },
    };
  }

  async #receiveFed(): Promise<void> {
    const fed = [...this.#fed];
    this.#fed.clear();
    for (const queue of fed) await this.#receive(queue);
  }

  async #receive(queue: ChaosQueue): Promise<void> {
    const options = { max: maxMessages, visibilitySeconds, waitSeconds: 0 };
    this.#wait(queue, await this.#options.ports.queue(queue).receive(options), 0);
  }

  #wait(queue: ChaosQueue, messages: Message[], steps: number): void {
    this.#waiting.push(...messages.map((message) => ({ queue, message, from: this.#step + steps })));
  }
}

/** By the kind of a fault, the error that an adapter throws. */
const errorNames: Partial<Record<FaultAt<"port">["kind"], string>> = {
  before: "TimeoutError",
  after: "TimeoutError",
  "slow-down": "SlowDown",
  throttled: "ThrottlingException",
  internal: "InternalError",
};
