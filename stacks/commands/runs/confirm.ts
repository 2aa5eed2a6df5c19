// The confirmation that `npm run runs -- publish` requires.
import { PipelineError } from "../../../shared/errors.ts";
import type { RunResult } from "../../../shared/run.ts";
import { isYes } from "../command-line.ts";
import type { PublishCommand } from "./runs-args.ts";

export type Terminal = {
  isInteractive: boolean;
  /** Prints lines, the last of which is the question. @returns what the person typed; "" for nothing */
  ask(text: string): Promise<string>;
};

/** Returns whether a yes is not enough, because the file would lack rows that LibInsight has, or have none. */
export function needsRows({ rows, violations }: RunResult): boolean {
  return rows === 0 || violations.some(({ kind }) => kind === "disagreement" || kind === "empty");
}

/**
 * Returns whether the person confirmed.
 * @param review the counts that the person decides on
 * @throws PipelineError `RowsDiffer`, `RowsNotConfirmed`
 */
export async function isPublicationConfirmed(
  result: RunResult,
  { rows, yes }: Pick<PublishCommand, "rows" | "yes">,
  review: string,
  { isInteractive, ask }: Terminal,
): Promise<boolean> {
  if (rows !== undefined) {
    if (rows === result.rows) return true;
    throw new PipelineError("RowsDiffer", {
      message: `The run has ${result.rows} rows and --rows says ${rows}. Nothing was published.`,
      advice: `Review the run: npm run runs -- show ${result.runId}`,
    });
  }
  if (needsRows(result)) {
    if (isInteractive)
      return isNumber(await ask(`${review}To publish this run, type the number of its rows: `), result.rows);
    throw new PipelineError("RowsNotConfirmed", {
      message:
        "The run has no rows, or LibInsight's numbers do not agree, so --yes is not enough. Nothing was published.",
      advice: `Review the run (npm run runs -- show ${result.runId}), then add --rows with the number of its rows.`,
    });
  }
  return yes || isYes(await ask(`${review}Publish this run? [y/N] `));
}

/** Accepts "10,412" too. */
function isNumber(answer: string, expected: number): boolean {
  return /^\d[\d,]*$/.test(answer) && Number(answer.replaceAll(",", "")) === expected;
}
