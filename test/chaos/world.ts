// The services over the local adapters for any number of plans: for each a database in memory and files of its own, and
// one simulated LibInsight for all.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import * as z from "zod/mini";
import { assemblerService } from "../../services/assembler/service.ts";
import { fetcherService } from "../../services/fetcher/service.ts";
import { kickoffService } from "../../services/kickoff/service.ts";
import { send } from "../../services/replay/deadletters.ts";
import { transformerService } from "../../services/transformer/service.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import { type LibInsightClient, libInsightClient } from "../../shared/libinsight/client.ts";
import { LocalDatabase } from "../../shared/local/sqlite.ts";
import type { Log } from "../../shared/logger.ts";
import type { Measure } from "../../shared/metrics.ts";
import type { Message, ObjectStore } from "../../shared/ports.ts";
import { runIdOf, runResult } from "../../shared/run.ts";
import { processBatch, type Service } from "../../shared/service.ts";
import { Delivery, type Handlers } from "./delivery.ts";
import { Faults, type Injected } from "./faults.ts";
import { type Plan, queues } from "./plan.ts";
import { type Caller, createMachine, type Machine, type Ports, portsOf } from "./ports.ts";
import { requestTimeoutMs, type Shown, startSource } from "./source.ts";
import { assess } from "./verdict.ts";

/** A request of this day collects all that the simulation has, in three windows. */
const requestedAt = Date.parse("2024-12-02T12:00:00Z");
const dayMs = 24 * 3600 * 1000;
/** Each round of replays uses up faults, and a plan has few. */
const maxReplayRounds = 12;
const maxReplayed = 10_000;
const maxObjects = 10_000;
/** In memory where there is such a folder (Linux): the local store syncs every file. */
const files = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

export type Outcome = {
  /** What is wrong, one sentence each; none where the plan ended as it has to. */
  wrong: string[];
  injected: Injected;
  /** Dead letters that were sent back. */
  replays: number;
  /** Of its runs. */
  states: string[];
};

/** What a plan left: events, dead letters, and the metadata of published files. */
export type Left = { events: string[]; deadLetters: DeadLetter[]; metadata: Record<string, string>[] };

export type WorldOptions = {
  credentials?: { clientId: string; clientSecret: string };
  /** Put into everything that LibInsight returns, and into the ports' errors. */
  mark?: string;
  logOf?: (service: string) => Log;
  measure?: Measure;
  inspect?: (left: Left) => void;
};

export type World = {
  /** @param onCall see `DeliveryOptions` */
  run(plan: Plan, onCall?: (call: string) => void): Promise<Outcome>;
  close(): Promise<void>;
};

/** One plan's surroundings. */
type Stage = {
  machine: Machine;
  plan: Plan;
  faults: Faults;
  events: unknown[];
  libInsight: LibInsightClient;
  shown: Shown;
  onCall: ((call: string) => void) | undefined;
};

const silent: Log = { info: () => {}, warn: () => {}, error: () => {} };

