// Question types by mode in a fiscal year, as a table with one panel for each mode.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { Profile } from "../../shared/profile.ts";
import { bar } from "./bars.ts";
import { capitalized, percent, shownText, shownWords } from "./format.ts";
import { type Html, html } from "./html.ts";
import { amountOf, protect, type Shown, shareOf, totalOf } from "./small-counts.ts";

const [maxTypes, maxModes] = [8, 5];
/** For a finding, in points and records. */
const [leastDeparture, leastRecords] = [0.05, 50];

type Row = { name: string; cells: Shown[]; total: Shown };
export type QuestionTypes = {
  modes: { name: string; total: Shown }[];
  /** The most frequent first. */
  types: Row[];
  total: Shown;
  /** Records without a type or a mode. */
  unnamed: Shown;
  /** With the records that lack the other answer. */
  byType: ReadonlyMap<string, Shown>;
  byMode: ReadonlyMap<string, Shown>;
};

/** What may be shown of a fiscal year's records by type and mode. The last row and column are those without an answer. */
export type Grid = { types: string[]; modes: string[]; cells: Shown[][] };

/**
 * Returns undefined if the profile has no pairs of answers, or too few records to hide small counts.
 * @param max the most types and modes; the rest is one of them
 */
export function gridOf(
  profile: Profile,
  { roles }: Dataset,
  fiscalYear: number,
  max: { types: number; modes: number },
): Grid | undefined {
  const { pairs } = profile;
  if (!pairs) return undefined;
  const answersOf = (column: string | undefined) =>
    profile.columns.find(({ name }) => name === column)?.answers?.map(({ answer }) => answer) ?? [];
  const types = topAnswers(
    answersOf(roles.questionType),
    pairs,
    ({ questionType }) => questionType,
    max.types,
  );
  const modes = topAnswers(answersOf(roles.mode), pairs, ({ mode }) => mode, max.modes);
  const counts = [...types.names, null].map(() => [...modes.names, null].map(() => 0));
  for (const pair of pairs) {
    if (pair.fiscalYear !== fiscalYear) continue;
    const row = counts[types.indexOf(pair.questionType)];
    const index = modes.indexOf(pair.mode);
    if (row) row[index] = (row[index] ?? 0) + pair.rows;
  }
  const width = modes.names.length + 1;
  // The first type and mode are the most frequent of all years, so this year's small counts do not decide the order.
  const candidates = types.names.flatMap((_, type) => modes.names.map((_, mode) => type * width + mode));
  const shown = protect(counts.flat(), candidates);
  if (!shown) return undefined;
  const cells = counts.map((_, type) => shown.slice(type * width, (type + 1) * width));
  return { types: types.names, modes: modes.names, cells };
}

/** Returns undefined if the dataset does not name both columns, or if there are too few records to hide small counts. */
export function questionTypesOf(
  profile: Profile,
  dataset: Dataset,
  fiscalYear: number,
): QuestionTypes | undefined {
  const found = gridOf(profile, dataset, fiscalYear, { types: maxTypes, modes: maxModes });
  if (!found) return undefined;
  const { types: typeNames, modes: modeNames, cells: grid } = found;
  const width = modeNames.length + 1;
  const column = (mode: number) => grid.map((row) => row[mode] ?? { kind: "exact" as const, n: 0 });
  const types = typeNames.map((name, type) => {
    const cells = (grid[type] ?? []).slice(0, -1);
    return { name, cells, total: totalOf(cells) };
  });
  const modes = modeNames.map((name, mode) => ({ name, total: totalOf(column(mode).slice(0, -1)) }));
  const whole = totalOf(types.flatMap(({ cells }) => cells));
  if (amountOf(whole) === 0) return undefined;
  return {
    modes,
    types: types
      .filter(({ total }) => amountOf(total) > 0)
      .sort((a, b) => amountOf(b.total) - amountOf(a.total)),
    total: whole,
    unnamed: totalOf([...(grid.at(-1) ?? []), ...column(width - 1).slice(0, -1)]),
    byType: new Map(typeNames.map((name, type) => [name, totalOf(grid[type] ?? [])])),
    byMode: new Map(modeNames.map((name, mode) => [name, totalOf(column(mode))])),
  };
}

