// Records of the simulated LibInsight with words that no other record has, to search for after they were removed.
import type { LibInsightRecord } from "../../stacks/local/libinsight.ts";
import { parquetRecords } from "../support/parquet-records.ts";

/** Gives every field of a record that holds text the word with another number. The date stays. */
export function planted(record: LibInsightRecord, word: string): LibInsightRecord {
  let field = 0;
  const plant = (value: unknown): unknown => {
    field += 1;
    if (Array.isArray(value)) return [`${word}x${field}`];
    return typeof value === "string" ? `${word}x${field}` : value;
  };
  const entries = Object.entries(record).map(([name, value]) => [
    name,
    name.startsWith("_start") ? value : plant(value),
  ]);
  return { ...Object.fromEntries(entries), _id: record._id };
}

/** Returns whether a file holds one of the words. @param name ends with .parquet if the file is compressed */
export async function holds(name: string, bytes: Uint8Array, words: readonly string[]): Promise<boolean> {
  const rows = name.endsWith(".parquet") ? await parquetRecords(bytes) : [];
  const text = JSON.stringify(rows, (_, value) => (typeof value === "bigint" ? String(value) : value));
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return words.some((word) => all.includes(word) || text.includes(word));
}
