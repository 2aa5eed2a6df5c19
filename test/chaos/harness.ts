// Runs plans: the services on local adapters, with a database in memory and a folder for each plan, and one simulated
// LibInsight for all plans.

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { inspect } from "node:util";
import { deserialize } from "node:v8";
import * as z from "zod/mini";
import { library } from "#library";
import { csvRows } from "../../shared/csv.ts";
import { type Dataset, outputColumns } from "../../shared/dataset-schema.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { addDays } from "../../shared/dates.ts";
import { keys } from "../../shared/keys.ts";
import { type LibInsightClient, libInsightClient } from "../../shared/libinsight/client.ts";
import { LocalDatabase } from "../../shared/local/sqlite.ts";
import type { Log } from "../../shared/logger.ts";
import { processBatch } from "../../shared/message-loop.ts";
import { type AssembleTask, fetcherTask, fetchTask, pageAddress } from "../../shared/messages.ts";
import { type Message, messageBody, type ObjectStore } from "../../shared/ports.ts";
import type { Profile } from "../../shared/profile.ts";
import { runIdOf, runResult } from "../../shared/run.ts";
import type { EndedSpan } from "../../shared/trace.ts";
import { lastDay } from "../../stacks/local/libinsight.ts";
import { forEveryService, queueDeps } from "../support/every-service.ts";
import { Chains } from "./chains.ts";
import { Delivery, type Handlers } from "./delivery.ts";
import { PlainEngine } from "./engine.ts";
import { type DeployKind, entryWith } from "./entries.ts";
import { collectingQueues, downstreamQueues, type Plan, undisturbed } from "./fault-plan.ts";
import {
  type Caller,
  type Clock,
  createMachine,
  instanceId,
  type Machine,
  type Ports,
  portsOf,
  type Tamper,
} from "./faulty-ports.ts";
import { requestTimeoutMs, startSource } from "./faulty-source.ts";
import { type Call, History } from "./history.ts";
import { Faults, type Injected } from "./injected-faults.ts";
import { noOutputs, type Outputs, plantedInErrors } from "./planted.ts";
import { Reader } from "./reader.ts";
import { dateFields } from "./statistic-rows.ts";
import { startTableau } from "./tableau-server.ts";
import { traceProblems } from "./trace-problems.ts";
import { approval, assess, busEvent, type Earlier } from "./verdict.ts";

const { tag } = library.instances;
/** A request on this day collects all records of the simulation, in three windows. */
const requestedAt = Date.parse("2024-12-02T12:00:00Z");
const dayMs = 24 * 3600 * 1000;
/** The time until an operator replays dead letters. It is longer than the services' claims. */
const replayAfterMs = 5 * 60_000;
/** Enough rounds for all faults of a plan, because each round uses up some of them. */
const maxReplayRounds = 60;
const maxObjects = 10_000;
/** A folder in memory if the system has one (Linux), because the local store syncs every file to disk. */
const files = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

export type Outcome = {
  /** The problems, one sentence each; none if the plan ended correctly. */
  wrong: string[];
  injected: Injected;
  /** The number of replayed dead letters. */
  replays: number;
  /** See `Verdict`. */
  excused: number;
  reused: number;
  /** The state of each run. */
  states: string[];
};

export type HarnessOptions = {
  credentials?: { clientId: string; clientSecret: string };
  /** The text of every field of LibInsight's records, and of the ports' errors. By default, words are planted in some. */
  mark?: string;
  /** Called at the end of each plan. @param bodies of all dead letters */
  onOutputs?: (outputs: Outputs, bodies: readonly string[]) => void;
  /** See `MachineOptions`. */
  tamper?: Tamper;
};

export type Harness = {
  /** @param onCall see `DeliveryOptions` */
  run(plan: Plan, onCall?: (call: string) => void): Promise<Outcome>;
  close(): Promise<void>;
};