const other = "All others";

type Pair = NonNullable<Profile["pairs"]>[number];

/**
 * Returns the most frequent answers of all years, and one name for the rest. The index of null is one after them.
 * @param answers of the column, the most frequent of all years first
 */
function topAnswers(
  answers: readonly string[],
  pairs: readonly Pair[],
  answerOf: (pair: Pair) => string | null,
  max: number,
) {
  const given = new Set(pairs.flatMap((pair) => answerOf(pair) ?? []));
  // A record with several answers is in one pair, so their joined text is not among the column's answers.
  const joined = [...given].filter((answer) => !answers.includes(answer)).sort();
  const all = [...answers.filter((answer) => given.has(answer)), ...joined];
  const top = all.slice(0, all.length > max ? max - 1 : max);
  const names = all.length > max ? [...top, other] : top;
  const indexOf = (answer: string | null) => {
    if (answer === null) return names.length;
    const index = top.indexOf(answer);
    return index === -1 ? names.length - 1 : index;
  };
  return { names, indexOf };
}

export function questionTypesFinding({ types, modes, total }: QuestionTypes): Html | string {
  let largest: { type: string; mode: string; share: number; overall: number } | undefined;
  for (const { name, cells, total: ofType } of types) {
    const overall = amountOf(ofType) / amountOf(total);
    for (const [index, mode] of modes.entries()) {
      const isHidden = types.some((type) => type.cells[index]?.kind === "hidden");
      if (isHidden || amountOf(mode.total) < leastRecords || name === other || mode.name === other) continue;
      const share = amountOf(cells[index] ?? { kind: "exact", n: 0 }) / amountOf(mode.total);
      const departure = Math.abs(share - overall);
      if (
        departure >= leastDeparture &&
        departure > Math.abs((largest?.share ?? 0) - (largest?.overall ?? 0))
      )
        largest = { type: name, mode: mode.name, share, overall };
    }
  }
  if (!largest) return "No question type stands out in a mode.";
  const { type, mode, share, overall } = largest;
  return `${type}: ${percent(share, 0)} of ${mode} questions, against ${percent(overall, 0)} overall.`;
}

export function questionTypesTable(
  { types, modes, total, unnamed }: QuestionTypes,
  fiscalYear: number,
): Html {
  const shares = types.flatMap(({ cells, total: ofType }) => [
    amountOf(ofType) / amountOf(total),
    ...cells.map((cell, mode) => shareOf(cell, modes[mode]?.total ?? total)?.share ?? 0),
  ]);
  const scale = Math.min(Math.ceil(Math.max(...shares) * 20) / 20, 1);
  const panel = (cell: Shown, mode: Shown, tick: number) => {
    const found = shareOf(cell, mode);
    const share =
      found && found.share > 0 && html` <small>${found.isExact ? "" : "~"}${percent(found.share, 0)}</small>`;
    return html`<td>${shownText(cell)}${share}${bar(cell.kind === "hidden" ? "hidden" : (found?.share ?? 0) / scale, tick / scale)}</td>`;
  };
  return html`<p class="note">Records of fiscal year ${fiscalYear} to date. Bar: share of that mode. Tick: share over all modes. Every panel runs from 0 to ${percent(scale, 0)}.</p>
<div class="scroll"><table class="panels"><caption class="hidden">Records by question type and mode</caption>
<thead><tr><td></td>${modes.map(({ name, total: ofMode }) => html`<th scope="col">${name}<small>${shownText(ofMode)}</small></th>`)}</tr></thead>
<tbody>${types.map(
    ({ name, cells, total: ofType }) =>
      // A whole percent, because an exact share could give a hidden count away.
      html`<tr><th scope="row">${name}</th>${cells.map((cell, mode) => panel(cell, modes[mode]?.total ?? total, Math.round((amountOf(ofType) / amountOf(total)) * 100) / 100))}</tr>`,
  )}</tbody></table></div>
${amountOf(unnamed) > 0 && html`<p class="note">${recordsText(unnamed)} no type or no mode and are left out.</p>`}`;
}

function recordsText(shown: Shown): string {
  const text = shownWords(shown);
  return `${capitalized(text)} records name`;
}
