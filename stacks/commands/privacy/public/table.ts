// Counts records by combination of dimension values, with subtotals: the frequency table that is published in part.
import { PipelineError } from "../../../../shared/errors.ts";
import { count } from "../../../../shared/quantity.ts";

/** Includes subtotals. A table of this size with mostly small counts takes about a minute of CPU time and 256 MB. */
export const maxCells = 50_000;
/** The value of a subtotal. */
export const all = "all";

/**
 * Counts by cell. A cell's number is the sum of its place in each dimension times the dimension's stride; place 0 is
 * `all`. A cell without records is not in the table.
 */
export type Table = {
  dimensions: readonly string[];
  /** The values of each dimension in their order, `all` first. */
  values: readonly (readonly string[])[];
  strides: readonly number[];
  counts: ReadonlyMap<number, number>;
};

export class RecordCounter {
  readonly #dimensions: readonly string[];
  readonly #counts = new Map<string, number>();

  constructor(dimensions: readonly string[]) {
    this.#dimensions = dimensions;
  }

  /** @param values one for each dimension @throws PipelineError `TooManyCells` */
  add(values: readonly string[]): void {
    const combination = JSON.stringify(values);
    this.#counts.set(combination, (this.#counts.get(combination) ?? 0) + 1);
    if (this.#counts.size > maxCells) throw tooManyCells();
  }

  /** @param order compares two values of any dimension @throws PipelineError `TooManyCells`, `AmbiguousAnswer` */
  table(order: (one: string, other: string) => number): Table {
    const combinations = [...this.#counts].map(([text, records]) => {
      const values: string[] = JSON.parse(text);
      return { values, records };
    });
    const values = this.#dimensions.map((dimension, index) => {
      const distinct = new Set(combinations.map(({ values }) => values[index] ?? ""));
      if (distinct.has(all)) throw ambiguous(dimension);
      return [all, ...[...distinct].sort(order)];
    });
    const strides = values.map((_, index) =>
      values.slice(index + 1).reduce((product, { length }) => product * length, 1),
    );
    const places = values.map((sorted) => new Map(sorted.map((value, place) => [value, place])));
    const counts = new Map<number, number>();
    for (const combination of combinations) {
      const cell = combination.values.map((value, index) => places[index]?.get(value) ?? 0);
      for (const total of totalsOf(cell, strides))
        counts.set(total, (counts.get(total) ?? 0) + combination.records);
      if (counts.size > maxCells) throw tooManyCells();
    }
    // In the order of the file, so that what is suppressed does not depend on the order of the records.
    const sorted = new Map([...counts].sort(([one], [other]) => one - other));
    return { dimensions: this.#dimensions, values, strides, counts: sorted };
  }
}

/** Returns a cell's place in each dimension. */
export function placesOf(cell: number, { values, strides }: Table): number[] {
  return values.map(({ length }, index) => Math.floor(cell / (strides[index] ?? 1)) % length);
}

/** Returns the numbers of a cell and of the subtotals that contain it. @param places of the cell */
export function totalsOf(places: readonly number[], strides: readonly number[]): number[] {
  return places.reduce(
    (cells, place, index) => cells.flatMap((cell) => [cell, cell + place * (strides[index] ?? 1)]),
    [0],
  );
}

function tooManyCells(): PipelineError {
  return new PipelineError("TooManyCells", {
    message: `The file would have more than ${count(maxCells)} combinations and subtotals.`,
    advice: "Use fewer --dimensions, or ones with fewer values, such as fiscal_year instead of month.",
  });
}

function ambiguous(dimension: string): PipelineError {
  return new PipelineError("AmbiguousAnswer", {
    message: `The dimension ${dimension} has the answer "${all}", which means a subtotal in the file.`,
    advice: "Leave this dimension out, or rename the answer in LibInsight and request a run.",
  });
}
