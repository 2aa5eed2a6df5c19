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
import { athenaService } from "../../services/athena/service.ts";
import { ec2Service } from "../../services/ec2/service.ts";
import { fetcherService } from "../../services/fetcher/service.ts";
import { kickoffService } from "../../services/kickoff/service.ts";
import { replayService } from "../../services/replay/service.ts";
import { reporterService } from "../../services/reporter/service.ts";
import { tableauService } from "../../services/tableau/service.ts";
import { transformerService } from "../../services/transformer/service.ts";
import { csvRows } from "../../shared/csv.ts";
import { outputColumns } from "../../shared/dataset-schema.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { instanceTag } from "../../shared/instance-settings.ts";
import { keys } from "../../shared/keys.ts";
import { type LibInsightClient, libInsightClient } from "../../shared/libinsight/client.ts";
import { LocalDatabase } from "../../shared/local/sqlite.ts";
import type { Log } from "../../shared/logger.ts";
import { processBatch, type Service } from "../../shared/message-loop.ts";
import { type AssembleTask, fetchTask } from "../../shared/messages.ts";
import type { Measure } from "../../shared/metrics.ts";
import { type Message, messageBody, type ObjectStore } from "../../shared/ports.ts";
import { runIdOf, runResult } from "../../shared/run.ts";
import { queueNames } from "../../shared/topology.ts";
import { silent } from "../support/local-adapters.ts";
import { Delivery, type Handlers } from "./delivery.ts";
import { PlainEngine } from "./engine.ts";
import { type DeployKind, entryWith } from "./entries.ts";
import { collecting, following, type Plan } from "./fault-plan.ts";
import {
  type Caller,
  type Clock,
  createMachine,
  type Forge,
  instanceId,
  type Machine,
  type Ports,
  portsOf,
} from "./faulty-ports.ts";
import { requestTimeoutMs, startSource } from "./faulty-source.ts";
import { Faults, type Injected } from "./injected-faults.ts";
import { Reader } from "./reader.ts";
import { startTableau } from "./tableau-server.ts";
import { approval, assess, busEvent, type Earlier } from "./verdict.ts";
import { type Call, Witness } from "./witness.ts";

/** A request of this day collects all that the simulation has, in three windows. */
const requestedAt = Date.parse("2024-12-02T12:00:00Z");
const dayMs = 24 * 3600 * 1000;
/** Until a person sends dead letters back; longer than the services' claims. */
const replayAfterMs = 5 * 60_000;
/** Each round of replays uses up faults, and a plan has few. */
const maxReplayRounds = 60;
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
  /** See `MachineOptions`. */
  forge?: Forge;
};

export type World = {
  /** @param onCall see `DeliveryOptions` */
  run(plan: Plan, onCall?: (call: string) => void): Promise<Outcome>;
  close(): Promise<void>;
};

