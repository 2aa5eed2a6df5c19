// Runs the transform and the simulated LibInsight in their own Node processes, so that their memory and time are separate.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { basename } from "node:path";
import type { z } from "zod";

/** The transform's rounds take some seconds, and so does the simulation's start with a million records. */
const resultTimeoutMs = 5 * 60_000;
const endTimeoutMs = 10_000;
/** Limits the heap of a measured process to less than any service has on Lambda. */
const boundedHeap = ["--max-old-space-size=96", "--max-semi-space-size=8"];

export type Child<T> = {
  result: T;
  /** Sends it a message. */
  send(message: object): void;
  /** Ends the process. May be called again. */
  [Symbol.asyncDispose](): Promise<void>;
};

/**
 * Starts a process and waits for its result.
 * @param module the file that it runs; its stdout is dropped
 * @param input the input of the process (`inputOf`)
 * @param schema the schema of its result
 * @throws Error if it ends first, or sends nothing for five minutes
 */
export async function startChild<T extends z.ZodType>(
  module: string,
  input: object,
  schema: T,
  { measured = false }: { measured?: boolean } = {},
): Promise<Child<z.infer<T>>> {
  const child = fork(module, [JSON.stringify(input)], {
    // The child gets no other variable of this shell, so no credentials and no profile.
    env: { PATH: process.env.PATH },
    execArgv: measured ? boundedHeap : [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const signal = AbortSignal.timeout(resultTimeoutMs);
  try {
    const ended = once(child, "exit", { signal }).then(() => {
      throw new Error(`${basename(module)} ended before it answered.`);
    });
    const [message]: unknown[] = await Promise.race([once(child, "message", { signal }), ended]);
    return {
      result: schema.parse(message),
      send: (sent) => void child.send(sent),
      [Symbol.asyncDispose]: () => end(child),
    };
  } catch (error) {
    await end(child);
    throw error;
  }
}

/** Disconnects from a child, which ends it; kills it after a timeout. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  const late = setTimeout(() => child.kill("SIGKILL"), endTimeoutMs);
  if (child.connected) child.disconnect();
  await exit;
  clearTimeout(late);
}

/** In a child: returns its input. From here on, the child ends with its parent. */
export function inputOf<T extends z.ZodType>(schema: T): z.infer<T> {
  process.once("disconnect", () => process.exit(0));
  return schema.parse(JSON.parse(process.argv[2] ?? "null"));
}

/** In a child: sends its result to the parent. */
export function sendResult(message: object): void {
  if (!process.send) throw new Error("Only the benchmarks start this file. Use npm run bench.");
  process.send(message);
}
