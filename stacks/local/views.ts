// Queries the first rows of a dataset's views, as an analyst would.
import { type Dataset, viewNames } from "../../shared/dataset-schema.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { QueryEngine, Rows } from "../../shared/ports.ts";

export const shownRows = 3;

export type FirstRows = { view: string } & (Rows | { failed: string });

/** Returns the first rows of both views. Throws nothing, because the run is published even if a view fails. */
export async function firstRows({ publish }: Dataset, engine: QueryEngine): Promise<FirstRows[]> {
  const { typed, analysis } = viewNames(publish.table);
  const found: FirstRows[] = [];
  for (const view of [typed, analysis]) {
    try {
      const sql = `SELECT * FROM "${engine.database}"."${view}" LIMIT ${shownRows}`;
      found.push({ view, ...(await engine.firstRows(sql, publish.queryResults, shownRows)) });
    } catch (error) {
      found.push({ view, failed: reasonOf(error) });
    }
  }
  return found;
}

/** Returns names and ids only, because the message of an unexpected error may quote data. */
function reasonOf(error: unknown): string {
  const name = error instanceof Error ? error.name : typeof error;
  const ids = error instanceof PipelineError ? Object.entries(error.ids) : [];
  return [name, ...ids.map(([id, value]) => `${id} ${value}`)].join(", ");
}
