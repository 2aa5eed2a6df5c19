// The history of a dataset without forgotten records. The files of changes give the place of each changed row in the published
// file (docs/architecture.md), so a file gets other places even if it has none of the records.
import { besideChanges, changesColumns } from "../../../shared/changes-columns.ts";
import { knownNames } from "../../../shared/column-names.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { keys } from "../../../shared/keys.ts";
import { kinds } from "../../../shared/kinds/kinds.ts";
import type { ParquetValue } from "../../../shared/parquet.ts";
import type { ObjectInfo, ObjectStore } from "../../../shared/ports.ts";
import { dateColumn } from "../../../shared/profile.ts";
import { csvRecords, type Filtered, type IsForgotten, readParquet, rewritten } from "./forget-rows.ts";

/** A publication each hour for a decade. */
const maxFiles = 100_000;
const at = Object.fromEntries(changesColumns.map(({ name }, index) => [name, index]));

type ChangeFile = { key: string; info: ObjectInfo };

/** Returns a dataset's files of changes, in the order of their publications. */
export async function changeFiles({ name }: Dataset, data: ObjectStore): Promise<ChangeFile[]> {
  const found: ChangeFile[] = [];
  for (const key of await data.list(keys.changesFolder(name), maxFiles)) {
    const info = await data.head(key);
    if (info) found.push({ key, info });
  }
  const timeOf = ({ info }: ChangeFile) => info.metadata["known-at"] ?? "";
  return found.sort((a, b) => (timeOf(a) < timeOf(b) ? -1 : 1));
}

/** Returns the `_id` of a row of a file of changes. The row with the header has none. */
export function idOf(row: readonly ParquetValue[]): number | undefined {
  const digits = /^\d+/.exec(String(row[at.csv ?? -1]))?.[0];
  return row[at.change ?? -1] === "published" || digits === undefined ? undefined : Number(digits);
}

/** Returns the ids of the records whose last known version is dated before a day. Records without a date are not. */
export async function datedBefore(
  day: string,
  dataset: Dataset,
  { data, results }: { data: ObjectStore; results: ObjectStore },
): Promise<Set<number>> {
  const found = new Set<number>();
  const note = (id: number, date: string): void => {
    if (/^\d{4}-\d{2}-\d{2}/.test(date) && date < day) found.add(id);
    else found.delete(id);
  };
  const { dateField } = kinds[dataset.kind];
  // The fetcher compares this field, which the file may lack.
  const header = dataset.columns.some((column) => column.name === dateField && "type" in column)
    ? dateField
    : (dateColumn(dataset) ?? "");
  const column = besideChanges((await knownNames(dataset, results)).get(header) ?? "");
  for (const { key } of await changeFiles(dataset, data)) {
    const file = await readParquet(await data.stream(key));
    const index = file.columns.findIndex(({ name }) => name === column);
    for await (const group of file.groups()) {
      for (const row of group) {
        const id = idOf(row);
        if (id !== undefined) note(id, String(row[index] ?? ""));
      }
    }
  }
  for await (const { id, textOf } of csvRecords(dataset.publish.csv, data)) note(id, textOf(header));
  return found;
}

/** A file to write again. */
export type ChangedFile = {
  key: string;
  info: ObjectInfo;
  removed: number;
  write: () => AsyncGenerator<Filtered>;
};

/** In the metadata of a file of changes: the last call that wrote it again. */
const mark = "forgotten-at";

/**
 * Returns the files of changes to write again, the newest first. An interrupted call has marked the newest ones: their places
 * already count without the records.
 * @param call identifies this call, also when it is repeated
 */
export async function filesToChange(
  dataset: Dataset,
  data: ObjectStore,
  isForgotten: IsForgotten,
  call: string,
): Promise<ChangedFile[]> {
  const changed: ChangedFile[] = [];
  let order: number[] = [];
  let isDone = false;
  for (const { key, info } of await changeFiles(dataset, data)) {
    isDone ||= info.metadata[mark] === call;
    if (isDone) break;
    const file = await readParquet(await data.stream(key));
    const rows = (await Array.fromAsync(file.groups())).flat();
    order = orderAfter(order, rows);
    const places = placesWithout(order, isForgotten);
    const removed = rows.filter((row) => isForgotten(idOf(row) ?? -1)).length;
    const newPlaces = rows.map((row) => places[Number(row[at.row ?? -1] ?? 0)] ?? 0);
    const isSame = removed === 0 && rows.every((row, index) => (row[at.row ?? -1] ?? 0) === newPlaces[index]);
    if (isSame) continue;
    changed.unshift({
      key,
      info: { ...info, metadata: { ...info.metadata, [mark]: call } },
      removed,
      write: () => withoutRecords(data, key, newPlaces, isForgotten),
    });
  }
  return changed;
}

async function* withoutRecords(
  data: ObjectStore,
  key: string,
  places: readonly number[],
  isForgotten: IsForgotten,
): AsyncGenerator<Filtered> {
  const file = await readParquet(await data.stream(key));
  let index = 0;
  yield* rewritten(file, (row) => {
    const place = places[index];
    index += 1;
    if (isForgotten(idOf(row) ?? -1)) return undefined;
    return row.map((value, column) => (column === at.row && value !== null ? (place ?? null) : value));
  });
}

/** Returns the ids of a publication in its order. @param before those of the publication before */
function orderAfter(before: readonly number[], rows: readonly ParquetValue[][]): number[] {
  const changed = new Set<number>();
  const placed = new Map<number, number>();
  let isSnapshot = false;
  for (const row of rows) {
    const id = idOf(row);
    const place = row[at.row ?? -1];
    if (id === undefined) isSnapshot = row[at.snapshot ?? -1] === true;
    else changed.add(id);
    if (id !== undefined && typeof place === "number") placed.set(place, id);
  }
  const unchanged = (isSnapshot ? [] : before).filter((id) => !changed.has(id)).values();
  const order: number[] = [];
  for (;;) {
    const id = placed.get(order.length + 1) ?? unchanged.next().value;
    if (id === undefined) return order;
    order.push(id);
  }
}

/** Returns the new place of each place from 1. */
function placesWithout(order: readonly number[], isForgotten: IsForgotten): number[] {
  let kept = 0;
  return [0, ...order.map((id) => (isForgotten(id) ? kept : ++kept))];
}
