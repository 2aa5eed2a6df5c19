// Merges the rows of the published file with those of the new one while that is written, and finds the rows that differ.
// Both files are read once, side by side. A row that is at another place in the other file waits for its counterpart, so
// memory holds only the rows between the two places.
import { bufferOf, type LineReader } from "./line-reader.ts";

const newline = 0x0a;

/** A row and its place in its file, from 1. The line has one character for each byte, and no "\n". */
export type Row = { line: string; place: number };
/** An added row has no `before`, and a deleted one no `now`. */
export type RowPair = { before: Row; now: Row | undefined } | { before: undefined; now: Row };

/** The entry of a waiting row in its map, in bytes. */
const entryBytes = 160;
/** The lines that are found before they are passed on. */
const batchBytes = 256 * 1024;

export type MergeOptions = {
  /** Receives each row that is not the same in both files, or not at the same place among those that are. */
  onDifferences: (pairs: RowPair[]) => Promise<void>;
  /** Whether rows with the same bytes are the same. Not if the files have different headers. */
  comparesBytes: boolean;
  maxWaitingBytes: number;
};

export class RowMerge {
  readonly #before: LineReader;
  readonly #options: MergeOptions;
  readonly #waitingBefore = new Map<number, Row>();
  readonly #waitingNow = new Map<number, Row>();
  #waitingBytes = 0;
  #hasUnknownRow = false;
  #found: RowPair[] = [];
  #foundBytes = 0;
  /** The last row, if it is not complete. */
  #rest: Buffer = Buffer.alloc(0);
  #placeBefore = 0;
  #placeNow = 0;
  /** The places of the last rows that are the same and in the same order. */
  #inOrder = { before: 0, now: 0 };

  /** @param before the rows of the published file */
  constructor(before: LineReader, options: MergeOptions) {
    this.#before = before;
    this.#options = options;
  }

  /**
   * Adds rows of the new file.
   * @returns false if too many rows wait or a row has no `_id` of its own, so that the files cannot be compared
   */
  async add(rows: Uint8Array): Promise<boolean> {
    const bytes = this.#rest.length === 0 ? bufferOf(rows) : Buffer.concat([this.#rest, rows]);
    let start = 0;
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
      this.#placeNow += 1;
      for (let isPlaced = false; !isPlaced; ) {
        if (!this.#before.hasLine) await this.#before.read();
        isPlaced = this.#place(bytes, start, end);
      }
      if (!this.#isComparable) return false;
      if (this.#foundBytes >= batchBytes) await this.#passOn();
      start = end + 1;
    }
    this.#rest = Buffer.from(bytes.subarray(start));
    await this.#passOn();
    return true;
  }

  /** Ends the comparison after the last row. @returns as `add` */
  async finish(): Promise<boolean> {
    while (this.#before.hasLine || (await this.#before.read())) {
      const before = this.#takeBefore();
      const now = this.#leave(this.#waitingNow, this.#idOf(before));
      if (now) this.#pair(before, now);
      else this.#find({ before, now });
      if (this.#foundBytes >= batchBytes) await this.#passOn();
    }
    for (const pair of this.#unpaired()) {
      this.#find(pair);
      if (this.#foundBytes >= batchBytes) await this.#passOn();
    }
    await this.#passOn();
    return this.#isComparable;
  }

  get #isComparable(): boolean {
    return this.#waitingBytes <= this.#options.maxWaitingBytes && !this.#hasUnknownRow;
  }

  *#unpaired(): Generator<RowPair> {
    for (const before of this.#waitingBefore.values()) yield { before, now: undefined };
    for (const now of this.#waitingNow.values()) yield { before: undefined, now };
  }

  /**
   * Compares a row with the next one of the published file.
   * @returns whether the row is placed; otherwise the row after that one is next
   */
  #place(bytes: Buffer, start: number, end: number): boolean {
    const { hasLine } = this.#before;
    if (hasLine && this.#options.comparesBytes && this.#before.isLine(bytes, start, end)) {
      this.#before.skip();
      this.#placeBefore += 1;
      this.#inOrder = { before: this.#placeBefore, now: this.#placeNow };
      return true;
    }
    const now = { line: bytes.toString("latin1", start, end), place: this.#placeNow };
    const id = this.#idOf(now);
    const waitingBefore = this.#leave(this.#waitingBefore, id);
    if (waitingBefore) {
      this.#pair(waitingBefore, now);
      return true;
    }
    if (!hasLine) {
      this.#find({ before: undefined, now });
      return true;
    }
    const before = this.#takeBefore();
    const idBefore = this.#idOf(before);
    const waitingNow = this.#leave(this.#waitingNow, idBefore);
    if (waitingNow) {
      this.#pair(before, waitingNow);
      return false;
    }
    if (idBefore === id) {
      this.#pair(before, now);
    } else {
      this.#wait(this.#waitingBefore, idBefore, before);
      this.#wait(this.#waitingNow, id, now);
    }
    return true;
  }

  /**
   * Pairs the two versions of a row. This happens as soon as both are read, so pairs that have the same order in both files
   * come in that order, and a row that moved is the one that comes too late.
   */
  #pair(before: Row, now: Row): void {
    const isSame = this.#options.comparesBytes && before.line === now.line;
    const { before: lastBefore, now: lastNow } = this.#inOrder;
    if (isSame && before.place > lastBefore && now.place > lastNow)
      this.#inOrder = { before: before.place, now: now.place };
    else this.#find({ before, now });
  }

  #takeBefore(): Row {
    this.#placeBefore += 1;
    return { line: this.#before.take(), place: this.#placeBefore };
  }

  /** Returns the row's `_id`, which is its first field. */
  #idOf({ line }: Row): number {
    const id = /^\d{1,16}(?=,|$)/.exec(line)?.[0];
    if (id === undefined) this.#hasUnknownRow = true;
    return Number(id);
  }

  #wait(waiting: Map<number, Row>, id: number, row: Row): void {
    if (waiting.has(id)) this.#hasUnknownRow = true;
    waiting.set(id, row);
    this.#waitingBytes += row.line.length + entryBytes;
  }

  #leave(waiting: Map<number, Row>, id: number): Row | undefined {
    const row = waiting.size === 0 ? undefined : waiting.get(id);
    if (!row) return undefined;
    waiting.delete(id);
    this.#waitingBytes -= row.line.length + entryBytes;
    return row;
  }

  #find(pair: RowPair): void {
    this.#found.push(pair);
    this.#foundBytes += (pair.before?.line.length ?? 0) + (pair.now?.line.length ?? 0) + entryBytes;
  }

  async #passOn(): Promise<void> {
    if (this.#found.length === 0) return;
    const found = this.#found;
    this.#found = [];
    this.#foundBytes = 0;
    await this.#options.onDifferences(found);
  }
}