/** One a thread, because a timeout of LibInsight's client passes only where a plan lets it. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const { mark = "", logOf = () => silent, measure = () => {}, inspect, forge = (_, text) => text } = options;
  const credentials = options.credentials ?? { clientId: "chaos-client", clientSecret: "chaos-secret" };
  const folder = await mkdtemp(join(files, "chaos-"));
  const source = await startSource({ credentials, mark });
  let witness = new Witness(entryWith(new Set()));
  const tableau = await startTableau(() => witness.refreshed());
  let plans = 0;

  async function run(plan: Plan, onCall?: (call: string) => void): Promise<Outcome> {
    plans += 1;
    const faults = new Faults(plan);
    const clock = { now: requestedAt, busOff: 0 };
    const events: unknown[] = [];
    const deadLetters: DeadLetter[] = [];
    const changes = new Set<DeployKind>();
    const entry = entryWith(changes);
    witness = new Witness(entry);
    const database = new LocalDatabase(":memory:");
    const files = join(folder, String(plans));
    const machine = createMachine({
      ...{ database, clock, faults, folder: files, duckDb: plan.duckDb, forge },
      publishedCsv: entry.publish.csv,
      onEvent: (event) => events.push(event),
    });
    const ports = portsOf(machine);
    source.begin(plan, faults, witness);
    const outcome: Outcome = { wrong: [], injected: faults.injected, replays: 0, states: [] };
    const reader = new Reader(ports, entry);
    const queues = plan.follows ? [...collecting, ...following] : [...collecting, "replay" as const];
    try {
      const earlier = earlierFile(plan);
      if (earlier) await publishEarlier(ports.data, entry.publish.csv, earlier);
      await machine.instances.put(instanceId, "stopped", { [instanceTag.key]: instanceTag.value });
      const runIds = await request(plan, machine);
      const { engine } = machine;
      const delivery = new Delivery({
        ...{ plan, faults, ports, clock, mark, onCall, queues },
        handlers: handlersOf(machine, witness),
        aside: () => (engine instanceof PlainEngine ? engine.next() : undefined),
        onTurn: () => {
          for (const { at, kind } of faults.nextTurn()) {
            faults.happened(`${at} ${kind}`);
            if (at === "clock") clock.now += jumps[kind];
            else {
              if (!changes.delete(kind)) changes.add(kind);
              witness.deploy(entryWith(changes));
            }
          }
        },
        afterStep: () => reader.look(),
        advance: () => advance(database, clock, queues),
      });
      const settle = async (): Promise<number> => {
        let sentBackAt = Number.POSITIVE_INFINITY;
        for (let round = 0; ; round++) {
          await delivery.drain();
          const found = deadLettersIn(database);
          if (inspect) deadLetters.push(...found);
          const mayPass = found.filter(({ attributes }) => !refusals.test(attributes));
          outcome.replays += mayPass.length;
          if (found.length === 0 || (mayPass.length === 0 && round > 0)) return sentBackAt;
          if (round === maxReplayRounds) {
            const last = mayPass.map(({ attributes }) => attributes);
            outcome.wrong.push(`dead letters come back after ${round} replays: ${last.join()}`);
            return sentBackAt;
          }
          clock.now += replayAfterMs;
          sentBackAt = clock.now;
          await askForReplay(machine);
        }
      };
      const refusedAt = await settle();
      if (plan.approves) {
        await approve(runIds, ports, entry.name);
        await settle();
      }
      outcome.wrong.push(
        ...reader.wrong,
        ...(await assess({
          ...{ plan, runIds, witness, earlier, faults, refusedAt, left: leftIn(database, queues) },
          ...{ ports, notifications: machine.notifications },
          events: events.map((event) => busEvent.parse(event)),
        })),
      );
      for (const runId of runIds)
        outcome.states.push((await ports.work.getJson(keys.result(runId), runResult))?.state ?? "none");
      const texts = events.map((event) => JSON.stringify(event));
      inspect?.({ events: texts, deadLetters, metadata: await metadataIn(ports.data) });
    } catch (error) {
      outcome.wrong.push(error instanceof Error ? error.message : String(error));
    } finally {
      await machine.engine.close();
      database.close();
      await rm(files, { recursive: true, force: true });
    }
    return outcome;
  }

  function handlersOf(machine: Machine, witness: Witness): Handlers {
    // One for each plan, so that no plan begins with another one's token.
    const client = libInsightClient({
      ...{ ...credentials, baseUrl: source.baseUrl, timeoutMs: requestTimeoutMs },
      // A plan's time does not pass by itself.
      sleep: async () => {},
    });
    const depsOf = ({ queue, deadLetters, ...ports }: Ports, batch: Message[], { entry }: Call) => ({
      ...{ ...ports, measure, now: () => new Date(machine.clock.now) },
      datasets: [entry],
      tables: ports.engine,
      libInsight: witnessed(client, batch, witness),
      fetcherQueue: queue("fetcher"),
      transformerQueue: queue("transformer"),
      assemblerQueue: queue("assembler"),
      athenaQueue: queue("athena"),
      ec2Queue: queue("ec2"),
      queuePairs: queueNames.map((name) => ({ name, source: queue(name), deadLetters: deadLetters(name) })),
      waitSeconds: 0,
      ...{ stage: "chaos", team: "tagged" as const, checkSeconds: 60 },
      ...{ tableau: tableau.settings, hasTableau: true, tokenSecret: () => "chaos-token" },
      ...{ requestTimeoutMs: 10_000, refreshTimeoutMs: 60_000, pauseMs: 0 },
    });
    const handler = <T extends z.ZodMiniType>(service: Service<T, ReturnType<typeof depsOf>>) => {
      const { name } = service;
      const common = { log: logOf(name), retryBaseSeconds: 0 };
      return (batch: Message[], caller: Caller) => {
        const call = witness.begin(name);
        const ports = portsOf(machine, caller, (bucket, key) => witness.wrote({ bucket }, key, call));
        const mailbox = { source: ports.queue(name), deadLetters: ports.deadLetters(name) };
        return processBatch(service, batch, depsOf(ports, batch, call), { ...common, ...mailbox });
      };
    };
    return {
      kickoff: handler(kickoffService),
      fetcher: handler(fetcherService),
      transformer: handler(transformerService),
      assembler: handler(assemblerService),
      athena: handler(athenaService),
      tableau: handler(tableauService),
      reporter: handler(reporterService),
      ec2: handler(ec2Service),
      replay: handler(replayService),
    };
  }

  return {
    run,
    async close() {
      await tableau.close();
      await source.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** These stay: a run of the future, and one that was held by another entry than the one that is deployed. */
