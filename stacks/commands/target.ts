// The target of a command: the stage that `sst shell` selects, or the data of `npm start` in .local. Only the adapters of
// the selected one are loaded.
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { isUnderWay, readNeeds } from "../../services/ec2/needs.ts";
import type { QueuePair } from "../../services/replay/dead-letter-queues.ts";
import { type ColumnNames, knownNames } from "../../shared/column-names.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { TeamInstances } from "../../shared/instance-settings.ts";
import type {
  Emit,
  Eraser,
  Instances,
  MessageQueue,
  ObjectStore,
  QueryEngine,
  TableCatalog,
} from "../../shared/ports.ts";
import type { QueueName } from "../../shared/topology.ts";
import { UsageError } from "../cli.ts";
import { localFolder } from "../local/local-folder.ts";

const pollMs = 50;
const maxWaitMs = 30 * 60_000;

/** The ports are functions: each command opens only those that it uses and that the stage grants to it. */
export type Target = {
  /** On a stage the services are always running; on this machine they run during `npm start` and `--wait`. */
  isStage: boolean;
  work(): ObjectStore;
  data(): ObjectStore;
  results(): ObjectStore;
  tables(): TableCatalog;
  /** For a person's queries: on a stage, in the analysts' workgroup. */
  engine(): QueryEngine;
  queue(name: QueueName): MessageQueue;
  queuePairs(): QueuePair[];
  emit(): Emit;
  /** Deletes objects for good. On a stage this needs the forget policy (docs/operate.md). */
  erasers(): Record<"work" | "data" | "results", Eraser>;
  instances(): Instances;
  team(): TeamInstances;
  /** The time by the object store's clock: on a stage this machine's clock may be wrong. */
  now(): Date;
  /** On this machine, copies the published files to the folder of the last npm start. @returns a line that says so, or "" */
  refresh(): Promise<string>;
  /** On this machine, replaces every copy of a dataset's files, and frees what was deleted. @returns as `refresh` */
  purge(dataset: Dataset): Promise<string>;
  /** With --wait, waits until the services have emptied every queue. @returns lines that say so, or "" */
  wait(): Promise<string>;
  close(): Promise<void>;
};

/** Returns whether this process has a stage's settings, which `sst shell` and Lambda set. */
export function isOnStage(): boolean {
  return Object.keys(process.env).some(
    (name) => name === "KICKOFF_QUEUE_URL" || name.startsWith("SST_RESOURCE"),
  );
}

/** Returns the names of a dataset's columns on the selected stage, or undefined without one. */
export async function stageNames(dataset: Dataset): Promise<ColumnNames | undefined> {
  if (!isOnStage()) return undefined;
  const { resultsStore } = await import("../../shared/aws/deps.ts");
  return knownNames(dataset, resultsStore());
}

/**
 * @param wait runs the services on this machine, with the LibInsight that `npm start` would collect from
 * @throws UsageError if `wait` is set on a stage
 * @throws PipelineError `NoTarget` without a stage and without .local
 */
export async function openTarget(wait: boolean): Promise<Target> {
  if (isOnStage()) {
    if (wait)
      throw new UsageError("--wait runs the services on this machine. A stage's services always run.");
    return stageTarget();
  }
  if (!existsSync(localFolder)) {
    throw new PipelineError("NoTarget", {
      message: "No stage is selected, and npm start was never run in this folder: it has no .local.",
      advice: `To select a stage: npx sst shell --stage STAGE -- npm run ${process.env.npm_lifecycle_event ?? "replay"} -- ...`,
    });
  }
  return localTarget(wait);
}

async function stageTarget(): Promise<Target> {
  const aws = await import("../../shared/aws/deps.ts");
  const { timeOfS3 } = await import("../../shared/aws/clients.ts");
  return {
    isStage: true,
    work: aws.workStore,
    data: aws.dataStore,
    results: aws.resultsStore,
    tables: aws.tableCatalog,
    engine: aws.analystsEngine,
    queue: aws.queue,
    queuePairs: aws.queuePairs,
    emit: aws.emitter,
    erasers: aws.erasers,
    instances: aws.instances,
    team: aws.settings.instances,
    now: timeOfS3,
    refresh: async () => "",
    purge: async () => "",
    wait: async () => "",
    close: async () => {},
  };
}

