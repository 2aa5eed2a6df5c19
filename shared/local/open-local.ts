// Opens the adapters of all ports on this machine, with their data in one folder.

import { join } from "node:path";
import { library } from "#library";
import { datasets } from "../datasets.ts";
import { daysInWork } from "../keys.ts";
import type { Emit, Notify } from "../ports.ts";
import {
  awsRoutes,
  byQueue,
  filePublished,
  type QueueName,
  queueNames,
  receiveLimit,
  services,
} from "../topology.ts";
import { folderError } from "./disk.ts";
import { DuckDbQueryEngine } from "./duckdb.ts";
import { awsEvent, localEmitter, objectCreatedMessage } from "./local-bus.ts";
import { LocalInstances } from "./local-instances.ts";
import { LocalStore } from "./local-store.ts";
import { fileNotifier } from "./message-file.ts";
import { LocalDatabase, openLocalDatabase } from "./sqlite.ts";
import { SqliteQueue } from "./sqlite-queue.ts";

/** As in production, so that a query works there too. */
export const localDatabaseName = library.production.athenaDatabase;
const instanceTag = library.instances.tag;
/** The pipeline's workgroup in events about queries. */
const workgroup = "local";
/** The only instance. */
const instanceId = "i-0123456789abcdef0";

const day = 24 * 3600 * 1000;
/** The periods of the lifecycle rules in stacks/storage.ts. */
const queryMs = 30 * day;
const versionMs = 90 * day;

type Queues = Readonly<Record<QueueName, SqliteQueue>>;

export type Local = {
  database: LocalDatabase;
  queues: Queues;
  deadLetters: Queues;
  /** Every queue with its dead-letter queue. */
  queuePairs: { name: QueueName; source: SqliteQueue; deadLetters: SqliteQueue }[];
  work: LocalStore;
  data: LocalStore;
  results: LocalStore;
  emit: Emit;
  engine: DuckDbQueryEngine;
  instances: LocalInstances;
  notify: Notify;
  close(): Promise<void>;
};

export type LocalOptions = {
  /** Called after an event is stored, with the event as EventBridge delivers it. */
  onEvent?: (event: unknown) => void;
  /** Keeps the database in memory. Files still go to the folder. */
  inMemory?: boolean;
};

/**
 * Opens or creates the folder, and removes expired data.
 * @throws PipelineError `LocalFolderInUse`, `LocalFolderUnusable`
 */
export async function openLocal(folder: string, options: LocalOptions = {}): Promise<Local> {
  const database = options.inMemory ? new LocalDatabase(":memory:") : openLocalDatabase(folder);
  try {
    return await openAdapters(database, folder, options);
  } catch (error) {
    database.close();
    throw folderError(error, folder);
  }
}

async function openAdapters(database: LocalDatabase, folder: string, options: LocalOptions): Promise<Local> {
  const queues = byQueue((name) => {
    const { fifo } = services[name].queue;
    const redrive = { to: deadLetterName(name), receiveLimit };
    return new SqliteQueue(database, { name, fifo, redrive });
  });
  const deadLetters = byQueue(
    (name) =>
      new SqliteQueue(database, { name: deadLetterName(name), fifo: services[name].queue.fifo && "by-id" }),
  );
  const store = (bucket: string, keepsVersions: boolean, onWritten?: (key: string) => void) =>
    new LocalStore(database, {
      bucket,
      folder: join(folder, bucket),
      keepsVersions,
      ...(onWritten && { onWritten }),
    });
  const work = store("work", false);
  const data = store("data", true, (key) => {
    if (datasets.some(({ publish }) => publish.csv === key))
      queues[filePublished.to].insert(objectCreatedMessage("data", key));
  });
  const results = store("results", true);
  const { queryEnded } = awsRoutes;
  const engine = new DuckDbQueryEngine({
    database: localDatabaseName,
    catalog: work,
    filesIn: async (prefix) => data.filesIn(prefix),
    adopt: (key, path) => results.adopt(key, path, "text/csv"),
    temporaryFolder: join(folder, "tmp"),
    onEnd: ({ id, state }) =>
      queues[queryEnded.to].send(
        awsEvent(queryEnded.source, queryEnded.detailType, {
          queryExecutionId: id,
          currentState: state,
          workgroupName: workgroup,
        }),
      ),
  });
  const instances = new LocalInstances(database);
  // No other process uses the folder, so a message in flight was received by a process that died.
  await database.write(() => database.prepare("UPDATE message SET due = 0 WHERE receipt IS NOT NULL").run());
  await instances.putOnce(instanceId, "stopped", { [instanceTag.key]: instanceTag.value });
  await prune({ work, data, results });
  return {
    database,
    queues,
    deadLetters,
    queuePairs: queueNames.map((name) => ({ name, source: queues[name], deadLetters: deadLetters[name] })),
    work,
    data,
    results,
    emit: localEmitter({ database, queues, ...(options.onEvent && { onEvent: options.onEvent }) }),
    engine,
    instances,
    notify: fileNotifier(join(folder, "messages.txt")),
    async close() {
      await engine.close();
      database.close();
    },
  };
}

function deadLetterName(name: QueueName): string {
  return `${name}-dead-letters`;
}

/**
 * Removes the data that lifecycle rules would expire on AWS. Keeps definitions of tables and the state of instances.
 */
async function prune({ work, data, results }: Pick<Local, "work" | "data" | "results">): Promise<void> {
  const before = new Date(Date.now() - queryMs);
  const versions = { prefix: "", before: new Date(Date.now() - versionMs), earlierVersionsOnly: true };
  const expiring = ["runs/", "queries/", "reports/", "kept/"] as const;
  await work.prune(
    expiring.map((prefix) => ({ prefix, before: new Date(Date.now() - daysInWork[prefix] * day) })),
  );
  await data.prune([versions]);
  await results.prune([
    versions,
    ...datasets.map(({ publish }) => ({ prefix: `${publish.queryResults}/`, before })),
  ]);
}
