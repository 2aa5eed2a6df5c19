// The ec2 service with its queue, a simulated EC2, and a clock that the test moves.
import { expect } from "vitest";
import { ec2Service } from "../../services/ec2/service.ts";
import type { EventDetail, EventType } from "../../shared/events.ts";
import type { TeamInstances } from "../../shared/instance-settings.ts";
import type { Instance, Instances, Message, Refused } from "../../shared/ports.ts";
import { routes } from "../../shared/topology.ts";
import { eventMessage } from "../factories/event-details.ts";
import { capturedEvents, runService, type TestLocal, take, useLocal } from "./local-adapters.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";

type Clock = { ms: number };
type Operation = "describe" | "start" | "stop";

const tagged = { Application: "DataPipeline" };
/** A day on which the schedule requests a run at six. */
const sixOClock = Date.UTC(2026, 0, 5, 6);
/** The service's shortest delay. */
const stepSeconds = 15;
/** More messages than the service sends for one. */
const maxRounds = 50;

/** Returns the time of so many minutes after six o'clock. */
export function minute(minutes: number): string {
  return new Date(sixOClock + minutes * 60_000).toISOString();
}

/** An EC2 whose starts and stops take 40 seconds, and which describes the states of 10 seconds ago. */
class SimulatedInstances implements Instances {
  readonly #clock: Clock;
  readonly #instances = new Map<
    string,
    { tags: Record<string, string>; states: [from: number, state: string][] }
  >();
  readonly #faults: { operation: Operation; refused: string | undefined; times: number }[] = [];
  /** Starts and stops do not complete, for a reason of EC2's. */
  isStuck = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  put(id: string, state: string, tags: Record<string, string>): void {
    this.#instances.set(id, { tags, states: [[0, state]] });
  }

  /** Gives an instance these states, each for 40 seconds. */
  set(id: string, ...states: string[]): void {
    const { ms } = this.#clock;
    const its = this.#instances.get(id);
    if (its)
      its.states = [
        ...its.states.filter(([from]) => from <= ms),
        ...states.map((state, n): [number, string] => [ms + n * 40_000, state]),
      ];
  }

  stateOf(id: string, at = this.#clock.ms): string {
    return this.#instances.get(id)?.states.findLast(([from]) => from <= at)?.[1] ?? "terminated";
  }

  /** Makes the next calls of an operation fail. @param refused EC2's code; undefined for an outage */
  fail(operation: Operation, refused?: string, times = Number.POSITIVE_INFINITY): void {
    this.#faults.push({ operation, refused, times });
  }

  recover(): void {
    this.#faults.length = 0;
  }

  async findTagged({ key, value }: { key: string; value: string }): Promise<Instance[] | Refused> {
    const found = [...this.#instances].filter(([, { tags }]) => tags[key] === value);
    const described = found.map(([id, { tags }]) => {
      const state = this.stateOf(id, this.#clock.ms - 10_000);
      return {
        id,
        state,
        stateReason: this.isStuck ? "Server.InternalError" : undefined,
        launchedAt: undefined,
        tags: new Map(Object.entries(tags)),
      };
    });
    return (
      this.#fault("describe") ??
      described.filter(({ state }) => !["shutting-down", "terminated"].includes(state))
    );
  }

  async start(id: string): Promise<Refused | undefined> {
    return this.#fault("start") ?? this.#move(id, ["stopped", "pending", "running"]);
  }

  async stop(id: string): Promise<Refused | undefined> {
    return this.#fault("stop") ?? this.#move(id, ["running", "stopping", "stopped"]);
  }

  #move(id: string, states: [from: string, via: string, to: string]): Refused | undefined {
    const state = this.stateOf(id);
    if (state === states[0]) this.set(id, ...states.slice(1, this.isStuck ? 2 : 3));
    return states.includes(state) ? undefined : { refused: "IncorrectInstanceState" };
  }

  #fault(operation: Operation): Refused | undefined {
    const fault = this.#faults.find((each) => each.operation === operation && each.times > 0);
    if (!fault) return undefined;
    fault.times -= 1;
    if (fault.refused === undefined) throw new Error("EC2 is unavailable.");
    return { refused: fault.refused };
  }
}

