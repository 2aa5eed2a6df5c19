// The database in .local/ for queues and objects. It survives kill -9 at any moment, and only one process can open it.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import * as z from "zod/mini";
import { PipelineError } from "../errors.ts";
import { folderError } from "./disk.ts";

const schema = `
CREATE TABLE IF NOT EXISTS message (
  id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, due INTEGER NOT NULL, receives INTEGER NOT NULL,
  receipt TEXT, grp TEXT, attributes BLOB, sent INTEGER NOT NULL, received INTEGER) STRICT;
CREATE INDEX IF NOT EXISTS message_due ON message (queue, due);
CREATE INDEX IF NOT EXISTS message_group ON message (queue, grp, id) WHERE grp IS NOT NULL;
-- A separate table, so that a receive does not rewrite a body of 48 KB.
CREATE TABLE IF NOT EXISTS body (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS deduplication (
  queue TEXT NOT NULL, id TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (queue, id)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS object (
  id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key TEXT NOT NULL, latest INTEGER NOT NULL,
  etag TEXT NOT NULL, bytes INTEGER NOT NULL, type TEXT NOT NULL, metadata TEXT NOT NULL, at INTEGER NOT NULL,
  file TEXT, body BLOB) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS object_latest ON object (bucket, key) WHERE latest = 1;
CREATE INDEX IF NOT EXISTS object_versions ON object (bucket, key, id);
CREATE TABLE IF NOT EXISTS instance (
  id TEXT PRIMARY KEY, state TEXT NOT NULL, launched INTEGER, tags TEXT NOT NULL) STRICT;
`;

type Pending = { run: () => void; resolve: () => void; reject: (error: unknown) => void };

export class LocalDatabase {
  readonly #database: DatabaseSync;
  readonly #folder: string;
  readonly #statements = new Map<string, StatementSync>();
  #pending: Pending[] = [];

  /** @param path a file, or `:memory:` */
  constructor(path: string) {
    this.#folder = dirname(path);
    this.#database = new DatabaseSync(path, { timeout: 0 });
    // The lock is held from the first access until the process ends, even by kill -9. With WAL and FULL, a commit is on
    // disk.
    this.#database.exec(`
      PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL; PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY;`);
    this.#database.exec(schema);
    const columns = this.#database.prepare("SELECT name FROM pragma_table_info('message')").all();
    // A folder of an earlier version lacks this column.
    if (!columns.some(({ name }) => name === "received"))
      this.#database.exec("ALTER TABLE message ADD COLUMN received INTEGER");
  }

  /** Returns a statement, which is prepared only once. */
  prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  /**
   * Runs `work` in a transaction. Calls in one turn of the event loop share a commit, because a commit is slow.
   * @param work may run again if the work of another call throws
   * @returns the result of `work`, after the commit
   * @throws PipelineError `LocalFolderUnusable`
   */
  write<T>(work: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let finish = (): void => {};
    const run = () => {
      const value = work();
      finish = () => resolve(value);
    };
    if (this.#pending.length === 0) setImmediate(() => this.#flush());
    this.#pending.push({ run, resolve: () => finish(), reject });
    return promise;
  }

  #flush(): void {
    const batch = this.#pending;
    this.#pending = [];
    if (batch.length === 0) return;
    try {
      this.#transaction(batch);
    } catch (error) {
      const [only, ...others] = batch;
      if (others.length === 0) only?.reject(error);
      else for (const each of batch) this.#alone(each);
    }
  }

  #alone(pending: Pending): void {
    try {
      this.#transaction([pending]);
    } catch (error) {
      pending.reject(error);
    }
  }

  #transaction(batch: readonly Pending[]): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      for (const { run } of batch) run();
      this.#database.exec("COMMIT");
    } catch (error) {
      // If the disk is full, SQLite has already rolled back.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw folderError(error, this.#folder);
    }
    for (const { resolve } of batch) resolve();
  }

  /** Rewrites the database without the bytes of deleted rows, which SQLite keeps in the file and in the log until then. */
  compact(): void {
    this.#flush();
    this.#database.exec("PRAGMA secure_delete = ON; VACUUM; PRAGMA wal_checkpoint(TRUNCATE);");
  }

  close(): void {
    this.#flush();
    this.#database.close();
  }
}

const holder = z.object({ pid: z.number(), command: z.string(), since: z.string() });

/**
 * Opens the database of a folder, or creates it with access only for this user.
 * @throws PipelineError `LocalFolderInUse`, `LocalFolderUnusable`
 */
export function openLocalDatabase(folder: string): LocalDatabase {
  const holderFile = join(folder, "holder.json");
  let database: LocalDatabase | undefined;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
    database = new LocalDatabase(join(folder, "state.db"));
    const command = `npm ${process.env.npm_lifecycle_event === "start" ? "start" : `run ${process.env.npm_lifecycle_event}`}`;
    const self = {
      pid: process.pid,
      command: process.env.npm_lifecycle_event ? command : process.argv.slice(1, 2).join(" "),
      since: new Date().toISOString(),
    };
    writeFileSync(holderFile, JSON.stringify(self));
    return database;
  } catch (error) {
    database?.close();
    if (!isBusy(error)) throw folderError(error, folder);
    const found = holderOf(holderFile);
    const who = found ? `: ${found.command}, process ${found.pid}, since ${found.since}` : "";
    throw new PipelineError("LocalFolderInUse", {
      message: `Another process uses ${folder}${who}.`,
      advice: found
        ? "Wait until it ends, or stop it."
        : `Find it with "lsof ${join(folder, "state.db")}", then wait until it ends or stop it.`,
    });
  }
}

/** SQLITE_BUSY and its extended codes, such as SQLITE_BUSY_RECOVERY. https://www.sqlite.org/rescode.html#busy */
function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && (Number(error.errcode) & 0xff) === 5;
}

/** Returns the process that wrote the file, or undefined if it has ended: then another process holds the lock. */
function holderOf(file: string): z.infer<typeof holder> | undefined {
  try {
    const found = holder.parse(JSON.parse(readFileSync(file, "utf8")));
    return isRunning(found.pid) ? found : undefined;
  } catch {
    return undefined;
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // The process belongs to another user.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
