// The instances of the local EC2. Their states change as they are asked to and then by themselves, after a time; all of
// it is kept on disk, so that a change which a restart cut off goes on.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
import { z } from "zod";
import { Ec2Error } from "./ec2-query.ts";
import { openJsonFile } from "./json-file.ts";

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html */
export const stateCodes = {
  pending: 0,
  running: 16,
  "shutting-down": 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
} as const;
const state = z.enum(["pending", "running", "shutting-down", "terminated", "stopping", "stopped"]);
export type Ec2State = z.infer<typeof state>;

const instance = z.strictObject({
  id: z.string().regex(/^i-(?:[0-9a-f]{8}|[0-9a-f]{17})$/),
  tags: z.record(z.string(), z.string()),
  state,
  /** Why it is stopped, as EC2's code: `Client.UserInitiatedShutdown`. */
  stateReason: z.string().optional(),
  /** All times are milliseconds since 1970. */
  launchedAt: z.number(),
  /** What it is on its way to. */
  next: z.strictObject({ state, stateReason: z.string().optional(), at: z.number() }).optional(),
});
export type Ec2Instance = z.infer<typeof instance>;
export type PutInstance = Pick<Ec2Instance, "id" | "state" | "tags">;

export type StateChange = { id: string; previous: Ec2State; current: Ec2State };

export type Instances = {
  list(): Ec2Instance[];
  /** @throws Ec2Error `InvalidInstanceID.Malformed`, `InvalidInstanceID.NotFound` */
  find(id: string): Ec2Instance;
  /** Adds one, or puts it in the place of the one of its id. */
  put(added: PutInstance): Promise<void>;
  /**
   * One that runs or is about to stays as it is.
   * @param fallsBack instead of running it is stopped again, for this reason
   * @throws Ec2Error `IncorrectInstanceState`, and then none is started
   */
  start(ids: readonly string[], fallsBack?: string): Promise<StateChange[]>;
  /** One that is stopped or is about to stays as it is. @throws Ec2Error `IncorrectInstanceState`, and then none is stopped */
  stop(ids: readonly string[]): Promise<StateChange[]>;
  /** Changes that are under way go on when the folder is opened again. */
  close(): Promise<void>;
};

export type Times = {
  /** From pending to running. */
  startingMs: number;
  /** From stopping to stopped. */
  stoppingMs: number;
};

const maxInstances = 1_000;

/**
 * @param options.file where they are kept
 * @param options.initial those that are there when nothing is kept yet
 * @param options.changed is told of each change of an instance's state
 * @throws Error when the file is damaged
 */
export async function openInstances(
  options: Times & {
    file: string;
    initial: readonly PutInstance[];
    changed: (instance: Ec2Instance) => Promise<void>;
  },
): Promise<Instances> {
  const { startingMs, stoppingMs } = options;
  const launched = (added: PutInstance) => instance.parse({ ...added, launchedAt: Date.now() });
  const file = await openJsonFile(options.file, z.array(instance), options.initial.map(launched));
  const instances = new Map(file.value.map((it) => [it.id, it]));
  const timers = new Map<string, NodeJS.Timeout>();
  const active = new Set<Promise<void>>();
  let closing = false;

  async function set(now: Ec2Instance): Promise<void> {
    const before = instances.get(now.id);
    instances.set(now.id, now);
    waitForNext(now);
    // Told before it is kept: a process that is killed in between does it again and tells it again.
    if (before?.state !== now.state) await options.changed(now);
    await file.replace([...instances.values()]);
  }

  function waitForNext({ next, ...now }: Ec2Instance): void {
    clearTimeout(timers.get(now.id));
    timers.delete(now.id);
    if (!next || closing) return;
    const { at, ...then } = next;
    const arrive = (): void => {
      const arriving = set({ ...now, ...then })
        .catch((error: unknown) => {
          const what = error instanceof Error ? error.message : String(error);
          process.stderr.write(`The local EC2 could not keep the state of ${now.id}: ${what}\n`);
        })
        .finally(() => active.delete(arriving));
      active.add(arriving);
    };
    timers.set(now.id, setTimeout(arrive, Math.max(at - Date.now(), 0)));
  }

  function find(id: string): Ec2Instance {
    if (!instance.shape.id.safeParse(id).success) {
      throw new Ec2Error("InvalidInstanceID.Malformed", `Invalid id: "${id}"`);
    }
    const found = instances.get(id);
    if (found) return found;
    throw new Ec2Error("InvalidInstanceID.NotFound", `The instance ID '${id}' does not exist`);
  }

  async function change(
    ids: readonly string[],
    already: readonly Ec2State[],
    from: Ec2State,
    verb: string,
    to: (it: Ec2Instance) => Ec2Instance,
  ): Promise<StateChange[]> {
    const found = [...new Set(ids)].map(find);
    const wrong = found.find((it) => it.state !== from && !already.includes(it.state));
    if (wrong) {
      const message = `The instance '${wrong.id}' is not in a state from which it can be ${verb}.`;
      throw new Ec2Error("IncorrectInstanceState", message);
    }
    const changes = found.map((it) => ({ it, now: it.state === from ? to(it) : it }));
    await Promise.all(changes.map(({ it, now }) => (it === now ? undefined : set(now))));
    return changes.map(({ it, now }) => ({ id: it.id, previous: it.state, current: now.state }));
  }

  for (const it of instances.values()) waitForNext(it);

  return {
    list: () => [...instances.values()],
    find,
    async put(added) {
      if (instances.size >= maxInstances && !instances.has(added.id)) {
        throw new Error(`The local EC2 has ${maxInstances} instances, its most.`);
      }
      await set(launched(added));
    },
    start: (ids, fallsBack) =>
      change(ids, ["pending", "running"], "stopped", "started", ({ id, tags }) => {
        const launchedAt = Date.now();
        const then: Pick<Ec2Instance, "state" | "stateReason"> =
          fallsBack === undefined ? { state: "running" } : { state: "stopped", stateReason: fallsBack };
        return { id, tags, state: "pending", launchedAt, next: { ...then, at: launchedAt + startingMs } };
      }),
    // EC2 stops a pending instance only if it has run before, and tells so as an incorrect state. Here it never does.
    // https://github.com/cloud-custodian/cloud-custodian/pull/6014
    stop: (ids) =>
      change(ids, ["stopping", "stopped"], "running", "stopped", (it) => {
        const stateReason = "Client.UserInitiatedShutdown";
        const at = Date.now() + stoppingMs;
        return { ...it, state: "stopping", stateReason, next: { state: "stopped", stateReason, at } };
      }),
    async close() {
      closing = true;
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.all(active);
    },
  };
}