async function localTarget(wait: boolean): Promise<Target> {
  const { openLocal } = await import("../../shared/local/open-local.ts");
  const { purgeCopies, refreshOut } = await import("../local/out.ts");
  const { localSettings } = await import("../local/local-settings.ts");
  const { readEnvFile, settingsLine } = await import("../local/env-file.ts");
  const settingsFrom = readEnvFile(process.env);
  if (wait && settingsFrom.length > 0) process.stderr.write(`${settingsLine(settingsFrom)}\n`);
  const settings = localSettings(process.env);
  const local = await openLocal(localFolder);
  const closing = [local.close];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  const target: Target = {
    isStage: false,
    work: () => local.work,
    data: () => local.data,
    results: () => local.results,
    tables: () => local.engine,
    engine: () => local.engine,
    queue: (name) => local.queues[name],
    queuePairs: () => local.queuePairs,
    emit: () => local.emit,
    erasers: () => local,
    instances: () => local.instances,
    team: () => settings.team,
    now: () => new Date(),
    refresh: () => refreshOut(localFolder, local),
    purge: (dataset) => purgeCopies(localFolder, dataset, local),
    wait: async () => "",
    close,
  };
  if (!wait) return target;
  try {
    const { parseCommand } = await import("../local/start-args.ts");
    const { openClient, sourceToFinish } = await import("../local/collected-source.ts");
    const { unfinished } = await import("../local/unfinished-run.ts");
    const { datasets } = await import("../../shared/datasets.ts");
    const { queriesUnderWay } = await import("../local/watch.ts");
    const { localPseudonymKey } = await import("../local/pseudonym-key.ts");
    const { startWorkers } = await import("../local/workers.ts");
    // The settings of `npm start` without flags.
    const command = parseCommand([], new Date());
    if (command === "help") throw new Error("No flag requests help.");
    const runs = await Promise.all(datasets.map((dataset) => unfinished(dataset, local)));
    const starts = runs.filter((start) => start !== undefined);
    const source = sourceToFinish(starts, command, process.env, settingsFrom);
    const { origin } = source;
    const timeoutMs = settings.libInsightTimeoutMs;
    const libInsight = await openClient(source, command.dataset, { timeoutMs });
    closing.push(libInsight.close);
    let broken: PipelineError | undefined;
    const onBroken = (error: PipelineError): void => {
      broken = error;
    };
    const workers = startWorkers({
      local,
      settings,
      libInsight,
      origin,
      pseudonymKey: localPseudonymKey(localFolder),
      events: { onBroken },
    });
    closing.push(workers.stop);
    const underWay = async () => {
      if (broken) throw broken;
      return (await queriesUnderWay(local.work)) + (await instancesUnderWay(local.work));
    };
    return {
      ...target,
      wait: async () => `${await untilEmpty(target, underWay)}${await target.refresh()}`,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @param underWay counts queries and instances in progress: the messages that check them are delayed and not counted */
async function untilEmpty(target: Target, underWay: () => Promise<number>): Promise<string> {
  const queuePairs = target.queuePairs();
  const ends = Date.now() + maxWaitMs;
  for (;;) {
    const waiting = (await total(queuePairs.map(({ source }) => source))) + (await underWay());
    if (waiting === 0) break;
    if (Date.now() > ends) {
      throw new PipelineError("NotFinished", {
        message: "The services still had work after 30 minutes.",
        advice: "To see what is left: npm run runs -- list. To continue: npm start.",
      });
    }
    await delay(pollMs);
  }
  const left = await total(queuePairs.map(({ deadLetters }) => deadLetters));
  return `Every queue is empty; ${left === 0 ? "no dead letters are left" : `dead letters left: ${left}`}.\n`;
}

async function total(queues: readonly MessageQueue[]): Promise<number> {
  return (await Promise.all(queues.map((queue) => queue.count()))).reduce((sum, count) => sum + count, 0);
}

async function instancesUnderWay(work: ObjectStore): Promise<number> {
  const { instances } = await readNeeds(work);
  return Object.values(instances).filter(isUnderWay).length;
}
