// The answers of closed fields: this fiscal year beside the same days of the last one, and which are new or gone.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { Profile, ProfiledColumn } from "../../shared/profile.ts";
import { quantity } from "../../shared/quantity.ts";
import { bar } from "./bars.ts";
import { capitalized, changeText, list, percent, shownText, shownWords } from "./format.ts";
import { type Html, html } from "./html.ts";
import { amountOf, changeOf, protect, type Shown } from "./small-counts.ts";

/** Further answers are left out, as are further names. */
const [maxLarge, maxCompact, maxNames] = [10, 5, 8];
/** A field with fewer records for each answer may hold free text. */
const recordsPerAnswer = 10;
const leastChange = { share: 0.1, rows: 10 };

export type Period = {
  fiscalYear: number;
  from: string;
  /** Whether it is a whole year. */
  isComplete: boolean;
  /** Rows of the fiscal year, up to the last day of the run. */
  rows: number;
  /** Rows of the same days a year earlier. Undefined if the run's range does not include them. */
  before: number | undefined;
};
type Row = { answer: string; now: Shown; before: Shown | undefined };
export type Answers = {
  name: string;
  rows: Row[];
  unnamed: Shown | undefined;
  unnamedBefore: Shown | undefined;
};

/** Returns the columns with a closed set of answers, which are not personal. */
export function closedFields({ columns }: Profile, dataset: Dataset): ProfiledColumn[] {
  const texts = dataset.columns.filter(
    (column) => "type" in column && column.type === "text" && !column.personal,
  );
  const names = new Set(texts.map(({ name }) => name));
  return columns.filter(
    ({ name, answers = [], filled }) =>
      names.has(name) && answers.length > 0 && filled >= recordsPerAnswer * answers.length,
  );
}

/**
 * Returns the answers of a column, the most frequent first.
 * @param known this year's counts, if another table shows the same records
 */
export function answersOf(
  column: ProfiledColumn,
  period: Period,
  known?: ReadonlyMap<string, Shown>,
): Answers | undefined {
  const { name, answers = [] } = column;
  // The most frequent of all years first, so that the small counts of a year do not decide which count is rounded.
  const candidates = answers.map((_, index) => index);
  const shown = (counts: number[], rows: number | undefined) => {
    const unnamed = (rows ?? 0) - counts.reduce((sum, count) => sum + count, 0);
    // With several answers in a record, there is no such number.
    const cells = protect(unnamed > 0 ? [...counts, unnamed] : counts, candidates);
    return cells && { cells, unnamed: unnamed > 0 ? cells.at(-1) : undefined };
  };
  const now = shown(
    answers.map(({ thisYear }) => thisYear),
    period.rows,
  );
  const last =
    period.before === undefined
      ? undefined
      : shown(
          answers.map(({ lastYear }) => lastYear),
          period.before,
        );
  if (!now && !known) return undefined;
  const rows = answers.flatMap(({ answer }, index): Row[] => {
    const own = known ? known.get(answer) : now?.cells[index];
    const before = last?.cells[index];
    return own && (amountOf(own) > 0 || (before && amountOf(before) > 0))
      ? [{ answer, now: own, before }]
      : [];
  });
  rows.sort((a, b) => amountOf(b.now) - amountOf(a.now) || (a.answer < b.answer ? -1 : 1));
  return { name, rows, unnamed: known ? undefined : now?.unnamed, unnamedBefore: last?.unnamed };
}

function isNotable({ now, before }: Row): boolean {
  const found = before && changeOf(now, before);
  if (!found || !before) return false;
  return (
    Math.abs(found.change) >= leastChange.share &&
    Math.abs(amountOf(now) - amountOf(before)) >= leastChange.rows
  );
}

/**
 * @param noun of the answers, such as "location"
 * @param counted the noun of what is counted, such as "record"
 */
export function answersFinding({ rows }: Answers, noun: string, counted: string): string {
  const known = rows.flatMap(({ answer, now, before }) => {
    const found = before && changeOf(now, before);
    return found ? [{ answer, change: found.change }] : [];
  });
  const [first] = rows;
  if (known.length === 0)
    return first ? `${first.answer} is the largest ${noun}.` : `No ${counted} names a ${noun}.`;
  const ahead = known.filter(({ change }) => change > 0);
  const behind = known.filter(({ change }) => change < 0);
  if (behind.length === 0)
    return ahead.length === known.length
      ? `All ${known.length} ${noun}s are ahead of last year.`
      : `No ${noun} is behind last year.`;
  const rest =
    behind.length > 2
      ? `${behind.length} are behind`
      : `${list(behind.map(({ answer }) => answer))} ${behind.length === 1 ? "is" : "are"} behind`;
  return `${ahead.length} of ${known.length} ${noun}s ${ahead.length === 1 ? "is" : "are"} ahead of last year; ${rest}.`;
}

