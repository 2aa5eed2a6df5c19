// The ec2 service with its queue in memory, and an EC2 whose instances change their state when a test says so. Delayed
// messages arrive at once, and their delays are recorded.
import { expect } from "vitest";
import { ec2Service } from "../../services/ec2/service.ts";
import type { EventDetail, EventType } from "../../shared/events.ts";
import type { TeamInstances } from "../../shared/instance-settings.ts";
import { awsEvent } from "../../shared/local/local-bus.ts";
import type { LocalStore } from "../../shared/local/local-store.ts";
import type { SqliteQueue } from "../../shared/local/sqlite-queue.ts";
import type { Instance, Instances, Message, Refused } from "../../shared/ports.ts";
import { awsRoutes, routes } from "../../shared/topology.ts";
import { eventMessage } from "../factories/event-details.ts";
import { capturedEvents, type EmittedEvent, runService, type TestLocal, take } from "./local-adapters.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";

/** More than the service checks. */
const maxRounds = 20;
export const tagged = { Application: "DataPipeline" };

type Operation = "describe" | "start" | "stop";
type Fault = { operation: Operation; refused: string | undefined; times: number };

/** EC2, where a start leads to `pending` and a stop to `stopping`; the test does the rest. */
export class ScriptedInstances implements Instances {
  readonly #instances = new Map<string, Instance>();
  #faults: Fault[] = [];

  put(id: string, state: string, tags: Record<string, string>): void {
    const instance = { id, state, stateReason: undefined, launchedAt: undefined };
    this.#instances.set(id, { ...instance, tags: new Map(Object.entries(tags)) });
  }

  /** Sets the state. @throws Error where there is no such instance */
  set(id: string, state: string): void {
    const found = this.#instances.get(id);
    if (!found) throw new Error(`There is no instance ${id}.`);
    this.#instances.set(id, { ...found, state });
  }

  stateOf(id: string): string | undefined {
    return this.#instances.get(id)?.state;
  }

  /** Refuses the next calls of an operation, all of them until `recover` by default. */
  refuse(operation: Operation, code: string, times = Number.POSITIVE_INFINITY): void {
    this.#faults.push({ operation, refused: code, times });
  }

  /** Describes nothing until `recover`, as when EC2 cannot be reached. */
  disconnect(): void {
    this.#faults.push({ operation: "describe", refused: undefined, times: Number.POSITIVE_INFINITY });
  }

  recover(): void {
    this.#faults = [];
  }

  async find(id: string): Promise<Instance | Refused> {
    const unknown = { refused: `InvalidInstanceID.${/^i-[0-9a-f]+$/.test(id) ? "NotFound" : "Malformed"}` };
    return this.#fault("describe") ?? this.#instances.get(id) ?? unknown;
  }

  async findTagged({ key, value }: { key: string; value: string }): Promise<Instance[] | Refused> {
    const all = [...this.#instances.values()];
    const found = all.filter(({ tags, state }) => tags.get(key) === value && state !== "terminated");
    return this.#fault("describe") ?? found;
  }

  async start(id: string): Promise<Refused | undefined> {
    return this.#fault("start") ?? this.#change(id, { from: "stopped", to: "pending" });
  }

  async stop(id: string): Promise<Refused | undefined> {
    return this.#fault("stop") ?? this.#change(id, { from: "running", to: "stopping" });
  }

  #change(id: string, { from, to }: { from: string; to: string }): undefined {
    if (this.stateOf(id) === from) this.set(id, to);
  }

  #fault(operation: Operation): Refused | undefined {
    const fault = this.#faults.find((each) => each.operation === operation && each.times > 0);
    if (!fault) return undefined;
    fault.times -= 1;
    if (fault.refused === undefined) throw new Error("EC2 is unavailable.");
    return { refused: fault.refused };
  }
}

/** One a test. */
export class InstanceStage {
  readonly ec2 = new ScriptedInstances();
  readonly work: LocalStore;
  readonly queue: SqliteQueue;
  readonly deadLetters: SqliteQueue;
  /** What the service published. `events.splice(0)` takes it. */
  readonly events: EmittedEvent[];
  /** The seconds of each delayed message. */
  readonly delays: number[] = [];
  team: TeamInstances = "tagged";
  checkSeconds = 15;
  now = new Date("2026-01-06T00:00:00Z");
  isBusDown = false;
  readonly #bus = capturedEvents();
  #launched = 0;

  constructor(local: TestLocal) {
    this.work = local.store();
    ({ source: this.queue, deadLetters: this.deadLetters } = local.queuePair("ec2"));
    this.events = this.#bus.events;
  }

  /** @returns the id of a new instance */
  launch(state: string, tags: Record<string, string> = tagged): string {
    this.#launched += 1;
    const id = `i-${String(this.#launched).padStart(17, "0")}`;
    this.ec2.put(id, state, tags);
    return id;
  }

  /** Changes an instance's state, with EC2's event unless that is lost. */
  async change(id: string, state: string, { isLost = false } = {}): Promise<void> {
    this.ec2.set(id, state);
    const { source, detailType, states } = awsRoutes.instanceChanged;
    if (isLost || !states.some((each) => each === state)) return;
    await this.queue.send(awsEvent(source, detailType, { "instance-id": id, state }));
  }

  /** Puts an event on the bus, and so into the queue. */
  async emit<T extends EventType>(
    type: T,
    detail: EventDetail<T>,
    time = this.now.toISOString(),
  ): Promise<void> {
    const isRouted = routes.some(({ to, events }) => to === "ec2" && events.includes(type));
    if (!isRouted) throw new Error(`The bus does not route ${type} to the ec2 queue.`);
    await this.queue.send(eventMessage(type, detail, time));
  }

  /** Publishes an event and handles it. @returns the messages */
  async send<T extends EventType>(type: T, detail: EventDetail<T>, time?: string): Promise<Message[]> {
    await this.emit(type, detail, time);
    return this.deliver();
  }

  /** Changes an instance's state, and delivers until the queue is empty. */
  async settle(id: string, state: string): Promise<void> {
    await this.change(id, state);
    await this.deliverAll();
  }

  /** Handles what is in the queue now. @returns the messages */
  async deliver(): Promise<Message[]> {
    const messages = await take(this.queue);
    for (const message of messages) expect(await this.handle(message)).toBe("done");
    return messages;
  }

  /** Delivers until the queue is empty. */
  async deliverAll(): Promise<void> {
    for (let round = 1; round <= maxRounds; round++) {
      if ((await this.deliver()).length === 0) return;
    }
    throw new Error(`There were still messages after ${maxRounds} rounds.`);
  }

  /** Takes the only message in the queue. */
  async takeOne(): Promise<Message> {
    const [message, ...others] = await take(this.queue);
    if (!message || others.length > 0) throw new Error("There is not exactly one message in the queue.");
    return message;
  }

  async handle(message: Message, receives = message.receives): Promise<Outcome> {
    const deps = {
      instances: this.ec2,
      team: this.team,
      work: this.work,
      ec2Queue: {
        send: async (body: string, { delaySeconds = 0 } = {}) => {
          this.delays.push(delaySeconds);
          await this.queue.send(body);
        },
      },
      emit: async <T extends EventType>(type: T, detail: EventDetail<T>) => {
        if (this.isBusDown) throw new Error("The bus is unavailable.");
        return this.#bus.emit(type, detail);
      },
      checkSeconds: this.checkSeconds,
      now: () => this.now,
    };
    const queuePair = { source: this.queue, deadLetters: this.deadLetters };
    return outcomeOf(await runService(ec2Service, deps, queuePair, [{ ...message, receives }]));
  }
}
