// A program that writes to a local folder until it is killed, and prints a line after each acknowledged write.
import { join } from "node:path";
import { LocalStore } from "../../../shared/local/local-store.ts";
import { openLocalDatabase } from "../../../shared/local/sqlite.ts";
import { SqliteQueue } from "../../../shared/local/sqlite-queue.ts";

const [folder = "", first = "0"] = process.argv.slice(2);
const database = openLocalDatabase(folder);
const queue = new SqliteQueue(database, { name: "fetcher" });
const work = new LocalStore(database, { bucket: "work", folder: join(folder, "work"), keepsVersions: false });
const data = new LocalStore(database, { bucket: "data", folder: join(folder, "data"), keepsVersions: true });

/** Printing to a pipe is synchronous, so no acknowledged write is missing. */
const print = (line: string) => process.stdout.write(`${line}\n`);
print("opened");

async function* chunks(n: number) {
  for (let chunk = 0; chunk < 8; chunk++) yield Buffer.alloc(50_000, `${n} `);
}

async function send(n: number): Promise<void> {
  await queue.send(String(n));
  print(`sent ${n}`);
}

async function put(n: number): Promise<void> {
  await work.put(`parts/${n}`, String(n).repeat(10_000), "text/plain");
  print(`put ${n}`);
}

async function upload(n: number): Promise<void> {
  const etag = (await data.head("file.csv"))?.etag;
  const condition = etag === undefined ? "absent" : { ifMatch: etag };
  await data.upload("file.csv", chunks(n), {
    contentType: "text/csv",
    metadata: { n: String(n) },
    condition,
  });
  print(`uploaded ${n}`);
}

async function deleteOne(): Promise<void> {
  const [message] = await queue.receive({ max: 1, visibilitySeconds: 60, waitSeconds: 0 });
  if (!message) return;
  await queue.delete(message.receipt);
  print(`deleted ${message.body}`);
}

// Ends after a minute if the parent process has ended.
setTimeout(() => process.exit(1), 60_000);
for (let n = Number(first); ; n++) {
  const writes = [send(n), put(n), upload(n)];
  if (n % 3 === 0) writes.push(deleteOne());
  await Promise.all(writes);
}
