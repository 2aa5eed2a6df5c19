// What a breakdown may state, so that no count from 1 to 4 can be derived from it. Three rules are enough:
// 1. Such a count is hidden.
// 2. Everything else in a breakdown (total, share, bar, order, finding) is computed from what is shown, never from the counts.
// 3. A total that is exact elsewhere must not give a hidden count away. So a breakdown with hidden counts shows one large
//    count rounded (`protect`), and weeks and hours are always rounded (`rounded`), even if nothing is hidden: a week
//    keeps its count, and the next report would otherwise show it.
// Then each hidden count may be 1, 2, 3 or 4: exchange it against a rounded one, and the report has the same bytes.

/** The least count that is shown. */
export const smallest = 5;
/** A count must be this large to be shown rounded in place of the hidden ones. */
const leastReference = 20;
/** An exact total is safe if at least this many of its parts are rounded. Each leaves room for 4. */
const roundedParts = 8;

export type Shown =
  | { kind: "exact"; n: number }
  /** To the nearest ten or five. */
  | { kind: "about"; n: number }
  | { kind: "hidden" };

export function isSmall(count: number): boolean {
  return Math.abs(count) > 0 && Math.abs(count) < smallest;
}

/** Returns what may be shown of a count that is not a part of a known total. */
export function alone(count: number): Shown {
  return isSmall(count) ? { kind: "hidden" } : { kind: "exact", n: count };
}

/** Returns a week's or an hour's count, rounded to fives. */
export function rounded(count: number): Shown {
  if (isSmall(count)) return { kind: "hidden" };
  return { kind: count === 0 ? "exact" : "about", n: Math.round(count / 5) * 5 };
}

export function roundedTens(count: number): Shown {
  if (count === 0) return { kind: "exact", n: 0 };
  return count < smallest ? { kind: "hidden" } : { kind: "about", n: Math.round(count / 10) * 10 };
}

/** Returns whether the exact total of rounded counts leaves room for every value of the hidden ones. */
export function mayStateTotal(parts: readonly Shown[]): boolean {
  const has = (kind: Shown["kind"]) => parts.filter((part) => part.kind === kind).length;
  return has("hidden") === 0 || has("about") >= roundedParts;
}

/**
 * Returns what may be shown of counts whose exact total a reader may know; undefined if nothing may. If some are hidden,
 * a large one is rounded. It is computed from its sum with the hidden ones, which the reader can derive anyway.
 * @param candidates indexes of the counts that may be rounded, the first one of at least 20 is. Their order must not
 * depend on the counts.
 */
export function protect(counts: readonly number[], candidates: readonly number[]): Shown[] | undefined {
  const hidden = counts.filter(isSmall);
  if (hidden.length === 0) return counts.map(alone);
  const index = candidates.find((candidate) => (counts[candidate] ?? 0) >= leastReference);
  if (index === undefined) return undefined;
  const sum = hidden.reduce((total, count) => total + count, 0);
  const { least, most } = rangeOf(sum, hidden.length);
  const pool = (counts[index] ?? 0) + sum;
  if (pool - most < leastReference) return undefined;
  const n = Math.round((pool - (least + most) / 2) / 10) * 10;
  return counts.map((count, at) => (at === index ? { kind: "about", n } : alone(count)));
}

/**
 * Returns the range in which the sum of the hidden counts is. It is at least ten wide, so that each of them may have
 * each value in it, and at most twenty, so that the rounded count is close.
 */
function rangeOf(sum: number, cells: number): { least: number; most: number } {
  const ranges = Math.max(1, Math.floor((3 * cells + 1) / 10));
  const index = Math.min(Math.floor((sum - cells) / 10), ranges - 1);
  const least = cells + 10 * index;
  return { least, most: index === ranges - 1 ? 4 * cells : least + 9 };
}

/** Hides the small counts in a sentence about rows, records or another noun of a kind (shared/kinds). */
export function withoutSmall(text: string): string {
  return text.replace(
    /(?<![\d.,])[1-4](?= (row|record|hourly count|monthly value|visit|unit)s?\b)/g,
    `<${smallest}`,
  );
}

/** Returns the number to draw and to calculate with. */
export function amountOf(shown: Shown): number {
  return shown.kind === "hidden" ? smallest / 2 : shown.n;
}

/** Returns the total of shown counts: exact if all are, or rounded to tens. */
export function totalOf(parts: readonly Shown[]): Shown {
  const n = parts.reduce((sum, part) => sum + amountOf(part), 0);
  if (parts.every(({ kind }) => kind === "exact")) return alone(n);
  const [part] = parts;
  if (parts.length === 1 && part) return part;
  return roundedTens(n);
}

/** Returns a part's share of a whole from 0 to 1, and whether it is exact; undefined if the part is hidden. */
export function shareOf(part: Shown, whole: Shown): { share: number; isExact: boolean } | undefined {
  if (part.kind === "hidden" || amountOf(whole) === 0) return undefined;
  const isExact = part.kind === "exact" && whole.kind === "exact";
  return { share: Math.min(part.n / amountOf(whole), 1), isExact };
}

/** Returns the change from one count to another, 0.05 for 5% more; undefined if one is hidden or it began with 0. */
export function changeOf(now: Shown, before: Shown): { change: number; isExact: boolean } | undefined {
  if (now.kind === "hidden" || before.kind === "hidden" || before.n === 0) return undefined;
  return { change: now.n / before.n - 1, isExact: now.kind === "exact" && before.kind === "exact" };
}
