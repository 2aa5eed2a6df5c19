// What a survey asks for in one year. Each year has a file of its own in surveys/, because definitions change.
import type { Kind } from "./rules.ts";

export type SurveyLine = {
  title: string;
  /** The line's number in the form, if it was seen. */
  number?: string;
  definition: string;
  /** `official`: whether the text was read in the survey's own publication. */
  text: { official: boolean; readIn: string };
  footnote: string;
  sources: readonly string[];
};

export type Survey<Line extends string = string> = {
  name: string;
  title: string;
  edition: string;
  /** Which twelve months the survey asks for. */
  period: {
    text: string;
    /** Month and day before which the months of a survey's year end, such as "10-01". */
    endsBefore?: string;
  };
  /** In the order of the form. */
  lines: Readonly<Record<Line, SurveyLine>>;
  /** The line of each kind, or why it is in none. */
  kinds: Readonly<Record<Kind, Line | { excluded: string }>>;
};

/** Checks at compile time that each kind has a line of this survey. */
export function defineSurvey<Line extends string>(survey: Survey<Line>): Survey<Line> {
  return survey;
}