/** Returns a function that makes the stage of one test. */
export function useInstanceStages(): () => InstanceStage {
  const clock: Clock = { ms: sixOClock };
  const local = useLocal(() => clock.ms);
  return () => {
    clock.ms = sixOClock;
    return new InstanceStage(local, clock);
  };
}

export class InstanceStage {
  readonly #clock: Clock;
  readonly #bus = capturedEvents();
  readonly #queuePair;
  readonly ec2: SimulatedInstances;
  readonly work;
  readonly queue;
  /** What the service emitted. `events.splice(0)` takes it. */
  readonly events = this.#bus.events;
  /** The seconds of each delayed message. */
  readonly delays: number[] = [];
  team: TeamInstances = "tagged";
  checkSeconds = stepSeconds;
  isBusDown = false;
  #launched = 0;

  constructor(local: TestLocal, clock: Clock) {
    this.#clock = clock;
    this.#queuePair = local.queuePair("ec2");
    this.ec2 = new SimulatedInstances(clock);
    this.work = local.store();
    this.queue = this.#queuePair.source;
  }

  get now(): string {
    return new Date(this.#clock.ms).toISOString();
  }

  /** @returns the id of a new instance */
  launch(state: string, tags: Record<string, string> = tagged): string {
    this.#launched += 1;
    const id = `i-${String(this.#launched).padStart(17, "0")}`;
    this.ec2.put(id, state, tags);
    return id;
  }

  /** Puts an event on the bus, and so into the queue. */
  async emit<T extends EventType>(type: T, detail: EventDetail<T>, time = this.now): Promise<void> {
    const isRouted = routes.some(({ to, events }) => to === "ec2" && events.includes(type));
    if (!isRouted) throw new Error(`The bus does not route ${type} to the ec2 queue.`);
    await this.queue.send(eventMessage(type, detail, time));
  }

  /** Emits an event, and delivers until nothing is due. */
  async send<T extends EventType>(type: T, detail: EventDetail<T>, time?: string): Promise<void> {
    await this.emit(type, detail, time);
    await this.pass(0);
  }

  /** Moves the clock, and delivers each message when it is due. By default until no check is left. */
  async pass(seconds = 20 * 60): Promise<void> {
    for (let passed = 0; ; passed += stepSeconds) {
      await this.#deliver();
      if (passed >= seconds) return;
      this.skip(stepSeconds);
    }
  }

  /** Moves the clock alone. */
  skip(seconds: number): void {
    this.#clock.ms += seconds * 1_000;
  }

  async #deliver(): Promise<void> {
    for (let round = 1; round <= maxRounds; round++) {
      const messages = await take(this.queue);
      if (messages.length === 0) return;
      for (const message of messages) expect(await this.handle(message)).toBe("done");
    }
    throw new Error(`There were still messages after ${maxRounds} rounds.`);
  }

  /** Takes the only message that is due. */
  async takeOne(): Promise<Message> {
    const [message, ...others] = await take(this.queue);
    if (!message || others.length > 0) throw new Error("There is not exactly one message in the queue.");
    return message;
  }

  /** Takes the errors of the dead letters. */
  async deadLetters(): Promise<unknown[]> {
    return (await take(this.#queuePair.deadLetters)).map(({ attributes }) => attributes.Error);
  }

  async handle(message: Message, receives = message.receives): Promise<Outcome> {
    const deps = {
      instances: this.ec2,
      team: this.team,
      work: this.work,
      ec2Queue: {
        send: async (body: string, options: { delaySeconds?: number } = {}) => {
          if (options.delaySeconds !== undefined) this.delays.push(options.delaySeconds);
          await this.queue.send(body, options);
        },
      },
      emit: async <T extends EventType>(type: T, detail: EventDetail<T>) => {
        if (this.isBusDown) throw new Error("The bus is unavailable.");
        return this.#bus.emit(type, detail);
      },
      checkSeconds: this.checkSeconds,
      now: () => new Date(this.#clock.ms),
    };
    return outcomeOf(await runService(ec2Service, deps, this.#queuePair, [{ ...message, receives }]));
  }
}
