// The first rows of a dataset's views, as an analyst gets them from Athena.
import { outputOf } from "../../services/athena/start.ts";
import type { QueryEngine, Rows } from "../../shared/aws/query-engine.ts";
import { type Dataset, viewNames } from "../../shared/dataset.ts";
import { PipelineError } from "../../shared/errors.ts";

const shownRows = 3;

export type FirstRows = { view: string } & (Rows | { failed: string });

/** Both views, side by side. Never throws: they are shown of a run that is published, whatever becomes of them. */
export function firstRows(
  { publish }: Dataset,
  engine: QueryEngine,
  resultsBucket: string,
): Promise<FirstRows[]> {
  const { typed, analysis } = viewNames(publish.table);
  const output = outputOf(publish, resultsBucket);
  return Promise.all(
    [typed, analysis].map(async (view) => {
      try {
        const id = await engine.run(`SELECT * FROM "${view}" ORDER BY 1 LIMIT ${shownRows}`, output);
        return { view, ...(await engine.rows(id, shownRows)) };
      } catch (error) {
        return { view, failed: reasonOf(error) };
      }
    }),
  );
}

/** Names and ids only: a foreign error may quote what it choked on. */
function reasonOf(error: unknown): string {
  const name = error instanceof Error ? error.name : typeof error;
  const ids = error instanceof PipelineError ? Object.entries(error.ids) : [];
  return [name, ...ids.map(([id, value]) => `${id} ${value}`)].join(", ");
}
