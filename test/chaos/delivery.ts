// Delivers messages to the services, as event source mappings do. The plan's seed decides the order: which batch starts
// next, and which handler makes the next port call, one at a time. Nothing here waits for a clock.
import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as turn } from "node:timers/promises";
import type { BatchResult } from "../../shared/message-loop.ts";
import type { Message } from "../../shared/ports.ts";
import { services } from "../../shared/topology.ts";
import { between, type Random, seeded } from "../../stacks/local/libinsight/random.ts";
import type { ChaosQueue, FaultAt, Plan, PortCall } from "./fault-plan.ts";
import { type Caller, type Clock, PortError, type Ports } from "./faulty-ports.ts";
import type { Faults } from "./injected-faults.ts";

/** A typical plan takes some hundred steps. */
const maxSteps = 30_000;
/** A handler that neither ends nor calls a port for this long is considered stuck. */
const stuckMs = 5_000;
/** Longer than the steps of any plan on its clock. */
const visibilitySeconds = 43_200;
/** Messages received from a queue at once. A plan has some dozens. */
const maxMessages = 1_000;

/** Runs a service on a batch. Its port calls go through the caller. */
export type Handlers = Record<ChaosQueue, (batch: Message[], caller: Caller) => Promise<BatchResult>>;

export type DeliveryOptions = {
  plan: Plan;
  faults: Faults;
  /** The ports without faults. */
  ports: Ports;
  handlers: Handlers;
  /** The queues whose messages are delivered. */
  queues: readonly ChaosQueue[];
  /** The plan's clock. Each step takes a second. */
  clock: Clock;
  /** Returns the next step that no handler makes, such as the end of a query; undefined if there is none now. */
  background: () => (() => Promise<void>) | undefined;
  /** Called before each call of a port. */
  onTurn: () => void;
  /** Called after each step. */
  afterStep: () => Promise<void>;
  /** Advances the clock to the time when the next delayed message is due. @returns whether there is one */
  advance: () => boolean;
  /** The text that errors of the ports quote. */
  errorText: string;
  /** Called before each port call, with its description. */
  onCall?: ((call: string) => void) | undefined;
};

