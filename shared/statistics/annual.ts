// The annual statistics of a run's file, from its profile, for the report: the measures of this fiscal year and of the
// last complete one, and ACRL's worksheet of the latter.
import type { Dataset } from "../dataset-schema.ts";
import { addDays, daysOfFiscalYear, fiscalYearOf } from "../dates.ts";
import { PipelineError } from "../errors.ts";
import type { Profile, ProfiledPair } from "../profile.ts";
import { type Measure, measureValues } from "./measures.ts";
import { acrl2022 } from "./surveys/acrl-2022.ts";
import { type Worksheet, worksheetOf } from "./worksheet.ts";

type Year = { fiscalYear: number; from: string; to: string };

export type AnnualStatistics = {
  /** Up to the last day of the run. */
  thisYear: Year;
  lastYear: Year;
  measures: (Measure & {
    thisYear: number;
    /** Undefined if no record is of that year. */
    lastYear: number | undefined;
  })[];
  /** ACRL's worksheet of last year, or why it cannot be filled, in a sentence. */
  worksheet: Worksheet | { problem: string };
};

/** Returns undefined if the dataset's entry declares no statistics, or the profile has no pairs of answers. */
export function annualStatistics(dataset: Dataset, profile: Profile): AnnualStatistics | undefined {
  const { pairs } = profile;
  const recorded = recordedDays(profile);
  if (!dataset.statistics || !pairs || !recorded) return undefined;
  const fiscalYear = fiscalYearOf(profile.to, dataset.fiscalYearStart);
  const yearOf = (year: number) => ({
    fiscalYear: year,
    ...daysOfFiscalYear(year, dataset.fiscalYearStart),
  });
  const pairsOf = (year: number) => pairs.filter((pair) => pair.fiscalYear === year);
  const values = measureValues(dataset, pairsOf(fiscalYear));
  const earlier = pairsOf(fiscalYear - 1);
  const earlierValues = earlier.length > 0 ? measureValues(dataset, earlier) : [];
  return {
    thisYear: { ...yearOf(fiscalYear), to: profile.to },
    lastYear: yearOf(fiscalYear - 1),
    measures: values.map(({ value, ...measure }, index) => ({
      ...measure,
      thisYear: value,
      lastYear: earlierValues[index]?.value,
    })),
    worksheet: lastWorksheet(dataset, pairs, fiscalYear - 1, recorded),
  };
}

function lastWorksheet(
  dataset: Dataset,
  counts: readonly ProfiledPair[],
  fiscalYear: number,
  recorded: { from: string; to: string },
): AnnualStatistics["worksheet"] {
  try {
    return worksheetOf({ survey: acrl2022, dataset, counts, fiscalYear, recorded });
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    return { problem: error.message };
  }
}

/** Returns the first and the last day with a record. */
function recordedDays({ from, days }: Profile): { from: string; to: string } | undefined {
  const [first, last] = [days.findIndex((rows) => rows > 0), days.findLastIndex((rows) => rows > 0)];
  if (first === -1) return undefined;
  return { from: addDays(from, first), to: addDays(from, last) };
}
