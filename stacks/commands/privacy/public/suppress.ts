// Chooses the counts of a table to suppress, and proves that the published ones reveal no small count.
//
// The definition is the upper protection of statistical disclosure control (Fischetti and Salazar, Models and Algorithms
// for Optimizing Cell Suppression in Tabular Data with Linear Constraints, JASA 95, 2000), with the threshold k: for each
// combination with fewer than k records, some table agrees with all that is published and has k records or more there.
// "Agrees" means: whole numbers, the same published counts, and records in the same combinations, because the file lists
// them. It follows that no sum or difference of published counts, and no bound from them, shows that a combination, a
// subtotal or any other union of combinations has records, but fewer than k.
//
// Such a table is made by moves, which change some answers of some records. A move gives the small combination one record
// and takes one from a donor, which has some of its answers; a second donor, which has its other answers, and the
// combination of the donors' remaining ones make the move an exchange that changes few subtotals. The counts that a move
// changes are suppressed. So the table itself is the proof, which is checked in whole numbers. Where other moves also lead to
// k without a suppressed count, it is published again.
import { PipelineError } from "../../../../shared/errors.ts";
import { placesOf, type Table, totalsOf } from "./table.ts";

/** Bounds the moves that are compared for a small combination. */
const maxExchanges = 450;
/** Members of a subtotal among which donors are chosen. */
const maxMembers = 200;

/** Bounds the combinations whose proofs are reviewed, and the proofs that are tried instead. */
const maxReviewed = 2_000;
const maxProofs = 5_000;
/** Readers look first for the total and for those of single answers. */
const mainWeight = 10;

/** The records of the combinations in which another table differs, by their numbers. */
type Alternative = ReadonlyMap<number, number>;
export type Protection = {
  suppressed: ReadonlySet<number>;
  /** The number of suppressed combinations and subtotals with fewer than k records. */
  primary: number;
  /** For each combination with fewer than k records, a table that has k there. */
  alternatives: ReadonlyMap<number, Alternative>;
};

/** Returns which counts to suppress. Ends after at most k rounds for each proof. */
export function protect(table: Table, k: number): Protection {
  const { counts } = table;
  const suppressed = new Set<number>();
  for (const [cell, records] of counts) if (records < k) suppressed.add(cell);
  const primary = suppressed.size;
  const totals = new Map(
    combinationsOf(table).map(([cell]) => [cell, totalsOf(placesOf(cell, table), table.strides)]),
  );
  const search: Search = { table, k, suppressed, totals, members: membersOf({ table, k, totals }) };
  const alternatives = new Map<number, Alternative>();
  for (const cell of smallCells(table, k)) alternatives.set(cell, raise(cell, search) ?? new Map());
  if (alternatives.size <= maxReviewed) release(alternatives, search);
  return { suppressed, primary, alternatives };
}

/** Publishes again what the proofs can do without, the most useful counts first. */
function release(alternatives: Map<number, Alternative>, search: Search): void {
  const { table, k, suppressed, totals } = search;
  const recordsIn = (cell: number) => table.counts.get(cell) ?? 0;
  const changedIn = (alternative: Alternative) =>
    new Set(
      changedBy(
        [...alternative].map(([cell, records]) => [cell, records - recordsIn(cell)]),
        totals,
      ),
    );
  const changed = new Map([...alternatives].map(([cell, alternative]) => [cell, changedIn(alternative)]));
  let proofs = 0;
  const provenWithout = (candidate: number): Map<number, Alternative> | undefined => {
    const others = new Map<number, Alternative>();
    for (const [cell, counts] of changed) {
      if (!counts.has(candidate)) continue;
      proofs += 1;
      const other = proofs <= maxProofs ? raise(cell, search, false) : undefined;
      if (!other) return undefined;
      others.set(cell, other);
    }
    return others;
  };
  const complementary = [...suppressed].filter((cell) => recordsIn(cell) >= k);
  for (const candidate of complementary.sort((one, other) => costOf(other, table) - costOf(one, table))) {
    suppressed.delete(candidate);
    const others = provenWithout(candidate);
    if (!others) suppressed.add(candidate);
    for (const [cell, other] of others ?? []) {
      alternatives.set(cell, other);
      changed.set(cell, changedIn(other));
    }
  }
}

/** Returns the combinations with fewer than k records, the smallest first, because they need the most. */
function smallCells(table: Table, k: number): number[] {
  return combinationsOf(table)
    .filter(([, records]) => records < k)
    .sort(([cell, records], [other, others]) => records - others || cell - other)
    .map(([cell]) => cell);
}

function combinationsOf(table: Table): [cell: number, records: number][] {
  return [...table.counts].filter(([cell]) => !placesOf(cell, table).includes(0));
}

/** Returns the combinations in each subtotal: the small ones first, then those that cost the least. */
function membersOf({ table, k, totals }: Pick<Search, "table" | "k" | "totals">): Map<number, number[]> {
  const members = new Map<number, number[]>();
  const cost = (records: number) => (records < k ? -records : records);
  for (const [cell] of combinationsOf(table).sort(([, one], [, other]) => cost(one) - cost(other)))
    for (const total of totals.get(cell) ?? []) {
      const cells = members.get(total) ?? [];
      if (cells.length < maxMembers) members.set(total, [...cells, cell]);
    }
  return members;
}

