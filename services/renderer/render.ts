// A placeholder for the report's page: the headline and the state of the run.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { Profile } from "../../shared/profile.ts";
import type { RunResult } from "../../shared/run.ts";

export type ReportInput = {
  dataset: Dataset;
  result: RunResult;
  /** The profile of this run; undefined for a failed run, or if it has expired. */
  profile: Profile | undefined;
  /** The profile of the publication that this run replaced or would replace. */
  previous: Profile | undefined;
  /** The published file that readers see if this run is not published. */
  live: { runId: string; rows: number; requestedAt: string } | undefined;
  /** The next scheduled run, if the stage has a schedule. */
  nextRunAt: Date | undefined;
};

/** Returns the report as one HTML file. */
export function renderReport({ dataset, result }: ReportInput): string {
  const title = `${dataset.name}, ${result.to}, run ${result.runId}`;
  return `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}: ${result.state}</h1></html>\n`;
}
