// Writes the rows of a file of changes: a `published` row with the header of the published file, and a row for each change.
// With the files of a dataset alone, each of its publications can be written again, byte for byte.
import { besideChanges, changesColumns } from "../../../shared/changes-columns.ts";
import { csvFieldText } from "../../../shared/csv.ts";
import { ParquetRows, type ParquetValue } from "../../../shared/parquet.ts";
import type { RowChange } from "./row-changes.ts";

export type ChangesFile = {
  runId: string;
  /** In UTC. */
  knownAt: Date;
  /** The headers of the file before and of the new one. */
  before: readonly string[];
  now: readonly string[];
  /** Returns a header's name in Athena. */
  nameOf: (header: string) => string;
};

/** Each method returns bytes of the file that are complete, usually none. */
export class ChangesRows {
  readonly #file: ChangesFile;
  readonly #origin: ParquetValue[];
  /** For each column of the rows, its index in the file before and in the new one. */
  readonly #columns: { before: number; now: number }[];
  readonly #rows: ParquetRows;

  constructor(file: ChangesFile) {
    this.#file = file;
    this.#origin = [file.runId, file.knownAt.toISOString().slice(0, 19).replace("T", " ")];
    const headers = [...new Set([...file.now, ...file.before])];
    this.#columns = headers.map((header) => ({
      before: file.before.indexOf(header),
      now: file.now.indexOf(header),
    }));
    const columns = headers.map((header) => ({
      name: besideChanges(file.nameOf(header)),
      type: "text" as const,
    }));
    this.#rows = new ParquetRows([...changesColumns, ...columns]);
  }

  /** @param header the header line, without "\n" */
  published(header: string, isSnapshot: boolean): Uint8Array[] {
    return this.#rows.add([...this.#origin, "published", isSnapshot, null, null, header]);
  }

  change({ kind, place, line, fields, columns }: RowChange): Uint8Array[] {
    const names = columns.map((header) => besideChanges(this.#file.nameOf(header)));
    return this.#rows.add([
      ...this.#origin,
      ...[kind, null, names.length > 0 ? names : null, place ?? null, line],
      ...this.#columns.map(({ before, now }) => textOf(fields[kind === "deleted" ? before : now])),
    ]);
  }

  finish(): Uint8Array[] {
    return this.#rows.finish();
  }
}

/** Returns null for a field without quotes and characters, and for one that the row does not have. */
function textOf(field = ""): string | null {
  return field === "" ? null : csvFieldText(field);
}
