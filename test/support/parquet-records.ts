// Reads a Parquet file with hyparquet, which shares no code with the other readers of the tests.
import { zstdDecompressSync } from "node:zlib";
import { parquetReadObjects } from "hyparquet";

/** Returns the rows by column. Integers are bigint, dates and timestamps are Date (in UTC), lists are arrays. */
export function parquetRecords(bytes: Uint8Array): Promise<Record<string, unknown>[]> {
  const file = Uint8Array.from(bytes).buffer;
  return parquetReadObjects({ file, compressors: { ZSTD: (input) => zstdDecompressSync(input) } });
}
