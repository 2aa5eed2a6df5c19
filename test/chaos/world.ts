// The services over the local adapters for any number of plans: for each a database in memory and files of its own, and
// one simulated LibInsight for all.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { deserialize } from "node:v8";
import * as z from "zod/mini";
import { assemblerService } from "../../services/assembler/service.ts";
import { fetcherService } from "../../services/fetcher/service.ts";
import { kickoffService } from "../../services/kickoff/service.ts";
import { send } from "../../services/replay/deadletters.ts";
import { transformerService } from "../../services/transformer/service.ts";
import { datasets, defaultDataset } from "../../shared/datasets.ts";
import { keys } from "../../shared/keys.ts";
import { libInsightClient } from "../../shared/libinsight/client.ts";
import { LocalDatabase } from "../../shared/local/sqlite.ts";
import type { Log } from "../../shared/logger.ts";
import type { Measure } from "../../shared/metrics.ts";
import type { Message, ObjectStore } from "../../shared/ports.ts";
import { runIdOf, runResult } from "../../shared/run.ts";
import { processBatch, type Service } from "../../shared/service.ts";
import { silent } from "../support/local.ts";
import { ScriptedQueryEngine } from "../support/query-engine.ts";
import { Delivery, type Handlers } from "./delivery.ts";
import { Faults, type Injected } from "./faults.ts";
import { type Plan, queues } from "./plan.ts";
import { type Caller, type Clock, createMachine, type Machine, type Ports, portsOf } from "./ports.ts";
import { requestTimeoutMs, startSource } from "./source.ts";
import { assess, busEvent } from "./verdict.ts";

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

/** One a thread, because a timeout of LibInsight's client passes only where a plan lets it. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const { mark = "", logOf = () => silent, measure = () => {}, inspect } = options;
  const credentials = options.credentials ?? { clientId: "chaos-client", clientSecret: "chaos-secret" };
  const folder = await mkdtemp(join(files, "chaos-"));
  const source = await startSource({ credentials, mark });
  let plans = 0;

  async function run(plan: Plan, onCall?: (call: string) => void): Promise<Outcome> {
    plans += 1;
    const faults = new Faults(plan);
    // No request comes from the future.
    const clock = { now: requestedAt + dayMs, busOff: 0 };
    const events: unknown[] = [];
    const deadLetters: DeadLetter[] = [];
    const database = new LocalDatabase(":memory:");
    const files = join(folder, String(plans));
    const machine = createMachine(database, files, clock, (event) => events.push(event));
    const ports = portsOf(machine);
    const { work, data } = ports;
    const shown = source.begin(plan, faults);
    const handlers = handlersOf(machine);
    const outcome: Outcome = { wrong: [], injected: faults.injected, replays: 0, states: [] };
    try {
      const earlier = plan.earlierFile ? earlierFile(plan) : undefined;
      if (earlier !== undefined) await publishEarlier(data, earlier);
      const runIds = await request(plan, machine);
      const delivery = new Delivery({ plan, faults, ports, handlers, clock, mark, onCall });
      await delivery.drain();
      for (let round = 1; ; round++) {
        if (inspect) deadLetters.push(...deadLettersIn(database));
        const moved = await replay(ports, clock);
        outcome.replays += moved.length;
        if (moved.length === 0) break;
        if (round > maxReplayRounds) {
          const errors = [...new Set(moved.map(({ error }) => error))];
          outcome.wrong.push(`dead letters come back after ${maxReplayRounds} replays: ${errors.join()}`);
          break;
        }
        await delivery.drain();
      }
      const { disturbances } = faults;
      const published = events.map((event) => busEvent.parse(event));
      outcome.wrong.push(
        ...(await assess({ runIds, disturbances, shown, work, data, earlier, events: published })),
      );
      for (const runId of runIds)
        outcome.states.push((await work.getJson(keys.result(runId), runResult))?.state ?? "none");
      const texts = events.map((event) => JSON.stringify(event));
      inspect?.({ events: texts, deadLetters, metadata: await metadataIn(data) });
    } catch (error) {
      outcome.wrong.push(error instanceof Error ? error.message : String(error));
    } finally {
      database.close();
      await rm(files, { recursive: true, force: true });
    }
    return outcome;
  }

  function handlersOf(machine: Machine): Handlers {
    // One for each plan, so that no plan begins with another one's token.
    const libInsight = libInsightClient({
      baseUrl: source.baseUrl,
      ...credentials,
      timeoutMs: requestTimeoutMs,
      // A plan's time does not pass by itself.
      sleep: async () => {},
    });
    const now = () => new Date(machine.clock.now);
    const depsOf = ({ work, data, queue, publish }: Ports) => ({
      ...{ work, data, publish, libInsight, measure, now, datasets, tables: new ScriptedQueryEngine() },
      fetcherQueue: queue("fetcher"),
      transformerQueue: queue("transformer"),
      assemblerQueue: queue("assembler"),
    });
    const handler = <T extends z.ZodMiniType>(service: Service<T, ReturnType<typeof depsOf>>) => {
      const { name } = service;
      const common = { log: logOf(name), retryBaseSeconds: 0 };
      return (batch: Message[], caller: Caller) => {
        const ports = portsOf(machine, caller);
        const mailbox = { source: ports.queue(name), deadLetters: ports.deadLetters(name) };
        return processBatch(service, batch, depsOf(ports), { ...common, ...mailbox });
      };
    };
    return {
      kickoff: handler(kickoffService),
      fetcher: handler(fetcherService),
      transformer: handler(transformerService),
      assembler: handler(assemblerService),
    };
  }

  return {
    run,
    async close() {
      await source.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Sends every dead letter back to the queue that it came from. */
async function replay({ queue, deadLetters }: Ports, clock: Clock) {
  const mailboxes = queues.map((name) => ({ name, source: queue(name), deadLetters: deadLetters(name) }));
  const deps = { mailboxes, now: () => new Date(clock.now), waitSeconds: 0 };
  return (await send(deps, { filter: {}, max: maxReplayed })).moved;
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
async function request(plan: Plan, { clock, bus }: Machine): Promise<string[]> {
  const runIds = new Set<string>();
  const { name: dataset } = defaultDataset;
  for (const { id: requestId, day } of plan.requests) {
    runIds.add(runIdOf(dataset, requestId));
    clock.busOff = (day - 1) * dayMs;
    await bus("run.requested", { dataset, reason: "chaos", requestId });
  }
  clock.busOff = 0;
  return [...runIds];
}

/** `attributes`: their names and values as JSON. */
const deadLetter = z.object({
  attributes: z.pipe(
    // None where the queue moved the message after too many receives.
    z.nullable(z.instanceof(Uint8Array)),
    z.transform((bytes) => (bytes ? JSON.stringify(deserialize(bytes)) : "{}")),
  ),
  body: z.string(),
});
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
