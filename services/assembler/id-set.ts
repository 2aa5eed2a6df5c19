// A set of `_id`s with one bit for each. LibInsight numbers records consecutively, so 32 ids share one map entry of about
// 40 bytes. Ids far apart take an entry each, as they would in a Set.
export class IdSet {
  readonly #words = new Map<number, number>();

  /** @param id a non-negative safe integer. @returns false if the set already had it */
  add(id: number): boolean {
    const word = Math.floor(id / 32);
    const bit = 1 << (id % 32);
    const before = this.#words.get(word) ?? 0;
    if ((before & bit) !== 0) return false;
    this.#words.set(word, before | bit);
    return true;
  }
}
