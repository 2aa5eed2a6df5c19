// Generates seeded random numbers, so that the same seed gives the same records on every machine.

/** Returns a number from 0 to 1, excluding 1. */
export type Random = () => number;

/** Implements Mulberry32, https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
export function seeded(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Returns a separate stream for the n-th record, which can be generated without the records before it. */
export function seededAt(seed: number, n: number): Random {
  return seeded(Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(n + 1, 0x85ebca6b));
}

export type NonEmpty<T> = readonly [T, ...T[]];

export function pick<T>(random: Random, values: NonEmpty<T>): T {
  return values[Math.floor(random() * values.length)] ?? values[0];
}

/** Values with their relative frequencies. */
export type Weighted<T> = NonEmpty<readonly [T, number]>;

export function pickWeighted<T>(random: Random, values: Weighted<T>): T {
  let left = random() * values.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [value, weight] of values) {
    left -= weight;
    if (left < 0) return value;
  }
  return values[0][0];
}

/** Returns a whole number between two inclusive limits. */
export function between(random: Random, least: number, most: number): number {
  return least + Math.floor(random() * (most - least + 1));
}
