// The object store on this machine. An object that is written in one piece is a row of the database, which is fastest.
// A streamed object, and every object of a bucket that keeps versions, is a file that a person can open. A file is
// complete and synced before its row is committed.
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import * as z from "zod/mini";
import {
  type Condition,
  type Eraser,
  type ListedObject,
  type ObjectInfo,
  ObjectStore,
  type StoredVersion,
  tooManyObjects,
  type UploadOptions,
  type Version,
} from "../ports.ts";
import { folderError } from "./disk.ts";
import type { LocalDatabase } from "./sqlite.ts";

const listedAtOnce = 1_000;
/** Size of a read or write. */
const chunkBytes = 256 * 1024;

export type LocalStoreOptions = {
  bucket: string;
  /** Folder of the files. */
  folder: string;
  keepsVersions: boolean;
  /** Called in the transaction that makes an object visible. */
  onWritten?: (key: string) => void;
  now?: () => Date;
};

/** Selects the objects below a prefix that were written, or the versions that were replaced, before a time. */
export type Expiration = { prefix: string; before: Date; earlierVersionsOnly?: boolean };

const rowSchema = z.object({
  id: z.number(),
  key: z.string(),
  latest: z.number(),
  etag: z.string(),
  bytes: z.number(),
  type: z.string(),
  metadata: z.string(),
  at: z.number(),
  file: z.nullable(z.string()),
});
type Row = z.infer<typeof rowSchema>;
const columns = "id, key, latest, etag, bytes, type, metadata, at, file";
const metadataSchema = z.record(z.string(), z.string());

type Content = { etag: string; bytes: number; type: string; metadata: Record<string, string> } & (
  | { file: string }
  | { body: Uint8Array }
);

export class LocalStore extends ObjectStore implements Eraser {
  readonly #database: LocalDatabase;
  readonly #options: LocalStoreOptions;
  readonly #now: () => Date;
  readonly bucket: string;

  constructor(database: LocalDatabase, options: LocalStoreOptions) {
    super();
    this.#database = database;
    this.#options = options;
    this.#now = options.now ?? (() => new Date());
    this.bucket = options.bucket;
  }