/** A received message. It may be handled from step `from`. */
type Waiting = { queue: ChaosQueue; message: Message; from: number };
type Invocation = { queue: ChaosQueue; parked: (() => unknown)[]; requests: number; dead: boolean };

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #random: Random;
  readonly #waiting: Waiting[] = [];
  readonly #running = new Set<Invocation>();
  /** Queues that may have new messages. */
  readonly #toPoll = new Set<ChaosQueue>();
  #step = 0;
  /** The error of the test code itself, if any. */
  #failure: unknown;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#random = seeded(options.plan.seed);
  }

  /**
   * Delivers until every queue is empty.
   * @throws Error if that takes more than `maxSteps`, or a handler is stuck
   */
  async drain(): Promise<void> {
    const { queues, afterStep, advance } = this.#options;
    for (const queue of queues) this.#toPoll.add(queue);
    while (this.#step < maxSteps) {
      this.#step += 1;
      this.#options.clock.now += 1_000;
      await this.#untilAllParked();
      // A receive takes a turn of the event loop, so only every fourth step receives on average.
      if (between(this.#random, 1, 4) === 1) await this.#poll();
      const choices = this.#choices();
      const choice = choices[between(this.#random, 0, choices.length - 1)];
      if (choice) {
        await choice();
        await afterStep();
        continue;
      }
      if (this.#toPoll.size === 0) {
        if (!advance()) return;
        for (const queue of queues) this.#toPoll.add(queue);
      }
      await this.#poll();
    }
    throw new Error(`The plan did not end in ${maxSteps} steps.`);
  }

  /** Resolves when every running handler waits for its turn, and for nothing else. */
  async #untilAllParked(): Promise<void> {
    const stuckAt = Date.now() + stuckMs;
    do {
      // Calls that start together are parked in one turn.
      await turn();
      if (this.#failure) throw this.#failure;
      if (Date.now() > stuckAt) throw new Error("A handler neither ends nor calls a port.");
    } while ([...this.#running].some(({ parked, requests }) => parked.length === 0 || requests > 0));
  }

  #choices(): (() => unknown)[] {
    const { queues, background } = this.#options;
    const parkedCalls = [...this.#running].flatMap(({ parked }) =>
      parked.map((go, index) => () => {
        parked.splice(index, 1);
        return go();
      }),
    );
    const backgroundStep = background();
    const calls = backgroundStep
      ? [
          ...parkedCalls,
          async () => {
            await backgroundStep();
            for (const queue of queues) this.#toPoll.add(queue);
          },
        ]
      : parkedCalls;
    if (this.#running.size >= this.#options.plan.concurrency) return calls;
    const ready = this.#waiting.filter(({ from }) => from <= this.#step);
    // If all remaining messages wait for later steps, they may start now.
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
    const batchFaults = faults.nextBatch(queue);
    const late = batchFaults.find(({ kind }) => kind === "delay");
    if (late) {
      faults.countInjected("delivery delay");
      this.#wait(queue, batch, late.steps);
      return;
    }
    const invocation: Invocation = { queue, parked: [], requests: 0, dead: false };
    this.#running.add(invocation);
    this.#run(invocation, batch, batchFaults).catch((error: unknown) => {
      this.#failure = error;
    });
  }

  async #run(invocation: Invocation, batch: Message[], faults: FaultAt<"delivery">[]): Promise<void> {
    const { queue } = invocation;
    const source = this.#options.ports.queue(queue);
    const release = (messages: Message[]) => source.release(messages.map(({ receipt }) => receipt));
    // Waits for its first turn, so that batches do not all start at once.
    await new Promise<void>((go) => invocation.parked.push(go));
    if (faults.some(({ kind }) => kind === "visibility")) {
      this.#options.faults.countInjected("delivery visibility");
      await release(batch);
      await this.#receive(queue);
    }
    const died = Promise.withResolvers<"died">();
    const caller = this.#callerFor(invocation, () => died.resolve("died"));
    const result = await Promise.race([this.#options.handlers[queue](batch, caller), died.promise]);
    // Makes the messages visible again, as the end of their visibility timeout does.
    if (result === "died") await release(batch);
    else {
      const retried = new Set(result.retried);
      const done = batch.filter(({ id }) => !retried.has(id));
      await Promise.all(done.map(({ receipt }) => source.delete(receipt)));
      if (retried.size > 0) await release(batch.filter(({ id }) => retried.has(id)));
      const again = faults.find(({ kind }) => kind === "duplicate");
      if (again && done.length > 0) {
        this.#options.faults.countInjected("delivery duplicate");
        this.#wait(queue, done, again.steps);
      }
    }
    // The handler may have sent messages to any queue.
    for (const each of this.#options.queues) this.#toPoll.add(each);
    this.#running.delete(invocation);
  }

  #callerFor(invocation: Invocation, died: () => void): Caller {
    const { plan, faults, errorText, onCall, onTurn } = this.#options;
    const die = (): void => {
      invocation.dead = true;
      invocation.parked.length = 0;
      died();
    };
    return {
      perform: <T>(call: PortCall, act: () => Promise<T>, onConflict?: () => T): Promise<T> => {
        const { promise, resolve, reject } = Promise.withResolvers<T>();
        let tries = 0;
        // The delivery calls it at its turn, outside of the span of its handler.
        const go = AsyncLocalStorage.bind(async (): Promise<void> => {
          tries += 1;
          onTurn();
          const fault = faults.nextCall(call);
          onCall?.(`${invocation.queue} ${call} ${fault?.kind ?? ""}`);
          if (fault && (fault.kind !== "conflict" || onConflict)) {
            faults.countInjected(`port ${fault.kind}`);
            faults.affected.add(invocation.queue);
          }
          try {
            if (fault?.kind === "conflict" && onConflict) return resolve(onConflict());
            if (fault?.kind === "dies-before") return die();
            const error = fault && errorNames[fault.kind];
            if (error && fault.kind !== "after") throw new PortError(error, errorText);
            const value = await act();
            if (fault?.kind === "dies-after") return die();
            if (error) throw new PortError(error, errorText);
            resolve(value);
          } catch (error) {
            const again = error instanceof PortError && error.isTransient && tries < plan.tries;
            if (again) invocation.parked.push(go);
            else reject(error);
          }
        });
        if (!invocation.dead) invocation.parked.push(go);
        return promise;
      },
      request: async (act) => {
        invocation.requests += 1;
        try {
          return await act();
        } finally {
          invocation.requests -= 1;
        }
      },
      accepted: (call, messages) => {
        if (!faults.nextBatchCall(call)) return messages;
        faults.countInjected("port in-part");
        return Math.floor(messages / 2);
      },
      nextUpload: () => faults.nextUpload(),
      endUpload: ({ kind }) => {
        faults.countInjected(`upload ${kind}`);
        if (kind === "breaks") throw new PortError("TimeoutError", errorText);
        die();
        return new Promise(() => {});
      },
    };
  }

  async #poll(): Promise<void> {
    const toPoll = [...this.#toPoll];
    this.#toPoll.clear();
    for (const queue of toPoll) await this.#receive(queue);
  }

  async #receive(queue: ChaosQueue): Promise<void> {
    const options = { max: maxMessages, visibilitySeconds, waitSeconds: 0 };
    this.#wait(queue, await this.#options.ports.queue(queue).receive(options), 0);
  }

  #wait(queue: ChaosQueue, messages: Message[], steps: number): void {
    this.#waiting.push(...messages.map((message) => ({ queue, message, from: this.#step + steps })));
  }
}

/** The error that an adapter throws for each kind of fault. */
const errorNames: Partial<Record<FaultAt<"port">["kind"], string>> = {
  before: "TimeoutError",
  after: "TimeoutError",
  "slow-down": "SlowDown",
  throttled: "ThrottlingException",
  internal: "InternalError",
};
