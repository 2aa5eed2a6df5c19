// The local database: used by one process at a time, loses nothing after kill -9, and commits transactions as a whole.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { LocalStore } from "../../../shared/local/local-store.ts";
import { LocalDatabase, openLocalDatabase } from "../../../shared/local/sqlite.ts";
import { SqliteQueue } from "../../../shared/local/sqlite-queue.ts";
import { take } from "../../support/local-adapters.ts";
import { useFolder } from "../../support/temporary-folder.ts";

const root = useFolder();
let folders = 0;

function newFolder(): string {
  folders += 1;
  return join(root, `local-${folders}`);
}

type Writer = { process: ChildProcess; lines: string[]; opened: Promise<unknown>; kill(): Promise<void> };

/** Starts a process that writes to the folder until it is killed. */
function startWriter(folder: string, first = 0): Writer {
  const program = join(import.meta.dirname, "writer.ts");
  const child = spawn(process.execPath, [program, folder, String(first)], {
    env: { ...process.env, npm_lifecycle_event: "start" },
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const reader = createInterface(child.stdout);
  const lines: string[] = [];
  reader.on("line", (line) => lines.push(line));
  const closed = once(reader, "close");
  return {
    process: child,
    lines,
    opened: once(reader, "line"),
    async kill() {
      child.kill("SIGKILL");
      await closed;
    },
  };
}

function numbersOf(lines: readonly string[], verb: string): number[] {
  return lines.filter((line) => line.startsWith(`${verb} `)).map((line) => Number(line.slice(verb.length)));
}

test("keeps every acknowledged write after kill -9 at any moment, and no incomplete one", async () => {
  const folder = newFolder();
  const acknowledged: string[] = [];
  const later = () => Date.now() + 3_600_000;
  for (let round = 0; round < 5; round++) {
    const writer = startWriter(folder, round * 10_000);
    const enough = 1 + Math.random() * 60;
    await vi.waitUntil(() => writer.lines.length > enough, { timeout: 20_000, interval: 5 });
    await delay(Math.random() * 20);
    await writer.kill();
    acknowledged.push(...writer.lines);
    const database = openLocalDatabase(folder);
    const work = new LocalStore(database, {
      bucket: "work",
      folder: join(folder, "work"),
      keepsVersions: false,
    });
    const data = new LocalStore(database, {
      bucket: "data",
      folder: join(folder, "data"),
      keepsVersions: true,
    });
    for (const n of numbersOf(acknowledged, "put")) {
      expect(await work.getText(`parts/${n}`)).toBe(String(n).repeat(10_000));
    }
    const versions = await data.listVersions("file.csv", 10_000);
    expect(versions.length).toBeGreaterThanOrEqual(numbersOf(acknowledged, "uploaded").length);
    for (const { versionId } of versions) {
      const info = await data.head("file.csv", versionId);
      const body = Buffer.concat(await Array.fromAsync(await data.stream("file.csv", versionId)));
      expect(body.equals(wholeFile(info?.metadata.n))).toBe(true);
    }
    // `prune` removes the file that was being written.
    await data.prune([]);
    expect(await readdir(join(folder, "data"))).toHaveLength(versions.length);
    database.close();
  }
  const database = openLocalDatabase(folder);
  // After an hour, the message that the last process received is visible again.
  const left = (await take(new SqliteQueue(database, { name: "fetcher", now: later }))).map(({ body }) =>
    Number(body),
  );
  database.close();
  const deleted = new Set(numbersOf(acknowledged, "deleted"));
  const sent = numbersOf(acknowledged, "sent").filter((n) => !deleted.has(n));
  expect(sent.length).toBeGreaterThan(5);
  expect(new Set(left).size).toBe(left.length);
  expect(left.filter((n) => deleted.has(n))).toEqual([]);
  // In each round, one deletion may have taken effect without an acknowledgment.
  expect(sent.filter((n) => !left.includes(n)).length).toBeLessThanOrEqual(5);
});

function wholeFile(n: string | undefined): Buffer {
  const chunk = Buffer.alloc(50_000, `${n} `);
  return Buffer.concat(Array.from({ length: 8 }, () => chunk));
}

test("refuses a second process, with the pid and command of the first, until the first ends", async () => {
  const folder = newFolder();
  const writer = startWriter(folder);
  await writer.opened;
  expect(() => openLocalDatabase(folder)).toThrow(
    expect.objectContaining({
      name: "LocalFolderInUse",
      message: expect.stringMatching(new RegExp(`npm start, process ${writer.process.pid}, since 20`)),
    }),
  );
  const second = startWriter(folder);
  const [code] = await once(second.process, "exit");
  expect(code).toBe(1);
  expect(second.lines).toEqual([]);
  await writer.kill();
  openLocalDatabase(folder).close();
});

test("says how to find the process if the recorded one has ended", async () => {
  const folder = newFolder();
  const ended = startWriter(folder);
  await ended.opened;
  const stale = await readFile(join(folder, "holder.json"));
  await ended.kill();
  const writer = startWriter(folder);
  await writer.opened;
  await writeFile(join(folder, "holder.json"), stale);
  expect(() => openLocalDatabase(folder)).toThrow(
    expect.objectContaining({
      name: "LocalFolderInUse",
      message: `Another process uses ${folder}.`,
      advice: expect.stringContaining(`lsof ${folder}/state.db`),
    }),
  );
  await writer.kill();
});

test("creates a folder that only this user can access", async () => {
  const folder = newFolder();
  openLocalDatabase(folder).close();
  expect(((await stat(folder)).mode & 0o777).toString(8)).toBe("700");
});

function openMemory() {
  const database = new LocalDatabase(":memory:");
  onTestFinished(() => database.close());
  const insert = (id: string) =>
    database.prepare("INSERT INTO deduplication (queue, id, until) VALUES ('q', ?, 0)").run(id);
  const ids = () =>
    database
      .prepare("SELECT id FROM deduplication ORDER BY id")
      .all()
      .map(({ id }) => id);
  return { database, insert, ids };
}

test("rolls back only the changes of a failed write, not those of other writes in the same turn", async () => {
  const { database, insert, ids } = openMemory();
  const writes = ["a", "b", "c"].map((id) =>
    database.write(() => {
      insert(id);
      if (id === "b") throw new Error("The second write failed.");
      return id;
    }),
  );
  expect(await Promise.allSettled(writes)).toMatchObject([
    { status: "fulfilled", value: "a" },
    { status: "rejected", reason: { message: "The second write failed." } },
    { status: "fulfilled", value: "c" },
  ]);
  expect(ids()).toEqual(["a", "c"]);
});

test("acknowledges a write after it can be read, and writes pending changes on close", async () => {
  const { database, insert, ids } = openMemory();
  const first = database.write(() => insert("a"));
  expect(ids()).toEqual([]);
  await first;
  expect(ids()).toEqual(["a"]);
  const folder = newFolder();
  const file = openLocalDatabase(folder);
  const pending = file.write(() => file.prepare("INSERT INTO deduplication VALUES ('q', 'b', 0)").run());
  file.close();
  await pending;
  const reopened = openLocalDatabase(folder);
  expect(reopened.prepare("SELECT id FROM deduplication").all()).toMatchObject([{ id: "b" }]);
  reopened.close();
  await expect(reopened.write(() => {})).rejects.toThrow();
});
