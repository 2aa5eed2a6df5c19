// Fills a worksheet from the published rows, and finds the records of its lines.
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { fiscalYearOf } from "../../../shared/dates.ts";
import type { Survey } from "../../../shared/statistics/survey.ts";
import { type Count, type Worksheet, worksheetOf } from "../../../shared/statistics/worksheet.ts";
import { dayIn } from "../../../shared/time-zone.ts";
import { type PublishedRows, replacedMeanwhile } from "./published-rows.ts";

type Wanted = {
  survey: Survey;
  dataset: Dataset;
  /** By default the latest year that is over and has a record. */
  fiscalYear: number | undefined;
};

/** @throws PipelineError as `worksheetOf` and `PublishedRows` */
export async function fillWorksheet(
  { survey, dataset, fiscalYear }: Wanted,
  rows: PublishedRows,
  now: Date,
): Promise<Worksheet> {
  const years = await rows.years();
  const dated = years.filter((year) => year.fiscalYear !== null);
  const over = fiscalYearOf(dayIn(dataset.timeZone, now), dataset.fiscalYearStart) - 1;
  const latest = dated.findLast((year) => Number(year.fiscalYear) <= over)?.fiscalYear;
  const chosen = fiscalYear ?? latest ?? over;
  const counts = await rows.counts(chosen);
  const expected = years.find((year) => year.fiscalYear === chosen)?.rows ?? 0;
  if (counts.reduce((sum, count) => sum + count.rows, 0) !== expected) throw replacedMeanwhile(dataset);
  const others = years.filter((year) => year.fiscalYear !== chosen);
  return worksheetOf({
    survey,
    dataset,
    counts: [...counts, ...others.map((other): Count => ({ ...other, questionType: null, mode: null }))],
    fiscalYear: chosen,
    recorded: { from: dated[0]?.from ?? "", to: dated.at(-1)?.to ?? "" },
  });
}

/**
 * Returns the IDs of the records in a line of the worksheet, in `excluded` or in `unanswered`.
 * @throws PipelineError as `PublishedRows.ids`
 */
export function idsOf(
  { fiscalYear, lines, excluded, unanswered }: Worksheet,
  place: string,
  rows: PublishedRows,
): Promise<string[]> {
  const line = lines.find(({ name }) => name === place);
  if (line) return rows.ids(fiscalYear, line.questionTypes, line.tally.rows);
  if (place === "unanswered") return rows.ids(fiscalYear, "none", unanswered.rows);
  return rows.ids(
    fiscalYear,
    excluded.questionTypes.map(({ name }) => name),
    excluded.tally.rows,
  );
}
