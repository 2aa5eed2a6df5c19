// Objects of buckets as another writer puts them there.
import { Readable } from "node:stream";
import type { ObjectStore } from "../../shared/ports.ts";

/** Overwrites an object with a stream, or creates it. */
export async function overwrite(
  store: ObjectStore,
  key: string,
  text: string,
  metadata: Record<string, string> = {},
): Promise<void> {
  const current = await store.head(key);
  await store.upload(key, Readable.from([Buffer.from(text)]), {
    contentType: "text/csv",
    metadata,
    condition: current ? { ifMatch: current.etag } : "absent",
  });
}
