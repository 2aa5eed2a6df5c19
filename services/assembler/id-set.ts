// The `_id`s that were seen, one bit each: a set of numbers would grow by some 40 bytes a row.

/** Ids a chunk; a chunk takes 8 KiB, and LibInsight numbers its records one after the other. */
const chunkIds = 65_536;

export class IdSet {
  readonly #chunks = new Map<number, Uint8Array>();

  /** @param id a non-negative safe integer. @returns false where it was there already */
  add(id: number): boolean {
    const chunkNumber = Math.floor(id / chunkIds);
    let chunk = this.#chunks.get(chunkNumber);
    if (!chunk) {
      chunk = new Uint8Array(chunkIds / 8);
      this.#chunks.set(chunkNumber, chunk);
    }
    const bit = id % chunkIds;
    const byte = bit >> 3;
    const mask = 1 << (bit & 7);
    const before = chunk[byte] ?? 0;
    chunk[byte] = before | mask;
    return (before & mask) === 0;
  }
}
