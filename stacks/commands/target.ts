// What a command works on: the stage that `sst shell` names, or what `npm start` keeps in .local/. AWS's code and the
// local adapters are loaded only for the one that is used.
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { type ColumnNames, knownNames } from "../../services/athena/names.ts";
import { readNeeds } from "../../services/ec2/memory.ts";
import { isUnderWay } from "../../services/ec2/needs.ts";
import type { QueuePair } from "../../services/replay/dead-letter-queues.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { TeamInstances } from "../../shared/instance-settings.ts";
import type { Emit, Instances, MessageQueue, ObjectStore, TableCatalog } from "../../shared/ports.ts";
import type { QueueName } from "../../shared/topology.ts";
import { localFolder } from "../local/local-folder.ts";

const pollMs = 50;
const longestMs = 30 * 60_000;

/** Made when they are used: a command needs some, and a stage grants no more. */
export type Target = {
  /** Whether services work there by themselves. On this machine they do while `npm start` runs. */
  isStage: boolean;
  work(): ObjectStore;
  data(): ObjectStore;
  tables(): TableCatalog;
  queue(name: QueueName): MessageQueue;
  queuePairs(): QueuePair[];
  emit(): Emit;
  instances(): Instances;
  team(): TeamInstances;
  /** The time by the object store's clock. On a stage this machine's own clock may be wrong. */
  now(): Date;
  /** On this machine: copies the files that readers have now to the folder of the last npm start. @returns a line that says so */
  refresh(): Promise<string>;
  /** Where `finish` was requested: waits until the services have emptied every queue. @returns a line that says so */
  finish(): Promise<string>;
  close(): Promise<void>;
};

/** Whether this process has a stage's settings: as a function has, or by `sst shell`. */
export function isOnStage(): boolean {
  return Object.keys(process.env).some(
    (name) => name === "KICKOFF_QUEUE_URL" || name.startsWith("SST_RESOURCE"),
  );
}

/** Returns the names of a dataset's columns on the stage that is named; undefined where none is. */
export async function stageNames(dataset: Dataset): Promise<ColumnNames | undefined> {
  if (!isOnStage()) return undefined;
  const { resultsStore } = await import("../../shared/aws/deps.ts");
  return knownNames(dataset, resultsStore());
}

/**
 * @param finish on this machine: let the services work, on the LibInsight that `npm start` would collect from
 * @throws PipelineError `NoTarget` where there is neither a stage nor anything in .local/
 */
export async function openTarget(finish: boolean): Promise<Target> {
  if (isOnStage()) return stageTarget();
  if (!existsSync(localFolder)) {
    throw new PipelineError("NoTarget", {
      message: "There is no stage and no .local folder here: npm start was not run in this folder.",
      advice: `For a stage: npx sst shell --stage STAGE -- npm run ${process.env.npm_lifecycle_event ?? "replay"} -- ...`,
    });
  }
  return localTarget(finish);
}

async function stageTarget(): Promise<Target> {
  const aws = await import("../../shared/aws/deps.ts");
  const { timeOfS3 } = await import("../../shared/aws/clients.ts");
  return {
    isStage: true,
    work: aws.workStore,
    data: aws.dataStore,
    tables: aws.tableCatalog,
    queue: aws.queue,
    queuePairs: aws.queuePairs,
    emit: aws.emitter,
    instances: aws.instances,
    team: aws.settings.instances,
    now: timeOfS3,
    refresh: async () => "",
    finish: async () => "",
    close: async () => {},
  };
}

async function localTarget(finish: boolean): Promise<Target> {
  const { openLocal } = await import("../../shared/local/open-local.ts");
  const { refreshOut } = await import("../local/out.ts");
  const { localSettings } = await import("../local/local-settings.ts");
  const { readEnvFile, settingsLine } = await import("../local/env-file.ts");
  const settingsFrom = readEnvFile(process.env);
  if (finish && settingsFrom.length > 0) process.stderr.write(`${settingsLine(settingsFrom)}\n`);
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
    tables: () => local.engine,
    queue: (name) => local.queues[name],
    queuePairs: () => local.queuePairs,
    emit: () => local.emit,
    instances: () => local.instances,
    team: () => settings.team,
    now: () => new Date(),
    refresh: () => refreshOut(localFolder, local),
    finish: async () => "",
    close,
  };
  if (!finish) return target;
  try {
    const { parseCommand } = await import("../local/start-args.ts");
    const { sourceToFinish } = await import("../local/collected-source.ts");
    const { unfinished } = await import("../local/earlier.ts");
    const { datasets } = await import("../../shared/datasets.ts");
    const { queriesUnderWay } = await import("../local/watch.ts");
    const { startWorkers } = await import("../local/workers.ts");
    const { libInsightClient } = await import("../../shared/libinsight/client.ts");
    // `npm start` without flags.
    const command = parseCommand([], new Date());
    if (command === "help") throw new Error("No flag requests help.");
    const runs = await Promise.all(datasets.map((dataset) => unfinished(dataset, local)));
    const starts = runs.filter((start) => start !== undefined);
    const { origin, open } = sourceToFinish(starts, command, process.env, settingsFrom);
    const source = await open();
    closing.push(source.close);
    const libInsight = libInsightClient({ ...source, timeoutMs: settings.libInsightTimeoutMs });
    let broken: PipelineError | undefined;
    const onBroken = (error: PipelineError): void => {
      broken = error;
    };
    const workers = startWorkers({ local, settings, libInsight, origin, events: { onBroken } });
    closing.push(workers.stop);
    const underWay = async () => {
      if (broken) throw broken;
      return (await queriesUnderWay(local.work)) + (await instancesUnderWay(local.work));
    };
    const finish = async () => `${await untilEmpty(target, underWay)}${await target.refresh()}`;
    return { ...target, finish };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @param underWay counts what the queues do not: the messages that check it are delayed */
async function untilEmpty(target: Target, underWay: () => Promise<number>): Promise<string> {
  const queuePairs = target.queuePairs();
  const ends = Date.now() + longestMs;
  for (;;) {
    const waiting = (await total(queuePairs.map(({ source }) => source))) + (await underWay());
    if (waiting === 0) break;
    if (Date.now() > ends) {
      throw new PipelineError("NotFinished", {
        message: "The services still had work after half an hour.",
        advice: "See npm run runs -- list, and continue with npm start.",
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
