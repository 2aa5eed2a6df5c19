// Finds rows that repeat another row under another `_id`, as the rows of a day that was imported twice do.

/** Four bytes each: 16 MB. */
const defaultSlots = 2 ** 22;

/**
 * Remembers rows by a hash of 31 bits, in fixed memory. Two different rows have the same hash in fewer than one of 700
 * rows, even with 3 million of them.
 */
export class RowHashes {
  readonly #slots: Uint32Array;
  /** More rows would make the search for a free slot slow. Further rows are compared with these and not remembered. */
  readonly #maxRemembered: number;
  #remembered = 0;

  /** @param slots a power of two */
  constructor(slots = defaultSlots) {
    this.#slots = new Uint32Array(slots);
    this.#maxRemembered = slots * 0.75;
  }

  /** Returns whether the row is new, is the first repeat of another row, or is a further one. */
  add(hash: number): "new" | "repeat" | "further repeat" {
    // The lowest bit of a slot says whether the row was repeated. An empty slot is 0.
    const key = (mix(hash) & ~1) >>> 0 || 2;
    const mask = this.#slots.length - 1;
    for (let at = mix(key) & mask; ; at = (at + 1) & mask) {
      const found = this.#slots[at] ?? 0;
      if (found === 0) {
        if (this.#remembered < this.#maxRemembered) {
          this.#slots[at] = key;
          this.#remembered += 1;
        }
        return "new";
      }
      if ((found & ~1) >>> 0 !== key) continue;
      this.#slots[at] = key | 1;
      return found & 1 ? "further repeat" : "repeat";
    }
  }
}

/**
 * Returns the FNV-1a hash of a field. Two characters at a time are twice as fast.
 * @param text with one character for each byte
 * @param hash of the fields before this one
 */
export function hashOf(text: string, start: number, end: number, hash: number): number {
  let next = hash;
  let at = start;
  for (; at + 1 < end; at += 2)
    next = Math.imul(next ^ (text.charCodeAt(at) | (text.charCodeAt(at + 1) << 8)), 0x01000193);
  if (at < end) next = Math.imul(next ^ text.charCodeAt(at), 0x01000193);
  // A comma ends the field.
  return Math.imul(next ^ 0x2c, 0x01000193);
}

/** Spreads the bits of a hash: the finalizer of MurmurHash3. */
function mix(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
