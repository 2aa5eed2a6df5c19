// Reads a run's parts once, in output order (by window, then range and page), in bounded memory.
import { isReused, type WindowAttempt } from "../../shared/attempts.ts";
import { keys } from "../../shared/keys.ts";
import type { Recount } from "../../shared/kinds/kind.ts";
import type { Window } from "../../shared/messages.ts";
import { decodeKeptPart, decodePart, type Part } from "../../shared/part.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { expired, type Run } from "../../shared/run.ts";
import { windowParts } from "../../shared/window-parts.ts";
import type { Ledger } from "./ledger.ts";

/** Reading ahead hides S3's latency, which is about ten times the time to process a part of 90 KB. */
const maxPartsAhead = 32;
const maxBytesAhead = 16 * 1024 * 1024;

/** A period and what LibInsight counted in it after all pages of the run were transformed. */
export type CountedPeriod = { period: Window; recounted: Recount };
export type ReadRun = {
  run: Run;
  windows: readonly WindowAttempt[];
  periods: readonly CountedPeriod[];
  work: ObjectStore;
};

/**
 * Adds every part to the ledger and passes it on.
 * @param each receives the part and the indexes of its duplicate rows
 * @throws PipelineError `PartUnreadable`, `WindowMissing`
 */
export async function readParts(
  read: ReadRun,
  ledger: Ledger,
  each: (part: Part, skip: number[]) => Promise<void>,
): Promise<void> {
  const periods = [...read.periods];
  let open: Window | undefined;
  const endWindow = () => {
    if (!open) return;
    ledger.endWindow();
    const [period] = periods;
    if (period?.period.to === open.to) {
      ledger.endPeriod(period.period, period.recounted);
      periods.shift();
    }
  };
  for await (const { window, part } of readAhead(listedParts(read), (listed) => load(listed, read.work))) {
    if (window !== open) {
      endWindow();
      open = window;
      ledger.beginWindow(window);
    }
    if (part) await each(part, ledger.addPart(part.summary));
    else ledger.disagree(window, "a part of an earlier run does not exist any more");
  }
  endWindow();
  await findMoved(read, ledger);
}

/** A record that is in a reused window and in another one has moved since the reused one was fetched. */
async function findMoved(read: ReadRun, ledger: Ledger): Promise<void> {
  const windows = read.windows.filter(isReused);
  if (ledger.repeated.size === 0 || windows.length === 0) return;
  const parts = readAhead(listedParts({ ...read, windows }), (listed) => load(listed, read.work));
  for await (const { window, part } of parts)
    if (part?.summary.ids.some((id) => ledger.repeated.has(id)))
      ledger.disagree(window, "a record of an earlier run is in another window now");
}

/** `kept` is the name of a kept part. */
type ListedPart = { window: Window; key: string; bytes: number; kept?: string };

/** A kept part's size is not listed, so at most eight are read ahead. The largest page has 8 MiB of records. */
const keptBytes = maxBytesAhead / 8;

async function* listedParts({ run, windows, work }: ReadRun): AsyncGenerator<ListedPart> {
  for await (const { window, attempt, parts, missing } of windowParts(run, windows, work)) {
    if (window.reused && isReused({ window, attempt })) {
      for (const kept of window.reused.parts)
        yield { window, key: keys.kept(run.dataset, kept), bytes: keptBytes, kept };
      continue;
    }
    if (missing.length > 0)
      throw expired("WindowMissing", {
        what: "A part of a window",
        ids: { run: run.runId, window: window.number },
      });
    for (const { key, bytes } of parts) yield { window, key, bytes };
  }
}

async function load(
  { key, window, kept }: ListedPart,
  work: ObjectStore,
): Promise<{ window: Window; part: Part | undefined }> {
  const bytes = await work.getBytes(key);
  if (kept !== undefined) return { window, part: bytes && decodeKeptPart(kept, bytes) };
  return { window, part: bytes && decodePart(key, bytes) };
}

/**
 * Yields the result of `read` for each object, in order, and reads ahead: at most 32 objects, and 16 MiB or one larger
 * object.
 */
export async function* readAhead<T, O extends { bytes: number }>(
  listing: AsyncIterable<O>,
  read: (object: O) => Promise<T>,
): AsyncGenerator<T> {
  const ahead: { bytes: number; value: Promise<T> }[] = [];
  let bytesAhead = 0;
  const add = ({ bytes }: O, value: Promise<T>): void => {
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
