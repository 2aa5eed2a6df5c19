// Checks the files of changes: from them alone every publication can be written again, byte for byte, and they count the
// rows that differ from the publication before.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { keys } from "../../shared/keys.ts";
import { changeFiles, rebuilt } from "../support/rebuilt-publications.ts";
import { type Cell, readCsv } from "./oracle.ts";
import { approval, type Evidence, type Publication, type Publications } from "./verdict.ts";

export async function changesProblems(
  { history, ports: { data, work } }: Evidence,
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
    const changed = changedRows(before, publication, write.call.entry);
    const count = (of: Kind) => changed.filter(({ kind }) => kind === of).length;
    const right = kinds.map((kind) => `${count(kind)} ${kind}`).join();
    const found = kinds.map((kind) => `${changes[kind]} ${kind}`).join();
    if (found !== right) wrong.push(`run ${owner} counts the changes ${found}, expected ${right}`);
    // Only the index of the publication before says what that one has reused.
    const last = ended.get(before.owner);
    const knows =
      result.refresh?.full &&
      last?.result.state === "published" &&
      last.result.force !== approval &&
      history.had(work, keys.keptIndex(name), write.call.begun);
    const windows = last?.attempts.at(-1)?.windows.filter(({ reused }) => reused) ?? [];
    const missed = changed.filter(({ day }) =>
      windows.some(({ window }) => window.from <= day && day <= window.to),
    ).length;
    if (knows && (result.refresh?.missed?.changes ?? 0) !== missed)
      wrong.push(
        `run ${owner} has missed ${result.refresh?.missed?.changes ?? 0} changes, expected ${missed}`,
      );
  }
  return wrong;
}

const kinds = ["added", "edited", "deleted", "moved"] as const;
type Kind = (typeof kinds)[number];

/** Returns the rows that differ, each with its day. */
function changedRows(
  before: Publication,
  now: Publication,
  { columns }: Dataset,
): { kind: Kind; day: string }[] {
  const [old, current] = [rowsOf(before), rowsOf(now)];
  const typed = columns.flatMap((column) => ("type" in column ? column : []));
  const date = (typed.find(({ type }) => type === "timestamp") ?? typed.find(({ type }) => type === "date"))
    ?.name;
  const dayIn = (cells: Map<string, Cell>) => String(cells.get(date ?? "")).slice(0, 10);
  const found: { kind: Kind; day: string }[] = [];
  for (const [id, row] of current) {
    const earlier = old.get(id);
    if (!earlier) {
      found.push({ kind: "added", day: dayIn(row) });
      continue;
    }
    const edited = [...row].filter(([header, cell]) => earlier.has(header) && earlier.get(header) !== cell);
    const hasMoved = edited.some(([header]) => header === date) && dayIn(row) !== dayIn(earlier);
    if (edited.length > 0) found.push({ kind: hasMoved ? "moved" : "edited", day: dayIn(row) });
  }
  for (const [id, row] of old) if (!current.has(id)) found.push({ kind: "deleted", day: dayIn(row) });
  return found;
}

/** Returns the rows by `_id`, each with its cells by header. */
function rowsOf({ text }: Publication): Map<Cell, Map<string, Cell>> {
  const { header, rows } = readCsv(text);
  const named = rows.map((row) => new Map(row.map((cell, n) => [header[n] ?? "", cell ?? ""])));
  return new Map(named.map((row) => [row.get("_id") ?? null, row]));
}
