// The published files as streams of parts, in output order: by window, then page, then row. Memory: the parts that are
// read ahead, whatever the number of rows.
import { pMapIterable } from "p-map";
import type { ListedObject, Store } from "../../shared/aws/store.ts";
import { csvRows } from "../../shared/csv.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import { maxPages } from "../../shared/run.ts";
import type { Ledger, PartPlan } from "./ledger.ts";
import { fitCsv, fitJsonl, isCopiedAsIs } from "./part.ts";

/**
 * Objects read ahead of the one that is used: hides S3's latency, which is some ten times what an object takes here.
 * A part is some 40 KB.
 */
export const readAhead = 32;

/** @param columns the header */
export function filesOf(runId: string, ledger: Ledger, columns: string[], work: Store) {
  const allAppended = ledger.appended;
  async function* copied(
    keyOf: (address: PartPlan & { runId: string }) => string,
    etagOf: (part: PartPlan) => string,
    fitTo: typeof fitCsv,
  ) {
    const bodies = pMapIterable(
      ledger.parts,
      async (part) => {
        const body = await work.getBytes(keyOf({ runId, ...part }), etagOf(part));
        if (body === "changed") throw new PartChanged(runId, part.window);
        return { part, body };
      },
      { concurrency: readAhead },
    );
    for await (const { part, body } of bodies) {
      const fitted = { ...part, allAppended };
      yield isCopiedAsIs(fitted) ? body : Buffer.from(fitTo(Buffer.from(body).toString("utf8"), fitted));
    }
  }
  return {
    async *csv() {
      yield Buffer.from(csvRows([columns]));
      yield* copied(keys.part, (part) => part.etags.csv, fitCsv);
    },
    jsonl: () => copied(keys.partLines, (part) => part.etags.jsonl, fitJsonl),
  };
}

/**
 * Looks whether all parts are the counted ones before any is published: the CSV goes first, and of a run whose JSON
 * lines then fail nothing may stand in its place.
 * @throws PartChanged
 */
export async function checkParts(runId: string, ledger: Ledger, work: Store): Promise<void> {
  // Both are in the order of keys, so one goes along the other and nothing is kept.
  let listing: AsyncGenerator<ListedObject> | undefined;
  let folder = "";
  const find = async (key: string): Promise<string | undefined> => {
    for (;;) {
      const next = await listing?.next();
      if (!next || next.done || next.value.key > key) return undefined;
      if (next.value.key === key) return next.value.etag;
    }
  };
  for (const part of ledger.parts) {
    const address = { runId, ...part };
    if (keys.parts(address) !== folder) {
      folder = keys.parts(address);
      listing = work.objects(folder, 2 * maxPages);
    }
    const same =
      (await find(keys.part(address))) === part.etags.csv &&
      (await find(keys.partLines(address))) === part.etags.jsonl;
    if (!same) throw new PartChanged(runId, part.window);
  }
}

/** A part is not the one that its summary counted: two deliveries of its page, with other records, were mixed up. */
export class PartChanged extends PipelineError {
  readonly window: number;

  constructor(runId: string, window: number) {
    super("PartChanged", {
      message: "A part changed after it was counted, because its page was fetched twice.",
      advice: "Its window is fetched again by itself; after the last attempt, request the run again.",
      kind: "transient",
      ids: { run: runId, window },
    });
    this.window = window;
  }
}
