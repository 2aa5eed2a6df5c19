// Finds the ranges that make up a window from the keys of its parts alone, so that the verdict does not depend on the
// functions that cut ranges (shared/ranges.ts).
import { addDays } from "../../shared/dates.ts";
import type { DateRange } from "../../shared/kinds/kind.ts";
import type { ListedObject } from "../../shared/ports.ts";

/** An object below the folder of a window's attempt. An empty one says that its range is split, or its day paged. */
export type Listed = DateRange & { page: number; pages: number; bytes: number };

/** @throws Error if the key is none of a part */
export function listed({ key, bytes }: Pick<ListedObject, "key" | "bytes">): Listed {
  const [, from = "", to = "", page = 1, pages = 1] =
    /\/([\d-]{10})_([\d-]{10})(?:_(\d{6})_(\d{6}))?$/.exec(key) ?? [];
  if (!from) throw new Error(`${key} is not the key of a part`);
  return { from, to, page: Number(page), pages: Number(pages), bytes };
}

/**
 * Returns the ranges whose parts make up a range, in order, each with its number of pages. A part of a whole range applies
 * even if parts of its pieces exist.
 * @param objects in the order of their keys
 * @throws Error if a part is missing, or if pieces leave a gap or overlap
 */
export function listedRanges(
  { from, to }: DateRange,
  objects: readonly Listed[],
): (DateRange & { pages: number })[] {
  const isOwn = (each: Listed) => each.from === from && each.to === to;
  const own = objects.find((each) => isOwn(each) && each.pages === 1);
  if (!own) throw new Error(`${from} to ${to} has no part`);
  if (own.bytes > 0) return [{ from, to, pages: 1 }];
  if (from === to) {
    const found = objects.filter((each) => isOwn(each) && each !== own);
    const isWhole = found.every(({ page, pages }, n) => page === n + 1 && pages === found.length);
    if (found.length < 2 || !isWhole) throw new Error(`${from} has no part of some of its pages`);
    return [{ from, to, pages: found.length }];
  }
  const inside = objects.filter(
    (each) => each.pages === 1 && !isOwn(each) && each.from >= from && each.to <= to,
  );
  const pieces = inside.filter(
    (piece) => !inside.some((other) => other !== piece && other.from <= piece.from && other.to >= piece.to),
  );
  const starts = [from, ...pieces.map((piece) => addDays(piece.to, 1))];
  const isTiled = starts.at(-1) === addDays(to, 1) && pieces.every((piece, n) => piece.from === starts[n]);
  if (!isTiled) throw new Error(`the pieces of ${from} to ${to} leave a gap or overlap`);
  return pieces.flatMap((piece) => listedRanges(piece, objects));
}
