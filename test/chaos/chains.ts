// Counts how often each function is invoked in a chain of messages, because Lambda stops a function's chain after about 16
// invocations: https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
import type { Message } from "../../shared/ports.ts";
import { type QueueName, services } from "../../shared/topology.ts";

const maxInvocations = 16;

/** Invocations by function. */
type Chain = Map<QueueName, number>;

export class Chains {
  readonly wrong = new Set<string>();
  /** The longest chain of each message, by queue and body. Messages of the bus start a chain, because Lambda does not track it. */
  readonly #chains = new Map<string, Chain>();

  /** Starts an invocation. @returns the longest chain of its messages, and itself; empty for a replay, which starts chains */
  invoke(name: QueueName, batch: readonly Message[]): Chain {
    const chain: Chain = new Map();
    if (name === "replay") return chain;
    for (const { body } of batch) extend(chain, this.#chains.get(`${name} ${body}`));
    const invocations = (chain.get(name) ?? 0) + 1;
    chain.set(name, invocations);
    if (invocations > maxInvocations && !services[name].allowsLongChains)
      this.wrong.add(`Lambda would stop ${name} after ${maxInvocations} invocations in a chain`);
    return chain;
  }

  /** Records a message that an invocation sends. */
  send(queue: QueueName, body: string, chain: Chain): void {
    const key = `${queue} ${body}`;
    if (chain.size === 0) this.#chains.delete(key);
    const known: Chain = this.#chains.get(key) ?? new Map();
    extend(known, chain);
    this.#chains.set(key, known);
  }
}

function extend(chain: Chain, other: Chain = new Map()): void {
  for (const [name, invocations] of other) chain.set(name, Math.max(chain.get(name) ?? 0, invocations));
}
