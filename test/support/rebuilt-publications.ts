// Writes the publications of a dataset again from its files of changes alone.
import { z } from "zod";
import { keys } from "../../shared/keys.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { parquetRecords } from "./parquet-records.ts";

const changeRow = z.object({
  run_id: z.string(),
  known_at: z.date(),
  change: z.string(),
  snapshot: z.nullable(z.boolean()),
  columns: z.nullable(z.array(z.string())),
  row: z.nullable(z.bigint()),
  csv: z.string(),
});
export type ChangeRow = z.infer<typeof changeRow>;

const maxFiles = 10_000;
const idOf = (line: string): string => /^\d+/.exec(line)?.[0] ?? "";

/** Returns the rows of each file of changes, in the order of their publications. */
export async function changeFiles(dataset: string, data: ObjectStore): Promise<ChangeRow[][]> {
  const files: ChangeRow[][] = [];
  for (const key of await data.list(keys.changesFolder(dataset), maxFiles)) {
    const bytes = await data.getBytes(key);
    files.push(z.array(changeRow).parse(bytes && (await parquetRecords(bytes))));
  }
  const timeOf = (file: ChangeRow[]): number => file[0]?.known_at.getTime() ?? 0;
  return files.sort((a, b) => timeOf(a) - timeOf(b));
}

/** Returns the publication of a file of changes. @param before the publication before it */
export function rebuilt(changes: readonly ChangeRow[], before: string): string {
  const [published, ...rows] = changes;
  if (published?.change !== "published") throw new Error("The file does not begin with its publication.");
  const changed = new Set(rows.map(({ csv }) => idOf(csv)));
  const lines = published.snapshot ? [] : before.split("\n").slice(1, -1);
  const unchanged = lines.filter((line) => !changed.has(idOf(line))).values();
  const placed = new Map(rows.flatMap(({ row, csv }) => (row === null ? [] : [[Number(row), csv] as const])));
  const written = [published.csv];
  for (;;) {
    const line = placed.get(written.length) ?? unchanged.next().value;
    if (line === undefined) return `${written.join("\n")}\n`;
    written.push(line);
  }
}
