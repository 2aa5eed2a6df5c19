// The sections in sentences: what is not in the data, and how to read the report.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { kinds, nounsOf } from "../../shared/kinds/kinds.ts";
import type { Profile } from "../../shared/profile.ts";
import { count, quantity } from "../../shared/quantity.ts";
import type { RunResult } from "../../shared/run.ts";
import type { Counted } from "./counted.ts";
import { capitalized, list, months, shownWords } from "./format.ts";
import { type Child, type Html, html } from "./html.ts";
import { alone, smallest } from "./small-counts.ts";

/** Further fields and columns are not named. */
const maxNames = 8;

function definitions(entries: readonly (readonly [term: Child, text: Child])[]): Html {
  return html`<dl>${entries.map(([term, text]) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>`;
}

export function knownGaps(result: RunResult, profile: Profile, dataset: Dataset): Html {
  const { row: noun } = nounsOf(dataset);
  const entries: [Child, Child][] = [];
  for (const [reason, n] of sorted(result.rejects))
    entries.push([
      `${quantity(n, noun)} ${n === 1 ? "is" : "are"} rejected: ${reason}.`,
      `${n === 1 ? "It is" : "They are"} not published and in no chart.`,
    ]);
  if (profile.undated > 0)
    entries.push([
      `${sentence(profile.undated, noun)} no valid date.`,
      "They are published, but in no count by day, week, hour or year.",
    ]);
  for (const [column, n] of sorted(result.furtherAnswers))
    entries.push([
      html`${sentence(n, noun)} more than one answer in <em>${column}</em>.`,
      "Only the first is kept, so the counts of rarer answers are too low.",
    ]);
  for (const [column, n] of sorted(result.mistyped))
    entries.push([
      html`${sentence(n, noun)} a value in <em>${column}</em> that is not of the column’s type.`,
      "It is kept as text, and sums and averages leave it out.",
    ]);
  const undeclared = Object.keys(result.undeclared).sort();
  if (undeclared.length > 0)
    entries.push([
      html`${quantity(undeclared.length, "field")} of the form ${undeclared.length === 1 ? "is" : "are"} not declared: ${names(undeclared)}.`,
      undeclaredText(dataset),
    ]);
  for (const column of dataset.columns)
    if ("join" in column)
      entries.push([
        html`The fields ${list(column.join)} share one column.`,
        html`They are joined with ${column.with === "" ? "nothing" : `“${column.with}”`} between them; do not group by <em>${column.name}</em>.`,
      ]);
  const dropped = dataset.columns.filter((column) => "drop" in column).map(({ name }) => name);
  if (dropped.length > 0)
    entries.push([
      html`${quantity(dropped.length, "field")} of the form ${dropped.length === 1 ? "is" : "are"} left out.`,
      html`${names(dropped)}.`,
    ]);
  const { isMonthly } = kinds[dataset.kind];
  if (isMonthly) entries.push(["The current month is missing.", "A month is collected after it has ended."]);
  entries.push(
    noun === "record"
      ? [
          "Late entries move past weeks.",
          "A record that is entered after the run appears in the next one, under its own date.",
        ]
      : [
          `Late changes move past ${isMonthly ? "months" : "weeks"}.`,
          "What changes in LibInsight after the run appears in the next one, under its own date.",
        ],
  );
  return definitions(entries);
}

function undeclaredText({ undeclared }: Dataset): string {
  if (undeclared === "append") return "They are appended to the file as text and are in no chart.";
  return undeclared === "ignore" ? "They are left out of the file." : "Records that have them are rejected.";
}

function names(all: readonly string[]): string {
  return list(all.length > maxNames ? [...all.slice(0, maxNames), `${all.length - maxNames} more`] : all);
}

/** "236 records have", "1 record has" */
function sentence(n: number, noun: string): string {
  const text = shownWords(alone(n));
  return `${capitalized(text)} ${noun}s have`;
}

function sorted(counts: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(counts).sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
}

/** @param counted what the figures count, if anything */
export function howToRead(dataset: Dataset, counted: Counted | undefined): Html {
  const { timeZone, fiscalYearStart: month, roles } = dataset;
  const { row, meaning } = nounsOf(dataset);
  const start = months[month - 1] ?? "";
  const end = months[(month + 10) % 12] ?? "";
  const city = timeZone.slice(timeZone.lastIndexOf("/") + 1).replaceAll("_", " ");
  return definitions([
    [capitalized(row), meaning],
    ...(counted && !counted.isRows
      ? [[capitalized(counted.noun), html`The sum of the column <em>${roles.quantity}</em>.`] as const]
      : []),
    kinds[dataset.kind].isMonthly
      ? ["Date", "The first day of the month."]
      : ["Date and hour", `When it happened, not when it was entered; ${city} time.`],
    [
      "Fiscal year",
      month === 1
        ? "January through December."
        : `${start} through ${end}, named after the year in which it ends.`,
    ],
    [
      `<${smallest}`,
      `1 to ${count(smallest - 1)} ${counted?.noun ?? row}s. Small counts are hidden, and what could give them away is rounded.`,
    ],
    [
      "~",
      counted?.has.weeks
        ? "Rounded to tens. Weeks and hours are always rounded to fives, except the latest week."
        : "Rounded to tens.",
    ],
    ["Blue and gray", "Blue is now. Gray, or the dark tick on a bar, is what it is compared with."],
    ["pt", "Percentage points: the difference between two percentages."],
  ]);
}
