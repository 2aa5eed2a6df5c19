// Reads a run's parts once, in output order (by window, then range and page), in bounded memory.
import type { WindowAttempt } from "../../shared/attempts.ts";
import { keys } from "../../shared/keys.ts";
import type { Recount } from "../../shared/kinds/kind.ts";
import type { Window } from "../../shared/messages.ts";
import { decodePart, type Part } from "../../shared/part.ts";
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
  for await (const { window, part } of readAhead(listedParts(read), ({ key, window }) =>
    load(key, window, read.work),
  )) {
    if (window !== open) {
      endWindow();
      open = window;
      ledger.beginWindow(window);
    }
    if (part) await each(part, ledger.addPart(part.summary));
    else ledger.missParts("a part of an earlier run does not exist any more");
  }
  endWindow();
}

type ListedPart = { window: Window; key: string; bytes: number };

/** A kept part's size is not listed. */
const keptBytes = 100_000;

async function* listedParts({ run, windows, work }: ReadRun): AsyncGenerator<ListedPart> {
  for await (const { window, attempt, parts, missing } of windowParts(run, windows, work)) {
    if (window.reused && attempt === 1) {
      for (const name of window.reused.parts)
        yield { window, key: keys.kept(run.dataset, name), bytes: keptBytes };
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
  key: string,
  window: Window,
  work: ObjectStore,
): Promise<{ window: Window; part: Part | undefined }> {
  const bytes = await work.getBytes(key);
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
