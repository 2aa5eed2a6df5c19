// Reads a run's parts once, in output order (by window, then page), in bounded memory.
import { keys } from "../../shared/keys.ts";
import { decodePart, type Part } from "../../shared/part.ts";
import type { ListedObject, ObjectStore } from "../../shared/ports.ts";
import { maxPages } from "../../shared/run.ts";
import type { CountedWindow, Ledger } from "./ledger.ts";

/** Reading ahead hides S3's latency, which is about ten times the time to process a part of 90 KB. */
const maxPartsAhead = 32;
const maxBytesAhead = 16 * 1024 * 1024;

/**
 * Adds every part to the ledger and passes it on.
 * @param each receives the part and the indexes of its duplicate rows
 * @throws PipelineError `PartUnreadable`
 */
export async function readParts(
  { runId, windows, work }: { runId: string; windows: readonly CountedWindow[]; work: ObjectStore },
  ledger: Ledger,
  each: (part: Part, skip: number[]) => Promise<void>,
): Promise<void> {
  for (const counted of windows) {
    ledger.beginWindow(counted);
    const { window, attempt } = counted;
    const listing = work.objects(keys.parts({ runId, window: window.number, attempt }), maxPages);
    const parts = readAhead(listing, async ({ key }) => {
      const part = await work.getBytes(key);
      // Parts are kept for 30 days, so a listed one exists.
      if (!part) throw new Error(`The part ${key} was listed and does not exist.`);
      return decodePart(key, part);
    });
    for await (const part of parts) await each(part, ledger.addPage(part.summary));
    ledger.endWindow();
  }
}

/**
 * Yields the result of `read` for each object, in order, and reads ahead: at most 32 objects, and 16 MiB or one larger
 * object.
 */
export async function* readAhead<T>(
  listing: AsyncIterable<ListedObject>,
  read: (object: ListedObject) => Promise<T>,
): AsyncGenerator<T> {
  const ahead: { bytes: number; value: Promise<T> }[] = [];
  let bytesAhead = 0;
  const add = ({ bytes }: ListedObject, value: Promise<T>): void => {
    // If an earlier read fails, this value is never awaited. Its own error must not count as unhandled.
    value.catch(() => {});
    ahead.push({ bytes, value });
    bytesAhead += bytes;
  };
  for await (const object of listing) {
    while (ahead.length >= maxPartsAhead || (ahead.length > 0 && bytesAhead + object.bytes > maxBytesAhead)) {
      yield* next();
    }
    add(object, read(object));
  }
  while (ahead.length > 0) yield* next();

  async function* next(): AsyncGenerator<T> {
    const first = ahead.shift();
    if (!first) return;
    yield await first.value;
    bytesAhead -= first.bytes;
  }
}
