// Processes of their own for what is measured, for its emulators and for its floors: none's memory or time is another's.
import { type ChildProcess, fork } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { basename } from "node:path";
import { z } from "zod";

/** What has to answer does so within this, or its process is ended. The longest case takes some minutes. */
const answerTimeoutMs = 30 * 60_000;
const endTimeoutMs = 10_000;
/**
 * Of what is measured, whatever the size: less than Lambda gives any of the services. On a large machine V8 lets garbage
 * lie, and the peak of memory would be its patience; within this bound it is the need, and who needs more dies.
 */
const heapMb = 96;
const youngHeapMb = 8;

export type Child = {
  /**
   * Waits for the next message of this form; others that came before are passed over.
   * @throws Error where the child fails or ends first, or stays silent for half an hour
   */
  next<T extends z.ZodType>(form: T): Promise<z.infer<T>>;
  tell(message: object): void;
  /** Rejects when it fails or ends. */
  failed: Promise<never>;
  /** Ends it. May be called again. */
  [Symbol.asyncDispose](): Promise<void>;
};

const failure = z.strictObject({ failed: z.string() });

/**
 * @param module the file that it runs; what it prints on stdout is dropped
 * @param input what it is told at its start
 * @param options.env nothing else of this shell is for it: no credentials, no profile
 * @param options.measured its heap is bounded
 */
export function startChild(
  module: string,
  input: object,
  { env = {}, measured = false }: { env?: Record<string, string>; measured?: boolean } = {},
): Child {
  const child = fork(module, [JSON.stringify(input)], {
    env: {
      PATH: process.env.PATH,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: "bench",
      AWS_SECRET_ACCESS_KEY: "bench",
      POWERTOOLS_LOG_LEVEL: "SILENT",
      ...env,
    },
    execArgv: measured ? [`--max-old-space-size=${heapMb}`, `--max-semi-space-size=${youngHeapMb}`] : [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const name = basename(module);
  const failed = Promise.withResolvers<never>();
  // Whoever waits for something hears of it.
  failed.promise.catch(() => {});
  const unread: unknown[] = [];
  const heard = new EventEmitter();
  child.on("message", (message) => {
    const { data } = failure.safeParse(message);
    if (data) failed.reject(new Error(`${name} failed: ${data.failed}`));
    unread.push(message);
    heard.emit("message");
  });
  child.once("exit", () => failed.reject(new Error(`${name} ended before it answered.`)));

  async function take<T extends z.ZodType>(form: T): Promise<z.infer<T>> {
    const signal = AbortSignal.timeout(answerTimeoutMs);
    for (;;) {
      while (unread.length > 0) {
        const parsed = form.safeParse(unread.shift());
        if (parsed.success) return parsed.data;
      }
      await once(heard, "message", { signal });
    }
  }

  return {
    next: (form) => Promise.race([take(form), failed.promise]),
    tell: (message) => child.send(message),
    failed: failed.promise,
    [Symbol.asyncDispose]: () => end(child),
  };
}

/** A child ends when its parent lets it go; one that does not is killed. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  const late = setTimeout(() => child.kill("SIGKILL"), endTimeoutMs);
  if (child.connected) child.disconnect();
  await exit;
  clearTimeout(late);
}

/** In a child: what it was told at its start. It ends with its parent from here on. */
export function inputOf<T extends z.ZodType>(schema: T): z.infer<T> {
  process.once("disconnect", () => process.exit(0));
  return schema.parse(JSON.parse(process.argv[2] ?? "null"));
}

/** In a child: says something to the parent. */
export function say(message: object): void {
  if (!process.send) throw new Error("This file is started by the benchmarks, not by hand.");
  process.send(message);
}

/** In a child: says to the parent what went wrong. */
export function sayFailed(error: unknown): void {
  say({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}
