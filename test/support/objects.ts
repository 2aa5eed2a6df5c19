// Writes objects like another writer.
import { Readable } from "node:stream";
import type { ObjectStore } from "../../shared/ports.ts";

/** Creates or overwrites an object with a stream. */
export async function overwrite(
  store: ObjectStore,
  key: string,
  content: string | Uint8Array,
  metadata: Record<string, string> = {},
): Promise<void> {
  const current = await store.head(key);
  await store.upload(key, Readable.from([Buffer.from(content)]), {
    contentType: "text/csv",
    metadata,
    condition: current ? { ifMatch: current.etag } : "absent",
  });
}