  protected async write(
    key: string,
    body: string | Uint8Array,
    contentType: string,
    condition?: Condition,
  ): Promise<string | undefined> {
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    if (this.#options.keepsVersions) {
      const options = { contentType, metadata: {} };
      return this.#uploadFile(key, [bytes], options, condition);
    }
    return this.#commit(
      key,
      // Every write has a new ETag, because the ETags of two writes are never compared here.
      { etag: `"${randomUUID()}"`, bytes: bytes.length, type: contentType, metadata: {}, body: bytes },
      condition,
    );
  }

  upload(key: string, body: AsyncIterable<Uint8Array>, options: UploadOptions): Promise<string | undefined> {
    return this.#uploadFile(key, body, options, options.condition);
  }

  /** Uses a hash of the content as the ETag, so that a rewrite with the same content keeps it. */
  async #uploadFile(
    key: string,
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { contentType, metadata }: Omit<UploadOptions, "condition">,
    condition: Condition | undefined,
  ): Promise<string | undefined> {
    const path = this.#newPath(key);
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const { etag, bytes } = await writeSynced(path, body);
      return await this.#commitFile(key, path, { etag, bytes, type: contentType, metadata }, condition);
    } catch (error) {
      await rm(path, { force: true }).catch(() => {});
      throw folderError(error, this.#options.folder);
    }
  }

  /** Moves a complete file into the store. */
  async adopt(key: string, path: string, contentType: string): Promise<void> {
    const own = this.#newPath(key);
    await mkdir(dirname(own), { recursive: true, mode: 0o700 });
    await rename(path, own);
    const file = await open(own);
    try {
      await file.sync();
      const { size: bytes } = await file.stat();
      await this.#commitFile(key, own, { etag: `"${randomUUID()}"`, bytes, type: contentType, metadata: {} });
    } finally {
      await file.close();
    }
  }

  async #commitFile(
    key: string,
    path: string,
    content: Omit<Content, "file" | "body">,
    condition?: Condition,
  ): Promise<string | undefined> {
    const file = path.slice(this.#options.folder.length + 1);
    const etag = await this.#commit(key, { ...content, file }, condition);
    if (etag === undefined) await rm(path, { force: true });
    return etag;
  }

  /** @returns undefined if the condition is not met */
  async #commit(
    key: string,
    content: Content,
    condition: Condition | undefined,
  ): Promise<string | undefined> {
    const inserted = await this.#database.write(() => this.#insert(key, content, condition));
    // After the commit, because it may fail and keep the old object. `prune` removes a file that is left.
    if (inserted?.replaced) await rm(this.#pathOf(inserted.replaced), { force: true }).catch(() => {});
    return inserted?.etag;
  }

  /**
   * Inserts an object in the caller's transaction.
   * @returns the new ETag and the file that is no longer used, or undefined if the condition is not met
   */
  #insert(
    key: string,
    content: Content,
    condition: Condition | undefined,
  ): { etag: string; replaced: string | null } | undefined {
    const { bucket, keepsVersions, onWritten } = this.#options;
    const current = this.#find(key);
    if (condition === "absent" && current) return undefined;
    if (typeof condition === "object" && current?.etag !== condition.ifMatch) return undefined;
    if (current) {
      const change = keepsVersions ? "UPDATE object SET latest = 0" : "DELETE FROM object";
      this.#database.prepare(`${change} WHERE id = ?`).run(current.id);
    }
    const { etag, bytes, type, metadata } = content;
    const at = this.#now().getTime();
    this.#database
      .prepare(
        "INSERT INTO object (bucket, key, latest, etag, bytes, type, metadata, at, file, body) VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?)",
      )
      .run(
        bucket,
        key,
        etag,
        bytes,
        type,
        JSON.stringify(metadata),
        at,
        "file" in content ? content.file : null,
        "body" in content ? content.body : null,
      );
    onWritten?.(key);
    return { etag, replaced: keepsVersions ? null : (current?.file ?? null) };
  }

  #find(key: string, versionId?: string): Row | undefined {
    const { bucket } = this.#options;
    const found =
      versionId === undefined
        ? this.#database
            .prepare(`SELECT ${columns} FROM object WHERE bucket = ? AND key = ? AND latest = 1`)
            .get(bucket, key)
        : this.#database
            .prepare(`SELECT ${columns} FROM object WHERE bucket = ? AND key = ? AND id = ?`)
            .get(bucket, key, Number(versionId));
    return found && rowSchema.parse(found);
  }

  #bodyOf({ id }: Row): Uint8Array {
    const found = this.#database.prepare("SELECT body FROM object WHERE id = ?").get(id);
    return found?.body instanceof Uint8Array ? found.body : new Uint8Array();
  }

  async getBytes(key: string): Promise<Uint8Array | undefined> {
    const found = this.#find(key);
    if (!found) return undefined;
    return found.file === null ? this.#bodyOf(found) : readFile(this.#pathOf(found.file));
  }

  async getStart(key: string, bytes: number): Promise<string> {
    const found = this.#existing(key);
    if (found.file === null) return Buffer.from(this.#bodyOf(found).subarray(0, bytes)).toString("utf8");
    const file = await open(this.#pathOf(found.file));
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(bytes, found.bytes)), 0);
      return buffer.toString("utf8", 0, bytesRead);
    } finally {
      await file.close();
    }
  }

  async stream(key: string, versionId?: string): Promise<AsyncIterable<Uint8Array>> {
    const found = this.#existing(key, versionId);
    if (found.file === null) return chunksOf(this.#bodyOf(found));
    return createReadStream(this.#pathOf(found.file), { highWaterMark: chunkBytes });
  }

  #existing(key: string, versionId?: string): Row {
    const found = this.#find(key, versionId);
    if (!found) throw new Error(`The bucket has no object ${key}.`);
    return found;
  }

  async head(key: string, versionId?: string): Promise<ObjectInfo | undefined> {
    const found = this.#find(key, versionId);
    if (!found) return undefined;
    const { etag, bytes, type, metadata, at } = found;
    return {
      etag,
      bytes,
      contentType: type,
      metadata: metadataSchema.parse(JSON.parse(metadata)),
      at: new Date(at),
    };
  }

  async listVersions(key: string, max: number): Promise<Version[]> {
    return this.#database
      .prepare(`SELECT ${columns} FROM object WHERE bucket = ? AND key = ? ORDER BY id DESC LIMIT ?`)
      .all(this.#options.bucket, key, max)
      .map((each) => rowSchema.parse(each))
      .map(({ id, at, latest }) => ({ versionId: String(id), at: new Date(at), isLatest: latest === 1 }));
  }

  async *objects(prefix: string, limit: number): AsyncGenerator<ListedObject> {
    let after = "";
    for (let found = 0; ; ) {
      const rows = this.#list(prefix, after, listedAtOnce);
      found += rows.length;
      if (found > limit) throw tooManyObjects(prefix, limit);
      for (const { key, etag, bytes, at } of rows) yield { key, etag, bytes, at: new Date(at) };
      if (rows.length < listedAtOnce) return;
      after = rows.at(-1)?.key ?? "";
    }
  }

  #list(prefix: string, after: string, max: number): Row[] {
    return this.#database
      .prepare(
        `SELECT ${columns} FROM object WHERE bucket = ? AND latest = 1 AND key > ? AND key >= ? AND key < ? ORDER BY key LIMIT ?`,
      )
      .all(this.#options.bucket, after, prefix, `${prefix}\u{10FFFF}`, max)
      .map((each) => rowSchema.parse(each));
  }

  /** Needs one query per folder, however many objects the folder holds. */
  async listFolders(prefix: string, limit: number): Promise<string[]> {
    const folders: string[] = [];
    for (let after = prefix; ; ) {
      const [next] = this.#list(prefix, after, 1);
      if (!next) return folders;
      const end = next.key.indexOf("/", prefix.length);
      after = next.key;
      if (end === -1) continue;
      const folder = next.key.slice(0, end + 1);
      folders.push(folder);
      if (folders.length > limit) throw tooManyObjects(prefix, limit);
      after = `${folder}\u{10FFFF}`;
    }
  }

  /** Returns the paths of the latest files below a prefix. */
  filesIn(prefix: string): string[] {
    const paths: string[] = [];
    for (let after = ""; ; ) {
      const rows = this.#list(prefix, after, listedAtOnce);
      paths.push(...rows.flatMap(({ file }) => (file === null ? [] : this.#pathOf(file))));
      if (rows.length < listedAtOnce) return paths;
      after = rows.at(-1)?.key ?? "";
    }
  }

  /** Deletes expired objects, and files without an object. */
  async prune(expirations: readonly Expiration[]): Promise<void> {
    const { bucket, folder } = this.#options;
    await this.#database.write(() => {
      for (const { prefix, before, earlierVersionsOnly = false } of expirations) {
        // As in S3, the age of an earlier version is the time since it was replaced.
        const expired = earlierVersionsOnly
          ? "EXISTS (SELECT 1 FROM object AS newer WHERE newer.bucket = object.bucket AND newer.key = object.key AND newer.id > object.id AND newer.at < ?)"
          : "at < ?";
        this.#database
          .prepare(`DELETE FROM object WHERE bucket = ? AND key >= ? AND key < ? AND ${expired}`)
          .run(bucket, prefix, `${prefix}\u{10FFFF}`, before.getTime());
      }
    });
    const named = new Set(
      this.#database
        .prepare("SELECT file FROM object WHERE bucket = ? AND file IS NOT NULL")
        .all(bucket)
        .map(({ file }) => file),
    );
    for (const file of await filesBelow(folder)) {
      if (!named.has(file)) await rm(join(folder, file), { force: true });
    }
  }

  async *versions(prefix: string): AsyncGenerator<StoredVersion> {
    const found = this.#database
      .prepare(
        "SELECT id, key, latest FROM object WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key, id DESC",
      )
      .all(this.#options.bucket, prefix, `${prefix}\u{10FFFF}`);
    for (const { id, key, latest } of found)
      yield { key: String(key), versionId: String(id), isLatest: latest === 1 };
  }

  /** If a file cannot be deleted after its row, `prune` deletes it. */
  async erase(versions: readonly StoredVersion[]): Promise<void> {
    const files = versions.flatMap(({ key, versionId }) => this.#find(key, versionId)?.file ?? []);
    await this.#database.write(() => {
      for (const { versionId } of versions)
        this.#database
          .prepare("DELETE FROM object WHERE bucket = ? AND id = ?")
          .run(this.#options.bucket, Number(versionId));
    });
    for (const file of files) await rm(this.#pathOf(file), { force: true });
  }

  /** Returns the path of an object, or undefined if it is not a file. */
  pathOf(key: string): string | undefined {
    const found = this.#find(key);
    return found?.file ? this.#pathOf(found.file) : undefined;
  }

  #pathOf(file: string): string {
    return join(this.#options.folder, file);
  }

  /** Returns the path of a new version, such as `LibInsightQueryData.20261128T025501123-1f3a9c0e.csv`. */
  #newPath(key: string): string {
    const extension = extname(key);
    const stamp = this.#now()
      .toISOString()
      .replace(/[-:.Z]/g, "");
    const name = `${basename(key, extension)}.${stamp}-${randomUUID().slice(0, 8)}${extension}`;
    return join(this.#options.folder, dirname(key), name);
  }
}

async function writeSynced(
  path: string,
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<{ etag: string; bytes: number }> {
  const hash = createHash("sha256");
  let bytes = 0;
  async function* hashed() {
    for await (const chunk of body) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  // Opened first, because a stream that fails at once would create the file after the caller removed it.
  const file = await open(path, "wx", 0o600);
  // `flush` syncs the file before closing it.
  await pipeline(hashed, file.createWriteStream({ flush: true, highWaterMark: chunkBytes }));
  return { etag: `"${hash.digest("hex").slice(0, 40)}"`, bytes };
}

async function* chunksOf(body: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < body.length; from += chunkBytes) yield body.subarray(from, from + chunkBytes);
}

async function filesBelow(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
