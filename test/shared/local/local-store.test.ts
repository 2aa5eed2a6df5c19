// The object store on this machine, beyond its contract: plain files and expiration.
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { LocalStore, type LocalStoreOptions } from "../../../shared/local/local-store.ts";
import { LocalDatabase } from "../../../shared/local/sqlite.ts";
import { overwrite } from "../../support/objects.ts";
import { useFolder } from "../../support/temporary-folder.ts";

const root = useFolder();
const database = new LocalDatabase(":memory:");
afterAll(() => database.close());

let made = 0;
function open(options: Partial<LocalStoreOptions> = {}) {
  made += 1;
  const folder = join(root, `bucket-${made}`);
  const store = new LocalStore(database, {
    bucket: `bucket-${made}`,
    folder,
    keepsVersions: false,
    ...options,
  });
  return { folder, store };
}

test("stores each version as a file with the key and the time in its name", async () => {
  const now = () => new Date("2026-11-28T02:55:01.123Z");
  const { folder, store } = open({ keepsVersions: true, now });
  await overwrite(store, "gates/csv/gates.csv", "id\n1\n");
  const etag = await store.put("gates/csv/gates.csv", "id\n2\n", "text/csv");
  const files = await readdir(join(folder, "gates/csv"));
  expect(files).toHaveLength(2);
  for (const file of files) expect(file).toMatch(/^gates\.20261128T025501123-[0-9a-f]{8}\.csv$/);
  const texts = await Promise.all(files.map((file) => readFile(join(folder, "gates/csv", file), "utf8")));
  expect(texts.toSorted()).toEqual(["id\n1\n", "id\n2\n"]);
  const [current = ""] = store.filesIn("gates/csv/");
  expect(await readFile(current, "utf8")).toBe("id\n2\n");
  expect(((await stat(current)).mode & 0o777).toString(8)).toBe("600");
  // The ETag depends on the content.
  expect(await store.put("gates/csv/gates.csv", "id\n2\n", "text/csv")).toBe(etag);
});

test("removes a replaced file, and leaves no file of a refused or failed upload", async () => {
  const { folder, store } = open();
  await overwrite(store, "a", "one");
  await overwrite(store, "a", "two");
  const options = { contentType: "text/csv", metadata: {} };
  async function* failing() {
    yield Buffer.from("three");
    throw new Error("A part is missing.");
  }
  await expect(store.upload("a", failing(), { ...options, condition: "absent" })).rejects.toThrow();
  async function* whole() {
    yield Buffer.from("four");
  }
  expect(await store.upload("a", whole(), { ...options, condition: "absent" })).toBeUndefined();
  expect(await readdir(folder)).toHaveLength(1);
  await store.put("a", "five", "text/plain");
  expect(await readdir(folder)).toEqual([]);
  expect(await store.getText("a")).toBe("five");
});

test("keeps an object if the transaction that replaces it fails", async () => {
  let refuses = false;
  const { store } = open({
    onWritten() {
      if (refuses) throw new Error("A queue is full.");
    },
  });
  await overwrite(store, "a", "old");
  refuses = true;
  await expect(store.put("a", "new", "text/plain")).rejects.toThrow("A queue is full.");
  await expect(overwrite(store, "a", "new")).rejects.toThrow("A queue is full.");
  // Enough time to remove the old file.
  await delay(50);
  expect(await store.getText("a")).toBe("old");
});

test("removes expired objects with their files, and files without an object", async () => {
  let day = 1;
  const { folder, store } = open({ now: () => new Date(2026, 0, day) });
  await overwrite(store, "runs/old", "x");
  await store.put("runs/small", "x", "text/plain");
  await store.put("catalog/old", "x", "text/plain");
  day = 40;
  await overwrite(store, "runs/new", "x");
  await writeFile(join(folder, "runs/half-written"), "x");
  await store.prune([{ prefix: "runs/", before: new Date(2026, 0, 10) }]);
  expect(await store.list("", 10)).toEqual(["catalog/old", "runs/new"]);
  expect(await readdir(join(folder, "runs"))).toHaveLength(1);
});

test("expires an earlier version some days after it was replaced, and never the latest", async () => {
  let day = 1;
  const { folder, store } = open({ keepsVersions: true, now: () => new Date(2026, 0, day) });
  for (const [written, text] of [
    [1, "one"],
    [2, "two"],
    [100, "three"],
  ] as const) {
    day = written;
    await overwrite(store, "a", text);
  }
  const prune = (before: number) =>
    store.prune([{ prefix: "", before: new Date(2026, 0, before), earlierVersionsOnly: true }]);
  // "two" was written on day 2, but replaced only on day 100.
  await prune(50);
  expect(await store.listVersions("a", 10)).toHaveLength(2);
  await prune(1_000);
  expect(await store.listVersions("a", 10)).toMatchObject([{ isLatest: true }]);
  expect(await store.getText("a")).toBe("three");
  expect(await readdir(folder)).toHaveLength(1);
});
