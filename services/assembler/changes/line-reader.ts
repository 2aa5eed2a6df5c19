// Reads a stream line by line, without making a text of each line.
const newline = 0x0a;

export class LineReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  /** The index of the line's "\n", or -1 if the line is not complete yet. */
  #end = -1;
  #hasEnded = false;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Whether a line can be taken now. If not, `read` brings the next one, unless the stream has ended. */
  get hasLine(): boolean {
    return this.#end !== -1;
  }

  /** Reads until a line is complete. @returns false at the end of the stream */
  async read(): Promise<boolean> {
    while (this.#end === -1 && !this.#hasEnded) {
      const { done, value } = await this.#chunks.next();
      if (done) {
        this.#hasEnded = true;
        break;
      }
      const rest = this.#bytes.subarray(this.#start);
      this.#bytes = rest.length === 0 ? bufferOf(value) : Buffer.concat([rest, value]);
      this.#start = 0;
      this.#end = this.#bytes.indexOf(newline, rest.length);
    }
    return this.#end !== -1;
  }

  /** Returns whether the line has the same bytes, without its "\n". */
  isLine(bytes: Buffer, start: number, end: number): boolean {
    if (end - start !== this.#end - this.#start) return false;
    return this.#bytes.compare(bytes, start, end, this.#start, this.#end) === 0;
  }

  /** Returns the line, with one character for each byte, and goes on to the next one. */
  take(): string {
    const line = this.#bytes.toString("latin1", this.#start, this.#end);
    this.skip();
    return line;
  }

  skip(): void {
    this.#start = this.#end + 1;
    this.#end = this.#bytes.indexOf(newline, this.#start);
  }

  /** Ends the stream. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

/** Returns the same bytes as a Buffer. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