/** One a process, because a timeout of LibInsight's client passes only where a plan lets it. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const credentials = options.credentials ?? { clientId: "chaos-client", clientSecret: "chaos-secret" };
  const folder = await mkdtemp(join(files, "chaos-"));
  const source = await startSource({ credentials, mark: options.mark ?? "" });
  let plans = 0;
  return {
    async run(plan, onCall) {
      plans += 1;
      const faults = new Faults(plan);
      const events: unknown[] = [];
      const machine = createMachine(
        new LocalDatabase(":memory:"),
        join(folder, String(plans)),
        { now: requestedAt, busOff: 0 },
        (event) => events.push(event),
      );
      const stage: Stage = {
        ...{ plan, faults, events, onCall, machine },
        // A client of its own, so that no plan begins with another one's token.
        libInsight: libInsightClient({
          baseUrl: source.baseUrl,
          ...credentials,
          timeoutMs: requestTimeoutMs,
        }),
        shown: source.begin(plan, faults),
      };
      const outcome: Outcome = { wrong: [], injected: faults.injected, replays: 0, states: [] };
      try {
        await play(stage, options, outcome);
      } catch (error) {
        outcome.wrong.push(error instanceof Error ? error.message : String(error));
      } finally {
        machine.database.close();
        await rm(machine.folder, { recursive: true, force: true });
      }
      return outcome;
    },
    async close() {
      await source.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function play(stage: Stage, options: WorldOptions, outcome: Outcome): Promise<void> {
  const { plan, faults, events, machine } = stage;
  const ports = portsOf(machine);
  const { work, data } = ports;
  const earlier = plan.earlierFile ? earlierFile(plan) : undefined;
  if (earlier !== undefined) await publishEarlier(data, earlier);
  const runIds = await request(stage);
  const handlers = handlersOf(stage, options);
  const delivery = new Delivery({
    ...stage,
    clock: machine.clock,
    ports,
    handlers,
    mark: options.mark ?? "",
  });
  const mailboxes = queues.map((name) => ({
    name,
    source: ports.queue(name),
    deadLetters: ports.deadLetters(name),
  }));
  const deadLetters: DeadLetter[] = [];
  await delivery.drain();
  for (let round = 1; ; round++) {
    if (options.inspect) deadLetters.push(...deadLettersIn(machine.database));
    const replay = { mailboxes, now: () => new Date(machine.clock.now), waitSeconds: 0 };
    const { moved } = await send(replay, { filter: {}, max: maxReplayed });
    outcome.replays += moved.length;
    if (moved.length === 0) break;
    if (round > maxReplayRounds) {
      const errors = [...new Set(moved.map(({ error }) => error))];
      outcome.wrong.push(`dead letters come back after ${maxReplayRounds} replays: ${errors.join()}`);
      break;
    }
    await delivery.drain();
  }
  outcome.wrong.push(
    ...(await assess({
      runIds,
      disturbances: faults.disturbances,
      source: stage.shown,
      work,
      data,
      earlier,
      events: events.map(eventOf),
    })),
  );
  for (const runId of runIds)
    outcome.states.push((await work.getJson(keys.result(runId), runResult))?.state ?? "none");
  options.inspect?.({
    events: events.map((event) => JSON.stringify(event)),
    deadLetters,
    metadata: await metadataIn(data),
  });
}

const busEvent = z.object({ "detail-type": z.string(), detail: z.object({ runId: z.optional(z.string()) }) });

function eventOf(event: unknown): { type: string; runId: string | undefined } {
  const { "detail-type": type, detail } = busEvent.parse(event);
  return { type, runId: detail.runId };
}

function handlersOf(
  { libInsight, machine }: Stage,
  { logOf = () => silent, measure = () => {} }: WorldOptions,
): Handlers {
  const now = () => new Date(machine.clock.now);
  const depsOf = ({ work, data, queue, publish }: Ports) => ({
    ...{ work, data, publish, libInsight, measure, now },
    fetcherQueue: queue("fetcher"),
    transformerQueue: queue("transformer"),
    assemblerQueue: queue("assembler"),
  });
  const handler = <T extends z.ZodMiniType>(service: Service<T, ReturnType<typeof depsOf>>) => {
    const log = logOf(service.name);
    return (batch: Message[], caller: Caller) => {
      const ports = portsOf(machine, caller);
      const batchDeps = {
        source: ports.queue(service.name),
        deadLetters: ports.deadLetters(service.name),
        ...{ log, retryBaseSeconds: 0 },
      };
      return processBatch(service, batch, depsOf(ports), batchDeps);
    };
  };
  return {
    kickoff: handler(kickoffService),
    fetcher: handler(fetcherService),
    transformer: handler(transformerService),
    assembler: handler(assemblerService),
  };
}

/** As an earlier run with as many rows left it. */
function earlierFile({ records }: Plan): string {
  return "an earlier file\n".repeat(records + 1);
}

async function publishEarlier(data: ObjectStore, file: string): Promise<void> {
  await data.upload(defaultDataset.publish.csv, Readable.from([Buffer.from(file)]), {
    contentType: "text/csv",
    metadata: { "run-id": "earlier", "requested-at": "2024-11-01T12:00:00Z" },
    condition: "absent",
  });
}

/** Publishes the plan's requests on the bus, each by its own clock. @returns the ids of the runs that they ask for */
async function request({ plan, machine }: Stage): Promise<string[]> {
  const runIds = new Set<string>();
  const { name: dataset } = defaultDataset;
  for (const { id: requestId, day } of plan.requests) {
    runIds.add(runIdOf(dataset, requestId));
    machine.clock.busOff = day * dayMs;
    await machine.bus("run.requested", { dataset, reason: "chaos", requestId });
  }
  machine.clock.busOff = 0;
  return [...runIds];
}

const deadLetter = z.object({ attributes: z.string(), body: z.string() });
type DeadLetter = z.infer<typeof deadLetter>;

function deadLettersIn(database: LocalDatabase): DeadLetter[] {
  return database
    .prepare(
      "SELECT attributes, text AS body FROM message JOIN body USING (id) WHERE queue LIKE '%-dead-letters'",
    )
    .all()
    .map((row) => deadLetter.parse(row));
}

async function metadataIn(store: ObjectStore): Promise<Record<string, string>[]> {
  const found = await store.list("", maxObjects);
  return Promise.all(found.map(async (key) => (await store.head(key))?.metadata ?? {}));
}
