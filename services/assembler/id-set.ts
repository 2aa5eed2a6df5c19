// The `_id`s that were seen, one bit each: LibInsight numbers its records one after the other, so 32 of them share an
// entry of some 40 bytes. Ids that lie far apart take such an entry each, as in a set of numbers.
export class IdSet {
  readonly #words = new Map<number, number>();

  /** @param id a non-negative safe integer. @returns false where it was there already */
  add(id: number): boolean {
    const word = Math.floor(id / 32);
    const bit = 1 << (id % 32);
    const before = this.#words.get(word) ?? 0;
    if ((before & bit) !== 0) return false;
    this.#words.set(word, before | bit);
    return true;
  }
}
