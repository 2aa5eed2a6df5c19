// Reads a run's parts once, in output order (by window, then page), with memory bounded in bytes whatever the number of
// rows.
import { keys } from "../../shared/keys.ts";
import { decodePart, type Part } from "../../shared/part.ts";
import type { ListedObject, ObjectStore } from "../../shared/ports.ts";
import { maxPages } from "../../shared/run.ts";
import type { Ledger, WindowAccount } from "./ledger.ts";

/** Reading ahead hides S3's latency, which is some ten times what a part of 90 KB takes here. */
const maxPartsAhead = 32;
const maxBytesAhead = 16 * 1024 * 1024;

/**
 * Adds every part to the ledger, and passes on each.
 * @param each gets a part and the indexes of its rows that are duplicates
 * @throws PipelineError `PartUnreadable`
 */
export async function readParts(
  { runId, accounts, work }: { runId: string; accounts: readonly WindowAccount[]; work: ObjectStore },
  ledger: Ledger,
  each: (part: Part, skip: number[]) => Promise<void>,
): Promise<void> {
  for (const account of accounts) {
    ledger.beginWindow(account);
    const listing = work.objects(
      keys.parts({ runId, window: account.window.number, attempt: account.attempt }),
      maxPages,
    );
    const parts = readAhead(listing, async ({ key }) => {
      const part = await work.getBytes(key);
      // A part that was listed is kept for weeks.
      if (!part) throw new Error(`The part ${key} was listed and does not exist.`);
      return decodePart(key, part);
    });
    for await (const part of parts) await each(part, ledger.addPage(part.summary));
    ledger.endWindow();
  }
}

/**
 * Yields what `read` returns for each object, in their order, while it reads the next ones: 32 objects at most, and
 * 16 MiB or one object.
 */
export async function* readAhead<T>(
  listing: AsyncIterable<ListedObject>,
  read: (object: ListedObject) => Promise<T>,
): AsyncGenerator<T> {
  const ahead: { bytes: number; value: Promise<T> }[] = [];
  let bytesAhead = 0;
  const add = ({ bytes }: ListedObject, value: Promise<T>): void => {
    // The error of a value that is never awaited, because an earlier one failed, is not unhandled.
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
