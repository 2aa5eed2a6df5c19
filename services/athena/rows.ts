// How many rows a result has.

const newline = 0x0a;
const quote = 0x22;

/**
 * The rows of a CSV as Athena writes it: a header, `\n`, fields in quotes with `"` doubled. A line break inside quotes is
 * text. Memory: one chunk.
 */
export async function countRows(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let lines = 0;
  let quoted = false;
  let inLine = false;
  for await (const chunk of chunks) {
    for (const byte of chunk) {
      // A doubled quote ends the quotes and begins them again.
      if (byte === quote) quoted = !quoted;
      const ends = byte === newline && !quoted;
      if (ends) lines += 1;
      inLine = !ends;
    }
  }
  if (inLine) lines += 1;
  return Math.max(lines - 1, 0);
}
