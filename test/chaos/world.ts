// The services over the local adapters for any number of plans: a database in memory and files of its own for each, and
// one simulated LibInsight for all.
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
import { addToDate } from "../../shared/dates.ts";
import { keys } from "../../shared/keys.ts";
import { type LibInsightClient, libInsightClient } from "../../shared/libinsight/client.ts";
import { localPublisher } from "../../shared/local/local-bus.ts";
import { LocalDatabase } from "../../shared/local/sqlite.ts";
import type { Log } from "../../shared/logger.ts";
import type { Measure } from "../../shared/metrics.ts";
import type { Message, ObjectStore } from "../../shared/ports.ts";
import { runIdOf, runResult } from "../../shared/run.ts";
import { type BatchDeps, processBatch, type Service } from "../../shared/service.ts";
import { Delivery, type Handlers } from "./delivery.ts";
import { Faults, type Injected } from "./faults.ts";
import { type Plan, queues } from "./plan.ts";
import { type Caller, type MachineOptions, type Ports, portsOf } from "./ports.ts";
import { requestTimeoutMs, startSource } from "./source.ts";
import { assess } from "./verdict.ts";

/** A request of this day collects all that the simulation has, in three windows. */
const requestDay = "2024-12-02";
/** Each round of replays uses up faults, and a plan has few. */
const maxReplayRounds = 12;
const maxReplayed = 10_000;
const maxObjects = 10_000;

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

export type World = { run(plan: Plan): Promise<Outcome>; close(): Promise<void> };

const silent: Log = { info: () => {}, warn: () => {}, error: () => {} };
const busEvent = z.object({ "detail-type": z.string(), detail: z.object({ runId: z.optional(z.string()) }) });

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const { mark = "", inspect } = options;
  const credentials = options.credentials ?? { clientId: "chaos-client", clientSecret: "chaos-secret" };
  const folder = await mkdtemp(join(tmpdir(), "chaos-"));
  const source = await startSource({ credentials, mark });
  let plans = 0;

  async function run(plan: Plan): Promise<Outcome> {
    plans += 1;
    const clock = { ms: Date.parse(`${requestDay}T12:00:00Z`) };
    const events: unknown[] = [];
    const machine: MachineOptions = {
      database: new LocalDatabase(":memory:"),
      folder: join(folder, String(plans)),
      now: () => clock.ms,
      onEvent: (event) => events.push(event),
    };
    const ports = portsOf(machine);
    const { work, data } = ports;
    const faults = new Faults(plan);
    const shown = source.begin(plan, faults);
    const libInsight = libInsightClient({
      baseUrl: source.baseUrl,
      ...credentials,
      timeoutMs: requestTimeoutMs,
    });
    const handlers = handlersOf(machine, libInsight, options);
    const deadLetters: DeadLetter[] = [];
    const wrong: string[] = [];
    const states: string[] = [];
    let replays = 0;
    try {
      if (plan.earlierFile) await publishEarlier(data, earlierFile(plan));
      const runIds = await request(plan, machine, ports);
      const delivery = new Delivery({ plan, faults, ports, handlers, clock, mark });
      await delivery.drain();
      for (let round = 1; ; round++) {
        if (inspect) deadLetters.push(...deadLettersIn(machine.database));
        const moved = await replay(ports, clock);
        replays += moved.length;
        if (moved.length === 0) break;
        if (round > maxReplayRounds) {
          const errors = [...new Set(moved.map(({ error }) => error))];
          wrong.push(`dead letters come back after ${maxReplayRounds} replays: ${errors.join()}`);
          break;
        }
        await delivery.drain();
      }
      const published = events.map((event) => busEvent.parse(event));
      wrong.push(
        ...(await assess({
          plan,
          runIds,
          source: shown,
          work,
          data,
          earlier: plan.earlierFile ? earlierFile(plan) : undefined,
          events: published.map((event) => ({ type: event["detail-type"], runId: event.detail.runId })),
        })),
      );
      for (const runId of runIds)
        states.push((await work.getJson(keys.result(runId), runResult))?.state ?? "none");
      inspect?.({
        events: events.map((event) => JSON.stringify(event)),
        deadLetters,
        metadata: await metadataIn(data),
      });
    } catch (error) {
      wrong.push(error instanceof Error ? error.message : String(error));
    } finally {
      machine.database.close();
      await rm(machine.folder, { recursive: true, force: true });
    }
    return { wrong, injected: faults.injected, replays, states };
  }

  return {
    run,
    async close() {
      await source.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function handlersOf(
  machine: MachineOptions,
  libInsight: LibInsightClient,
  { logOf = () => silent, measure = () => {} }: WorldOptions,
): Handlers {
  const handler = <T extends z.ZodMiniType, Deps>(
    service: Service<T, Deps>,
    depsOf: (ports: Ports) => Deps,
  ) => {
    const log = logOf(service.name);
    return (batch: Message[], caller: Caller) => {
      const ports = portsOf(machine, caller);
      const source = ports.queues[service.name];
      const deps: BatchDeps = {
        source,
        deadLetters: ports.deadLetters[service.name],
        log,
        retryBaseSeconds: 0,
      };
      return processBatch(service, batch, depsOf(ports), deps);
    };
  };
  const now = () => new Date(machine.now());
  return {
    kickoff: handler(kickoffService, ({ work, queues: { fetcher: fetcherQueue }, publish }) => ({
      work,
      fetcherQueue,
      publish,
    })),
    fetcher: handler(fetcherService, ({ work, queues: { fetcher, transformer } }) => ({
      libInsight,
      work,
      fetcherQueue: fetcher,
      transformerQueue: transformer,
      measure,
    })),
    transformer: handler(transformerService, ({ work, queues: { assembler: assemblerQueue }, publish }) => ({
      work,
      assemblerQueue,
      publish,
    })),
    assembler: handler(assemblerService, ({ work, data, queues: { fetcher: fetcherQueue }, publish }) => ({
      work,
      data,
      fetcherQueue,
      publish,
      now,
    })),
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

/** Publishes the plan's requests on the bus. @returns the ids of the runs that they ask for */
async function request(plan: Plan, { database }: MachineOptions, { queues }: Ports): Promise<string[]> {
  const runIds = new Set<string>();
  for (const { id: requestId, day } of plan.requests) {
    runIds.add(runIdOf(defaultDataset.name, requestId));
    const now = () => new Date(`${addToDate(requestDay, { days: day })}T12:00:00Z`);
    const publish = localPublisher({ database, queues, now });
    await publish("run.requested", { dataset: defaultDataset.name, reason: "chaos", requestId });
  }
  return [...runIds];
}

/** Sends every dead letter back to the queue that it came from. */
async function replay(ports: Ports, clock: { ms: number }) {
  const mailboxes = queues.map((name) => ({
    name,
    source: ports.queues[name],
    deadLetters: ports.deadLetters[name],
  }));
  const deps = { mailboxes, now: () => new Date(clock.ms), waitSeconds: 0 };
  const { moved } = await send(deps, { filter: {}, max: maxReplayed });
  return moved;
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