/** Returns the largest change of all columns. */
export function fieldsFinding(columns: readonly Answers[], counted: string): string {
  const notable = columns.flatMap(({ rows }) => rows.filter(isNotable));
  const size = ({ now, before }: Row) => Math.abs(amountOf(now) - (before ? amountOf(before) : 0));
  const [largest] = notable.sort((a, b) => size(b) - size(a));
  const found = largest?.before && changeOf(largest.now, largest.before);
  if (!largest || !found) return `No answer changed by 10% and 10 ${counted}s.`;
  const share = percent(Math.abs(found.change), 0);
  return `Largest change: ${largest.answer}, ${share} ${found.change < 0 ? "fewer" : "more"} than last year.`;
}

export function answersTable(
  answers: Answers,
  { fiscalYear }: Period,
  { head, counted }: { head: string; counted: string },
): Html {
  const rows = answers.rows.slice(0, maxLarge);
  const most = Math.max(
    ...rows.flatMap(({ now, before }) => [amountOf(now), before ? amountOf(before) : 0]),
    1,
  );
  const length = (shown: Shown) => (shown.kind === "hidden" ? "hidden" : amountOf(shown) / most);
  const tick = (before: Shown | undefined) =>
    before && before.kind !== "hidden" ? before.n / most : undefined;
  return html`<table class="answers"><caption class="hidden">${capitalized(counted)}s by ${head.toLowerCase()}</caption>${heads(head, fiscalYear)}
<tbody>${rows.map((row) => html`<tr><th scope="row">${row.answer}${bar(length(row.now), tick(row.before))}</th>${numbers(row)}</tr>`)}</tbody></table>
${notes(answers, { max: maxLarge, noun: head.toLowerCase(), counted })}`;
}

export function compactTable(answers: Answers, { fiscalYear }: Period, counted: string): Html {
  const rows = answers.rows.slice(0, maxCompact);
  return html`<div><table class="answers"><caption class="hidden">${capitalized(counted)}s by ${answers.name}</caption>${heads(answers.name, fiscalYear)}
<tbody>${rows.map((row) => html`<tr><th scope="row">${row.answer}</th>${numbers(row)}</tr>`)}</tbody></table>
${answers.rows.length > maxCompact && html`<p class="note">${quantity(answers.rows.length - maxCompact, "further answer")}.</p>`}</div>`;
}

function heads(head: string, fiscalYear: number): Html {
  return html`<thead><tr><th scope="col">${head}</th><th scope="col">FY ${fiscalYear}</th><th scope="col">FY ${fiscalYear - 1}</th><th scope="col">Change</th></tr></thead>`;
}

function numbers(row: Row): Html {
  const change = row.before ? changeText(row.now, row.before) : "–";
  return html`<td><b>${shownText(row.now)}</b></td><td>${row.before ? shownText(row.before) : "–"}</td><td>${isNotable(row) ? html`<b>${change}</b>` : change}</td>`;
}

function notes(
  { rows, unnamed, unnamedBefore }: Answers,
  { max, noun, counted }: { max: number; noun: string; counted: string },
): Html {
  const last = unnamedBefore ? ` (last year ${shownWords(unnamedBefore)})` : "";
  const text = unnamed && shownWords(unnamed);
  return html`${rows.length > max && html`<p class="note">${quantity(rows.length - max, "further answer")}.</p>`}${text !== undefined && html`<p class="note">${capitalized(text)} ${counted}s name no ${noun}${last}.</p>`}`;
}

/** Returns sentences about answers that the previous profile has not, and the other way around. */
export function answerChanges(fields: readonly ProfiledColumn[], previous: Profile): Html[] {
  return fields.flatMap(({ name, answers = [] }) => {
    const before = previous.columns.find((column) => column.name === name)?.answers;
    if (!before) return [];
    const added = without(answers, before);
    const gone = without(before, answers);
    return [
      ...(added.length > 0 ? [html`<li>New in <em>${name}</em>: ${names(added)}.</li>`] : []),
      ...(gone.length > 0 ? [html`<li>Gone from <em>${name}</em>: ${names(gone)}.</li>`] : []),
    ];
  });
}

type Named = readonly { answer: string }[];

function without(answers: Named, others: Named): string[] {
  const known = new Set(others.map(({ answer }) => answer));
  return answers
    .map(({ answer }) => answer)
    .filter((answer) => !known.has(answer))
    .sort();
}

function names(all: readonly string[]): string {
  const shown = all.slice(0, maxNames).map((answer) => `“${answer}”`);
  return list(all.length > maxNames ? [...shown, `${all.length - maxNames} more`] : shown);
}
