// Moves the child tables (shared/child-tables.ts) to the files of another run, so that no query finds rows of one run with
// answers of another. A child table has no columns, so no query can use it, from before the main table changes until
// after. Its mark is of the call that removed the columns: only this call adds them again.
import { randomUUID } from "node:crypto";
import type { ChildTable } from "../../shared/child-tables.ts";
import { folderOf } from "../../shared/keys.ts";
import { type FoundTable, type QueryEngine, tableChanged } from "../../shared/ports.ts";
import { childTableOf, childView } from "./sql.ts";

export type FoundChild = { child: ChildTable; found: FoundTable | undefined };
/** `mark` of the table without columns; undefined if the table reads the run's file already. */
type HiddenChild = FoundChild & { mark: string | undefined };

/** Reads the child tables. Call it before reading the published file. */
export function findChildren(
  children: readonly ChildTable[],
  engine: Pick<QueryEngine, "table">,
): Promise<FoundChild[]> {
  return Promise.all(children.map(async (child) => ({ child, found: await engine.table(child.table) })));
}

/** Removes the columns of each child table that does not read the run's file. @throws PipelineError `TableChanged` */
export async function hideChildren(
  children: readonly FoundChild[],
  runId: string,
  engine: Pick<QueryEngine, "defineTable">,
): Promise<HiddenChild[]> {
  const hidden: HiddenChild[] = [];
  for (const { child, found } of children) {
    const folder = folderOf(child.keyOf(runId));
    const isInPlace = found?.folder === folder && found.mark === undefined;
    const mark = isInPlace ? undefined : randomUUID();
    if (mark !== undefined)
      await engine.defineTable(child.table, { format: "csv", columns: [], folder, mark }, found?.version);
    hidden.push({ child, found, mark });
  }
  return hidden;
}

/**
 * Defines the child tables over the run's files, and their views.
 * @param children those whose files exist
 * @throws PipelineError `TableChanged`, `StatementFailed`, `StatementTooSlow`
 */
export async function showChildren(
  children: readonly HiddenChild[],
  runId: string,
  engine: QueryEngine,
): Promise<void> {
  for (const { child, found, mark } of children) {
    const own = mark === undefined ? found : await engine.table(child.table);
    if (own?.mark !== mark) throw tableChanged(child.table);
    await engine.defineTable(child.table, childTableOf(child, runId), own?.version);
  }
  for (const { child } of children) await engine.defineView(child.typed, childView(child, engine.database));
}