/** Starts the harness. A thread may have only one, because it mocks the timers of its thread. */
export async function startHarness(options: HarnessOptions = {}): Promise<Harness> {
  const { mark, onOutputs, tamper = (_, text) => text } = options;
  const errorText = mark ?? plantedInErrors;
  const credentials = options.credentials ?? { clientId: "chaos-client", clientSecret: "chaos-secret" };
  const folder = await mkdtemp(join(files, "chaos-"));
  const source = await startSource({ credentials, mark, errorText });
  let history = new History(entryWith(new Set(), undisturbed));
  const tableau = await startTableau(() => history.recordRefresh());
  let plans = 0;

  async function run(plan: Plan, onCall?: (call: string) => void): Promise<Outcome> {
    plans += 1;
    const faults = new Faults(plan);
    const clock = { now: requestedAt, busOffset: 0 };
    const events: unknown[] = [];
    const spans: EndedSpan[] = [];
    const outputs = noOutputs();
    const bodies: string[] = [];
    const changes = new Set<DeployKind>();
    const entry = entryWith(changes, plan);
    history = new History(entry);
    const database = new LocalDatabase(":memory:");
    const files = join(folder, String(plans));
    const machine = createMachine({
      ...{ database, clock, faults, folder: files, duckDb: plan.duckDb },
      tamper: (key, text) => {
        const tampered = tamper(key, text);
        if (tampered !== undefined) outputs.objects.push({ key, text: tampered });
        return tampered;
      },
      publishedCsv: entry.publish.csv,
      onEvent: (event) => events.push(event),
    });
    const ports = portsOf(machine);
    const changeRecords = source.begin(plan, faults, history);
    const outcome: Outcome = {
      ...{ wrong: [], injected: faults.injected, replays: 0, excused: 0, reused: 0, states: [] },
    };
    const reader = new Reader(ports, entry);
    const queues = plan.follows
      ? [...collectingQueues, ...downstreamQueues]
      : [...collectingQueues, "replay" as const];
    try {
      const earlier = earlierFile(plan, entry.columns);
      if (earlier)
        await publishEarlier(
          ports,
          entry.publish.csv,
          earlier,
          plan.planned ? profileOf(plan, history) : undefined,
        );
      await machine.instances.put(instanceId, "stopped", { [tag.key]: tag.value });
      const runIds = await requestRuns(plan, machine);
      const { engine } = machine;
      const chains = new Chains();
      const delivery = new Delivery({
        ...{ plan, faults, ports, clock, errorText, onCall, queues },
        handlers: handlersOf(machine, history, chains, outputs, (span) => spans.push(span)),
        background: () => (engine instanceof PlainEngine ? engine.next() : undefined),
        onTurn: () => {
          for (const { at, kind } of faults.nextTurn()) {
            faults.countInjected(`${at} ${kind}`);
            if (at === "clock") clock.now += clockJumps[kind];
            else {
              if (!changes.delete(kind)) changes.add(kind);
              history.deploy(entryWith(changes, plan));
            }
          }
        },
        afterStep: () => reader.check(),
        advance: () => advance(database, clock, queues),
      });
      const settle = async (): Promise<number> => {
        let replayedAt = Number.POSITIVE_INFINITY;
        for (let round = 0; ; round++) {
          await delivery.drain();
          const found = deadLettersIn(database);
          outputs.attributes.push(...found.map(({ attributes }) => attributes));
          bodies.push(...found.map(({ body }) => body));
          const toReplay = found.filter(({ attributes }) => !permanentErrors.test(attributes));
          outcome.replays += toReplay.length;
          if (found.length === 0 || (toReplay.length === 0 && round > 0)) return replayedAt;
          if (round === maxReplayRounds) {
            const last = toReplay.map(({ attributes }) => attributes);
            outcome.wrong.push(`dead letters remain after ${round} replays: ${last.join()}`);
            return replayedAt;
          }
          clock.now += replayAfterMs;
          replayedAt = clock.now;
          await requestReplay(machine);
        }
      };
      const end = async (): Promise<number> => {
        const replayedAt = await settle();
        if (plan.approves && (await approve(runIds, ports, entry.name))) await settle();
        return replayedAt;
      };
      let refusedAt = await end();
      for (const [n, later] of plan.later.entries()) {
        faults.restart(later);
        changeRecords(later.changes);
        expireKept(later, database, history);
        clock.now += later.days * dayMs;
        runIds.push(await requestRun(`later-${n}`, machine, later.full ? { full: true } : {}));
        refusedAt = await end();
      }
      outputs.events.push(...events.map((event) => JSON.stringify(event)));
      outputs.spans.push(...spans.map((span) => JSON.stringify(span)));
      outputs.notifications.push(...machine.notifications.map((each) => JSON.stringify(each)));
      outputs.metadata.push(...(await metadataIn(ports.data)), ...(await metadataIn(ports.results)));
      const verdict = await assess({
        ...{ plan, runIds, history, earlier, faults, refusedAt, outputs },
        nonEmptyQueues: queuesWithMessages(database, queues),
        ...{ ports, notifications: machine.notifications },
        events: events.map((event) => busEvent.parse(event)),
      });
      outcome.excused = verdict.excused;
      outcome.reused = verdict.reused;
      outcome.wrong.push(
        ...reader.wrong,
        ...chains.wrong,
        ...verdict.wrong,
        ...(await traceProblems(runIds, spans, ports.work)),
      );
      for (const runId of runIds)
        outcome.states.push((await ports.work.getJson(keys.result(runId), runResult))?.state ?? "none");
      onOutputs?.(outputs, bodies);
    } catch (error) {
      outcome.wrong.push(error instanceof Error ? error.message : String(error));
    } finally {
      await machine.engine.close();
      database.close();
      // After an error a handler may still write here. `close` removes what is left.
      await rm(files, { recursive: true, force: true }).catch(() => {});
    }
    return outcome;
  }

  function handlersOf(
    machine: Machine,
    history: History,
    chains: Chains,
    { logs, metrics }: Outputs,
    onSpan: (span: EndedSpan) => void,
  ): Handlers {
    // Each plan has its own client, so that no plan begins with another one's token.
    const client = libInsightClient({
      ...{ ...credentials, baseUrl: source.baseUrl, timeoutMs: requestTimeoutMs },
      // The plan's clock advances only by its steps.
      sleep: async () => {},
    });
    const depsOf = (
      { queue, deadLetters, ...ports }: Ports,
      batch: Message[],
      caller: Caller,
      { entry }: Call,
    ) => ({
      ...{ ...ports, now: () => new Date(machine.clock.now) },
      measure: (...numbers: unknown[]) => {
        metrics.push(JSON.stringify(numbers));
      },
      datasets: [entry],
      tables: ports.engine,
      libInsight: recordedClient(client, batch, caller, history),
      ...queueDeps(queue, deadLetters),
      waitSeconds: 0,
      ...{ stage: "chaos", team: "tagged" as const, isScheduled: true, checkSeconds: 60 },
      ...{
        tableau: tableau.settings,
        hasTableau: true,
        tokenSecret: () => "chaos-token",
        pseudonymKey: () => "5e".repeat(32),
        audience: "full" as const,
      },
      ...{ requestTimeoutMs: 10_000, refreshTimeoutMs: 60_000, pauseMs: 0 },
    });
    const logAt =
      (level: string) =>
      (...line: unknown[]) => {
        // This is deeper than a logger serializes, and includes the messages and stacks of errors.
        logs.push(`${level} ${inspect(line, { depth: null, maxStringLength: null })}`);
      };
    const log: Log = { info: logAt("INFO"), warn: logAt("WARN"), error: logAt("ERROR") };
    return forEveryService((service) => {
      const { name } = service;
      const common = { log, retryBaseSeconds: 0, onSpan, now: () => machine.clock.now };
      return (batch: Message[], caller: Caller) => {
        const call = history.startCall(name);
        const chain = chains.invoke(name, batch);
        const ports = portsOf(
          machine,
          caller,
          (bucket, key) => history.recordWrite({ bucket }, key, call),
          (queue, body) => chains.send(queue, body, chain),
        );
        const queuePair = { source: ports.queue(name), deadLetters: ports.deadLetters(name) };
        return processBatch(service, batch, depsOf(ports, batch, caller, call), { ...common, ...queuePair });
      };
    });
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

/** Starts a harness for `use`, and closes it afterwards. */
export async function withHarness<T>(use: (harness: Harness) => Promise<T>): Promise<T> {
  const harness = await startHarness();
  try {
    return await use(harness);
  } finally {
    await harness.close();
  }
}

/** Replays can't fix these dead letters: a request from the future, and a run held by an entry that is no longer deployed. */
const permanentErrors = /"Error":"(RequestFromTheFuture|EntryChanged)"/;

/** Publishes every held run, as an operator does. @returns whether there is one */
async function approve(runIds: readonly string[], { work, queue }: Ports, dataset: string): Promise<boolean> {
  let found = false;
  for (const runId of runIds) {
    const result = await work.getJson(keys.result(runId), runResult);
    if (result?.state !== "held") continue;
    found = true;
    const task: AssembleTask = { runId, dataset, attempt: result.attempt, force: approval };
    await queue("assembler").send(messageBody(task), { group: dataset, deduplicationId: `${runId}-force` });
  }
  return found;
}

/** Removes a kept part, the index, or both with all parts, as the lifecycle rule does. */
function expireKept({ expires }: Plan["later"][number], database: LocalDatabase, history: History): void {
  if (expires === null) return;
  const found = database
    .prepare("SELECT key FROM object WHERE bucket = 'work' AND key LIKE 'kept/%' ORDER BY key")
    .all()
    .map(({ key }) => String(key));
  const chosen =
    expires >= 900 ? found : found.filter((_, n) => n === Math.floor((expires / 900) * found.length));
  for (const key of chosen) {
    database.prepare("DELETE FROM object WHERE bucket = 'work' AND key = ?").run(key);
    history.recordExpiry(key);
  }
}

/** "minutes" is longer than the queues' deduplication window and the services' claims. */
const clockJumps = { minutes: 6 * 60_000, "a day": dayMs, back: -10 * 60_000 } as const;

function queuesWithMessages(database: LocalDatabase, queues: readonly string[]): string[] {
  const found = database.prepare("SELECT DISTINCT queue FROM message").all();
  return found.map(({ queue }) => String(queue)).filter((queue) => queues.includes(queue));
}

/** Advances the clock to the time when the next delayed message is due. */
function advance(database: LocalDatabase, clock: Clock, queues: readonly string[]): boolean {
  const places = queues.map(() => "?").join();
  const found = database
    .prepare(`SELECT min(due) AS due FROM message WHERE queue IN (${places})`)
    .get(...queues);
  if (typeof found?.due !== "number") return false;
  clock.now = Math.max(clock.now, found.due);
  return true;
}

/** Returns a client that records its pages. A fetcher handles one message and makes one request at a time. */
function recordedClient(
  client: LibInsightClient,
  [message]: Message[],
  caller: Caller,
  history: History,
): LibInsightClient {
  const body = (): unknown => JSON.parse(message?.body ?? "");
  return {
    async fetchPage(request) {
      const page = await caller.request(() => client.fetchPage(request));
      history.recordResponse(pageAddress(fetchTask.parse(body())));
      return page;
    },
    async recount(request) {
      const counted = await caller.request(() => client.recount(request));
      const { runId, attempt, ...task } = fetcherTask.parse(body());
      history.recordRecount({ runId, attempt, what: "period" in task ? task.period.number : "search" });
      return counted;
    },
  };
}

/** Requests a replay of all dead letters. Those of the replay service itself must be requested by name. */
async function requestReplay({ bus }: Machine): Promise<void> {
  await bus("deadletter.replay.requested", { reason: "chaos" });
  await bus("deadletter.replay.requested", { queue: "replay", reason: "chaos" });
}

/** Returns an earlier run's file, or the predecessor's with other columns. */
function earlierFile({ records, earlierFile: kind }: Plan, columns: Dataset["columns"]): Earlier | undefined {
  if (kind === "none") return undefined;
  const isOurs = kind !== "foreign";
  const headers = outputColumns(columns);
  const [header] = csvRows([headers]).split("\n");
  const first = isOurs ? header : '"_id","_start_date","Location"';
  const row = isOurs
    ? `1,"2021-12-02 00:00:00"${',""'.repeat(headers.length - 2)}`
    : '1,"2021-12-02 00:00:00",""';
  const rows = kind === "larger" ? 2 * records : records;
  return { csv: `${first}\n${`${row}\n`.repeat(rows)}`, rows, isOurs };
}

const earlierRun = "earlier";

/** @param profile of the earlier run, by which the windows of the next one are planned */
async function publishEarlier(
  { data, work }: Ports,
  key: string,
  { csv, isOurs }: Earlier,
  profile: Profile | undefined,
): Promise<void> {
  await data.upload(key, Readable.from([Buffer.from(csv)]), {
    contentType: "text/csv",
    metadata: isOurs ? { "run-id": earlierRun, "requested-at": "2024-11-01T12:00:00Z" } : {},
    condition: "absent",
  });
  if (profile) await work.put(keys.profile(earlierRun), JSON.stringify(profile), "application/json");
}

/** The least records with which the planner fills a window (shared/ranges.ts). */
const windowRecords = 95;

/** Returns the profile of a file with the plan's records, multiplied so that a window is planned to fit a page of the plan. */
function profileOf({ pageSize }: Plan, { entry, states }: History): Profile {
  const factor = Math.floor(windowRecords / pageSize);
  const perDay = Map.groupBy(states[0] ?? [], (record) =>
    String(record[dateFields[entry.kind]]).slice(0, 10),
  );
  const days: number[] = [];
  for (let day = entry.firstDate; day <= lastDay; day = addDays(day, 1))
    days.push(factor * (perDay.get(day)?.length ?? 0));
  const rows = days.reduce((sum, n) => sum + n, 0);
  return {
    ...{ from: entry.firstDate, to: lastDay, rows, undated: 0, days, weeks: [], hours: [] },
    ...{ firstWeek: entry.firstDate, columns: [] },
  };
}

/** Emits the plan's first requests, each with its own clock offset. @returns the ids of the requested runs */
async function requestRuns(plan: Plan, machine: Machine): Promise<string[]> {
  const { clock, bus } = machine;
  const runIds = new Set<string>();
  if (plan.instance) await bus("instance.start.requested", { dataset: defaultDataset.name, reason: "chaos" });
  for (const { id, day, skips } of plan.requests) {
    clock.busOffset = day * dayMs;
    runIds.add(await requestRun(id, machine, skips ? { skipComparison: "named dates" } : {}));
  }
  clock.busOffset = 0;
  return [...runIds];
}

/** @returns the id of the requested run */
async function requestRun(
  requestId: string,
  { bus }: Machine,
  options: { skipComparison?: string; full?: boolean },
): Promise<string> {
  const { name: dataset } = defaultDataset;
  await bus("run.requested", { dataset, reason: "chaos", requestId, ...options });
  return runIdOf(dataset, requestId);
}

/** `attributes` has their names and values as JSON. */
const deadLetter = z.object({
  attributes: z.pipe(
    // Null if the queue moved the message after too many receives.
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

async function metadataIn(store: ObjectStore): Promise<string[]> {
  const found = await store.list("", maxObjects);
  return Promise.all(found.map(async (key) => JSON.stringify((await store.head(key))?.metadata ?? {})));
}
