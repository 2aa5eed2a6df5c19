// What the local S3 keeps of objects that were replaced, in buckets with versions: one JSON file that lists them
// (`versions.json`), and the bytes of each in a file of its own (`versions/`).
import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { openJsonFile } from "./json-file.ts";
import { endToEnd, storedObject } from "./s3-upstream.ts";

/** Of each key, with the one in place; a weekly run has 13 in the 90 days after which a deployed stage forgets them. */
const maxVersions = 20;

const oldVersion = z.strictObject({
  versionId: z.string(),
  etag: z.string(),
  size: z.int(),
  lastModified: z.string(),
  /** As the object was answered with: names and values in turn. */
  headers: z.array(z.string()),
  /** Its bytes, below `versions/`. */
  file: z.string(),
});
export type OldVersion = z.infer<typeof oldVersion>;

/** By bucket and key, the newest first. A bucket that stands here has versions. */
const oldVersions = z.record(z.string(), z.record(z.string(), z.array(oldVersion)));

export async function openArchive(dataDir: string) {
  const folder = join(dataDir, "versions");
  const index = await openJsonFile(join(dataDir, "versions.json"), oldVersions, {});
  await mkdir(folder, { recursive: true });
  await sweep(folder, index.value);

  const of = (bucket: string, key: string): OldVersion[] => index.value[bucket]?.[key] ?? [];
  return {
    has: (bucket: string): boolean => index.value[bucket] !== undefined,

    async add(bucket: string): Promise<void> {
      if (index.value[bucket] === undefined) await index.replace({ ...index.value, [bucket]: {} });
    },

    async remove(bucket: string): Promise<void> {
      const { [bucket]: gone, ...others } = index.value;
      if (gone !== undefined) await index.replace(others);
    },

    /** The versions of a key that are no longer in place, the newest first. */
    of,

    /**
     * Keeps the object that is about to be replaced. It counts from the moment at which the list names it.
     * @param answered a GET request's answer, its body unread
     */
    async keep(bucket: string, key: string, answered: IncomingMessage): Promise<void> {
      const file = randomUUID();
      await pipeline(answered, createWriteStream(join(folder, file), { flush: true }));
      const version = { ...storedObject(answered), headers: endToEnd(answered.rawHeaders), file };
      const all = [version, ...of(bucket, key)];
      const kept = all.slice(0, maxVersions - 1);
      await index.replace({ ...index.value, [bucket]: { ...index.value[bucket], [key]: kept } });
      for (const dropped of all.slice(kept.length)) await rm(join(folder, dropped.file), { force: true });
    },

    read: ({ file }: OldVersion): Readable => createReadStream(join(folder, file)),
  };
}

/** Removes what a process left that died between file and list. */
async function sweep(folder: string, listed: z.infer<typeof oldVersions>): Promise<void> {
  const versions = Object.values(listed).flatMap((keys) => Object.values(keys).flat());
  const known = new Set(versions.map(({ file }) => file));
  for (const file of await readdir(folder)) if (!known.has(file)) await rm(join(folder, file));
}
