// Reading a request's body whole, within a bound.
import type { IncomingMessage } from "node:http";

/** @returns undefined where the body has more than `maxBytes`; it is read to its end all the same */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) throw new Error("The body is not bytes.");
    bytes += chunk.length;
    // What is too much is read and dropped, so that the client gets to the answer.
    if (bytes <= maxBytes) chunks.push(chunk);
  }
  return bytes <= maxBytes ? Buffer.concat(chunks) : undefined;
}
