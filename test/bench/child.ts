// Node processes of their own for the transform and for the simulated LibInsight: neither's memory or time is another's.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { basename } from "node:path";
import type { z } from "zod";

/** The transform's rounds take some seconds, and so does the simulation's start with a million records. */
const answerTimeoutMs = 5 * 60_000;
const endTimeoutMs = 10_000;
/** Of what is measured: less than Lambda gives any of the services. */
const boundedHeap = ["--max-old-space-size=96", "--max-semi-space-size=8"];

export type Child<T> = {
  answer: T;
  /** Ends it. May be called again. */
  [Symbol.asyncDispose](): Promise<void>;
};

/**
 * Starts a process and waits for its one answer.
 * @param module the file that it runs; what it prints on stdout is dropped
 * @param input what it gets at its start
 * @param schema of its answer
 * @throws Error where it ends first, or sends nothing for five minutes
 */
export async function startChild<T extends z.ZodType>(
  module: string,
  input: object,
  schema: T,
  { measured = false }: { measured?: boolean } = {},
): Promise<Child<z.infer<T>>> {
  const child = fork(module, [JSON.stringify(input)], {
    // Nothing else of this shell: no credentials, no profile.
    env: { PATH: process.env.PATH },
    execArgv: measured ? boundedHeap : [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const signal = AbortSignal.timeout(answerTimeoutMs);
  try {
    const ended = once(child, "exit", { signal }).then(() => {
      throw new Error(`${basename(module)} ended before it answered.`);
    });
    const [message]: unknown[] = await Promise.race([once(child, "message", { signal }), ended]);
    return { answer: schema.parse(message), [Symbol.asyncDispose]: () => end(child) };
  } catch (error) {
    await end(child);
    throw error;
  }
}

/** A child ends when its parent disconnects; one that does not is killed. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  const late = setTimeout(() => child.kill("SIGKILL"), endTimeoutMs);
  if (child.connected) child.disconnect();
  await exit;
  clearTimeout(late);
}

/** In a child: returns what it got at its start. It ends with its parent from here on. */
export function inputOf<T extends z.ZodType>(schema: T): z.infer<T> {
  process.once("disconnect", () => process.exit(0));
  return schema.parse(JSON.parse(process.argv[2] ?? "null"));
}

/** In a child: sends its answer to the parent. */
export function answer(message: object): void {
  if (!process.send) throw new Error("This file is started by the benchmarks, not by hand.");
  process.send(message);
}