type Search = {
  table: Table;
  k: number;
  suppressed: Set<number>;
  /** The combination and the subtotals that contain it, for each combination. */
  totals: ReadonlyMap<number, number[]>;
  members: ReadonlyMap<number, number[]>;
};
/** The combinations that a move gives one record, with 1, and those from which it takes one, with -1. */
type Move = [cell: number, change: number][];

/**
 * Returns a table with k records in a combination, and suppresses the counts that differ in it.
 * @param maySuppress whether it may suppress more; if not, returns undefined without such a table
 */
function raise(
  cell: number,
  { table, k, suppressed, totals, members }: Search,
  maySuppress = true,
): Alternative | undefined {
  const { counts } = table;
  const alternative = new Map<number, number>();
  const recordsIn = (other: number) => alternative.get(other) ?? counts.get(other) ?? 0;
  const recordsOf = (move: Move) =>
    move.reduce(
      (least, [other, change]) => (change < 0 ? Math.min(least, recordsIn(other) - 1) : least),
      k - recordsIn(cell),
    );
  const apply = (move: Move, records: number) => {
    for (const [other, change] of move) alternative.set(other, recordsIn(other) + change * records);
  };
  const own = totals.get(cell) ?? [];
  const maxDonors = Math.floor(Math.sqrt(maxExchanges / Math.max(own.length / 2 - 1, 1)));
  const donorsIn = (total: number) => {
    const able = (members.get(total) ?? []).filter((other) => other !== cell && recordsIn(other) > 1);
    const free = able.filter((other) => suppressed.has(other));
    return [...free, ...able.filter((other) => !suppressed.has(other))].slice(0, maxDonors);
  };
  while (recordsIn(cell) < k) {
    const before = recordsIn(cell);
    let best: { move: Move; changed: number[]; cost: number } | undefined;
    for (const move of movesTo(cell, own.map(donorsIn), counts)) {
      const records = recordsOf(move);
      if (records < 1) continue;
      const changed = changedBy(move, totals);
      const cost = changed.reduce(
        (sum, total) => sum + (suppressed.has(total) ? 0 : costOf(total, table)),
        0,
      );
      if (cost === 0) apply(move, records);
      else if (!best || cost / records < best.cost) best = { move, changed, cost: cost / records };
    }
    if (!maySuppress && recordsIn(cell) === before) return undefined;
    const records = best && maySuppress ? recordsOf(best.move) : 0;
    if (!best || records < 1) continue;
    for (const total of best.changed) suppressed.add(total);
    apply(best.move, records);
  }
  return alternative;
}

/** @param donors in each of the combination's totals, which pair up from both ends: together they have all its answers */
function* movesTo(cell: number, donors: number[][], counts: ReadonlyMap<number, number>): Generator<Move> {
  for (const [index, ones] of donors.entries())
    for (const one of ones) {
      yield [
        [cell, 1],
        [one, -1],
      ];
      if (index === 0 || index >= donors.length / 2) continue;
      for (const other of donors[donors.length - 1 - index] ?? []) {
        const rest = one + other - cell;
        if (counts.has(rest))
          yield [
            [cell, 1],
            [rest, 1],
            [one, -1],
            [other, -1],
          ];
      }
    }
  yield [[cell, 1]];
}

/** Returns the cost of suppressing a count. */
function costOf(cell: number, table: Table): number {
  const answers = placesOf(cell, table).filter((place) => place > 0).length;
  return (table.counts.get(cell) ?? 0) * (answers <= 1 ? mainWeight : 1);
}

/** Returns the combinations and subtotals that change with some combinations. */
function changedBy(cells: Move, totals: Search["totals"]): number[] {
  const changes = new Map<number, number>();
  for (const [cell, change] of cells)
    for (const total of totals.get(cell) ?? []) changes.set(total, (changes.get(total) ?? 0) + change);
  return [...changes].filter(([, change]) => change !== 0).map(([total]) => total);
}

/**
 * Checks the proof without what led to it: for each combination with fewer than k records, the other table has at least k
 * there, whole numbers of records in combinations that have records, and the published counts.
 * @throws PipelineError `NotProtected`
 */
export function checkProtection(
  table: Table,
  k: number,
  { suppressed, alternatives }: Pick<Protection, "suppressed" | "alternatives">,
): void {
  const { counts, strides } = table;
  for (const cell of smallCells(table, k)) {
    const alternative = alternatives.get(cell) ?? new Map<number, number>();
    const changes = new Map<number, number>();
    let isProof = (alternative.get(cell) ?? 0) >= k;
    for (const [changed, records] of alternative) {
      const places = placesOf(changed, table);
      isProof &&= Number.isInteger(records) && records >= 1 && counts.has(changed) && !places.includes(0);
      for (const total of totalsOf(places, strides))
        changes.set(total, (changes.get(total) ?? 0) + records - (counts.get(changed) ?? 0));
    }
    isProof &&= [...changes].every(([total, change]) => change === 0 || suppressed.has(total));
    if (!isProof)
      throw new PipelineError("NotProtected", {
        message: "The check of the suppressed counts failed, so no file was written.",
        advice: "Report this as an error of the pipeline, with the dimensions and k.",
      });
  }
}
