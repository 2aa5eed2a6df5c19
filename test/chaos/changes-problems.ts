// Checks the files of changes: from them alone every publication can be written again, byte for byte, and they count the
// rows that differ from the publication before.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { keys } from "../../shared/keys.ts";
import type { FileChanges } from "../../shared/run.ts";
import { changeFiles, rebuilt } from "../support/rebuilt-publications.ts";
import { type Cell, readCsv } from "./oracle.ts";
import type { Evidence, Publication, Publications } from "./verdict.ts";

export async function changesProblems(
  { history, ports: { data } }: Evidence,
  { csv, ended }: Publications,
): Promise<string[]> {
  const wrong: string[] = [];
  const { name } = history.entry;
  const files = new Map<string, { isSnapshot: boolean }>();
  let text = "";
  for (const file of await changeFiles(name, data)) {
    const [{ run_id: owner = "", snapshot = null } = {}] = file;
    files.set(owner, { isSnapshot: snapshot === true });
    text = rebuilt(file, text);
    if (csv.findLast((each) => each.owner === owner)?.text !== text)
      wrong.push(`the changes of run ${owner} do not give its publication`);
  }
  const storedAt = (owner: string) =>
    history.writesOf(data.bucket, keys.changesFile(name, owner))[0]?.moment ?? Number.POSITIVE_INFINITY;
  for (const [n, publication] of csv.entries()) {
    const { owner, write } = publication;
    // An assembler that died may have published the same file before.
    if (csv.findIndex((each) => each.owner === owner) < n) continue;
    const { result } = ended.get(owner) ?? {};
    const before = csv[n - 1];
    const file = files.get(owner);
    // Nothing describes a file that was replaced before its changes were stored.
    if (!file && n + 1 === csv.length) wrong.push(`the changes of run ${owner} are not stored`);
    const mayBeSnapshot = !before || storedAt(before.owner) > write.call.begun;
    if (file?.isSnapshot && !mayBeSnapshot) wrong.push(`the changes of run ${owner} are a snapshot`);
    if (result?.state !== "published") continue;
    const { changes } = result;
    if (!changes) wrong.push(`run ${owner} does not say what has changed`);
    if (!before || !changes?.since) continue;
    if (changes.since.runId !== before.owner)
      wrong.push(`the changes of run ${owner} are since run ${changes.since.runId}, not ${before.owner}`);
    const right = JSON.stringify(countsOf(before, publication, write.call.entry));
    const { added, edited, deleted, moved } = changes;
    const found = JSON.stringify({ added, edited, deleted, moved });
    if (found !== right) wrong.push(`run ${owner} counts the changes ${found}, expected ${right}`);
  }
  return wrong;
}

type Counts = Pick<FileChanges, "added" | "edited" | "deleted" | "moved">;

function countsOf(before: Publication, now: Publication, { columns }: Dataset): Counts {
  const [old, current] = [rowsOf(before), rowsOf(now)];
  const typed = columns.flatMap((column) => ("type" in column ? column : []));
  const date = (typed.find(({ type }) => type === "timestamp") ?? typed.find(({ type }) => type === "date"))
    ?.name;
  const counts = { added: 0, edited: 0, deleted: 0, moved: 0 };
  for (const [id, row] of current) {
    const earlier = old.get(id);
    if (!earlier) {
      counts.added += 1;
      continue;
    }
    const edited = [...row].filter(([header, cell]) => earlier.has(header) && earlier.get(header) !== cell);
    const dayIn = (cells: Map<string, Cell>) => String(cells.get(date ?? "")).slice(0, 10);
    const hasMoved = edited.some(([header]) => header === date) && dayIn(row) !== dayIn(earlier);
    if (hasMoved) counts.moved += 1;
    else if (edited.length > 0) counts.edited += 1;
  }
  counts.deleted = [...old.keys()].filter((id) => !current.has(id)).length;
  return counts;
}

/** Returns the rows by `_id`, each with its cells by header. */
function rowsOf({ text }: Publication): Map<Cell, Map<string, Cell>> {
  const { header, rows } = readCsv(text);
  const named = rows.map((row) => new Map(row.map((cell, n) => [header[n] ?? "", cell ?? ""])));
  return new Map(named.map((row) => [row.get("_id") ?? null, row]));
}
