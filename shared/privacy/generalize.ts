// Makes the values of a column coarser: dates to weeks or months, numbers to bands, answers to groups.
import { type ColumnType, columnTypes } from "../column-types.ts";
import type { Cell } from "../csv.ts";
import { mondayOf } from "../dates.ts";
import { answerSeparator } from "../statistics/rules.ts";
import { type Generalise, otherGroup } from "./settings.ts";

/**
 * Returns a function from a cell to its coarser value. A cell that is not of its type becomes null, and so does a number
 * below the first band.
 * @param types of the column in the full and in the de-identified file
 * @param holdsSeveral whether a cell may have several answers
 */
export function generalizer(
  setting: Generalise,
  types: { full: ColumnType; deidentified: ColumnType },
  holdsSeveral: boolean,
): (cell: Cell) => Cell {
  if (typeof setting === "string") {
    const { valueOf: read } = columnTypes[types.full];
    const midnight = types.deidentified === "timestamp" ? " 00:00:00" : "";
    return (cell) => {
      if (typeof read(String(cell)) !== "string") return null;
      const day = String(cell).slice(0, 10);
      return `${setting === "week" ? mondayOf(day) : `${day.slice(0, 8)}01`}${midnight}`;
    };
  }
  if ("bands" in setting) {
    const { valueOf: read } = columnTypes[types.full];
    return (cell) => {
      const number = read(String(cell));
      return typeof number === "number" ? (setting.bands.findLast((band) => band <= number) ?? null) : null;
    };
  }
  const groups = new Map(
    Object.entries(setting.groups).flatMap(([group, answers]) => answers.map((answer) => [answer, group])),
  );
  return (cell) =>
    eachAnswer(cell, holdsSeveral, (answers) => [
      ...new Set(answers.map((answer) => groups.get(answer) ?? otherGroup)),
    ]);
}

/**
 * Returns the cell with other answers in place of its own, which are trimmed and not empty. A cell without any becomes
 * null.
 */
export function eachAnswer(
  cell: Cell,
  holdsSeveral: boolean,
  replace: (answers: string[]) => readonly string[],
): Cell {
  const text = String(cell ?? "");
  const answers = (holdsSeveral ? text.split(answerSeparator) : [text]).map((answer) => answer.trim());
  const given = answers.filter((answer) => answer !== "");
  return given.length === 0 ? null : replace(given).join(answerSeparator);
}
