// Runs every port's contract on the adapters on this machine. test/emulator/contracts.test.ts tests the AWS adapters.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { LocalStore } from "../../shared/local/local-store.ts";
import { fileNotifier } from "../../shared/local/message-file.ts";
import { type Local, openLocal } from "../../shared/local/open-local.ts";
import { SqliteQueue } from "../../shared/local/sqlite-queue.ts";
import { receiveLimit } from "../../shared/topology.ts";
import { eraserContract } from "./eraser-contract.ts";
import { arrivedIn, eventBusContract } from "./event-bus-contract.ts";
import { instancesContract } from "./instances-contract.ts";
import { messageQueueContract } from "./message-queue-contract.ts";
import { notifierContract } from "./notifier-contract.ts";
import { objectStoreContract } from "./object-store-contract.ts";
import { queryEngineContract } from "./query-engine-contract.ts";

let folder: string;
let local: Local;
const opened: Local[] = [];
async function open(): Promise<Local> {
  const another = await openLocal(join(folder, newName()), { inMemory: true });
  opened.push(another);
  return another;
}
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "libinsight-contracts-"));
  local = await open();
});
afterAll(async () => {
  for (const each of opened) await each.close();
  await rm(folder, { recursive: true, force: true });
});

let made = 0;
function newName(): string {
  made += 1;
  return `test-${made}`;
}

let passedMs = 0;
const now = () => Date.now() + passedMs;

messageQueueContract("SQLite", {
  async open(kind) {
    const { database } = local;
    const fifo = kind === "standard" ? undefined : kind;
    const name = newName();
    const redrive = { to: `${name}-dead-letters`, receiveLimit };
    return {
      queue: new SqliteQueue(database, { name, fifo, redrive, now }),
      deadLetters: new SqliteQueue(database, { name: redrive.to, fifo: fifo && "by-id", now }),
    };
  },
  async pass(seconds) {
    passedMs += seconds * 1_000;
  },
  passesMinutes: true,
  now,
});

objectStoreContract("SQLite and files", async ({ keepsVersions }) => {
  const bucket = newName();
  return new LocalStore(local.database, { bucket, folder: join(folder, bucket), keepsVersions });
});

eraserContract("SQLite and files", async ({ keepsVersions }) => {
  const bucket = newName();
  const store = new LocalStore(local.database, { bucket, folder: join(folder, bucket), keepsVersions });
  return { store, eraser: store };
});

eventBusContract("SQLite", () => ({
  emit: local.emit,
  takeArrived: () => arrivedIn(local.queues),
}));

queryEngineContract("DuckDB", open);

instancesContract("SQLite", {
  instances: () => local.instances,
  async create(state, tags) {
    const id = newName();
    await local.instances.put(id, state, tags);
    return id;
  },
});

notifierContract("a file", () => {
  const file = join(folder, newName());
  return { notify: fileNotifier(file), received: () => readFile(file, "utf8") };
});