const refusals = /"Error":"(RequestFromTheFuture|EntryChanged)"/;

/** A person publishes every run that is held. */
async function approve(runIds: readonly string[], { work, queue }: Ports, dataset: string): Promise<void> {
  for (const runId of runIds) {
    const result = await work.getJson(keys.result(runId), runResult);
    if (result?.state !== "held") continue;
    const task: AssembleTask = { runId, dataset, attempt: result.attempt, force: approval };
    await queue("assembler").send(messageBody(task), { group: dataset, deduplicationId: `${runId}-force` });
  }
}

/** Longer than the queues' windows of deduplication and the services' claims; a day; and back. */
const jumps = { minutes: 6 * 60_000, "a day": dayMs, back: -10 * 60_000 } as const;

function leftIn(database: LocalDatabase, queues: readonly string[]): string[] {
  const found = database.prepare("SELECT DISTINCT queue FROM message").all();
  return found.map(({ queue }) => String(queue)).filter((queue) => queues.includes(queue));
}

/** The clock goes to where the next delayed message is due. */
function advance(database: LocalDatabase, clock: Clock, queues: readonly string[]): boolean {
  const places = queues.map(() => "?").join();
  const found = database
    .prepare(`SELECT min(due) AS due FROM message WHERE queue IN (${places})`)
    .get(...queues);
  if (typeof found?.due !== "number") return false;
  clock.now = Math.max(clock.now, found.due);
  return true;
}

/** A client whose pages the witness learns of. A fetcher handles one message, and one request is under way at a time. */
function witnessed(client: LibInsightClient, [message]: Message[], witness: Witness): LibInsightClient {
  return {
    async fetchPage(request) {
      const page = await client.fetchPage(request);
      const task = fetchTask.parse(JSON.parse(message?.body ?? ""));
      const address = { runId: task.runId, window: task.window.number, attempt: task.attempt };
      if (task.recount === undefined) witness.took({ ...address, page: task.page });
      else witness.recounted(address);
      return page;
    },
  };
}

/** An operator's request sends every dead letter back to its queue; the replay service's own are named. */
async function askForReplay({ bus }: Machine): Promise<void> {
  await bus("deadletter.replay.requested", { reason: "chaos" });
  await bus("deadletter.replay.requested", { queue: "replay", reason: "chaos" });
}

/** An earlier run's file, or the predecessor's with other columns. */
function earlierFile({ records, earlierFile: kind }: Plan): Earlier | undefined {
  if (kind === "none") return undefined;
  const isOurs = kind !== "foreign";
  const [header] = csvRows([outputColumns(defaultDataset.columns)]).split("\n");
  const first = isOurs ? header : '"_id","_start_date","Location"';
  const row = isOurs ? `1,"2021-12-02 00:00:00"${',""'.repeat(12)}` : '1,"2021-12-02 00:00:00",""';
  const rows = kind === "larger" ? 2 * records : records;
  return { csv: `${first}\n${`${row}\n`.repeat(rows)}`, rows, isOurs };
}

async function publishEarlier(data: ObjectStore, key: string, { csv, isOurs }: Earlier): Promise<void> {
  await data.upload(key, Readable.from([Buffer.from(csv)]), {
    contentType: "text/csv",
    metadata: isOurs ? { "run-id": "earlier", "requested-at": "2024-11-01T12:00:00Z" } : {},
    condition: "absent",
  });
}

/** Publishes the plan's requests on the bus, each by its own clock. @returns the ids of the runs that they ask for */
async function request(plan: Plan, { clock, bus }: Machine): Promise<string[]> {
  const runIds = new Set<string>();
  const { name: dataset } = defaultDataset;
  if (plan.instance) await bus("instance.start.requested", { dataset, reason: "chaos" });
  for (const { id: requestId, day, skips } of plan.requests) {
    runIds.add(runIdOf(dataset, requestId));
    clock.busOff = day * dayMs;
    const skipComparison = skips ? { skipComparison: "named dates" } : {};
    await bus("run.requested", { dataset, reason: "chaos", requestId, ...skipComparison });
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
