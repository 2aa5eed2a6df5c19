// Faults of AWS, put into the SDK's shared clients as middleware: only calls that a handler makes are touched, each
// waits for its turn, and the plan decides what befalls it.

import { AsyncLocalStorage } from "node:async_hooks";
import { Readable } from "node:stream";
import { S3ServiceException } from "@aws-sdk/client-s3";
import { eventBridge, s3, sqs } from "../../shared/aws/clients.ts";

/** A running handler, as its AWS calls find it. */
export type Caller = {
  /** Does the call when its turn has come, or does what the plan has for it. */
  perform<T>(command: string, send: () => Promise<T>): Promise<T>;
  /** How many of a batch's entries AWS takes, where the plan lets it take only some. */
  entriesTaken(command: string, entries: number): number | undefined;
};
const caller = new AsyncLocalStorage<Caller>();

/** Runs a handler so that its AWS calls go through `as`. */
export function callAs<T>(as: Caller, handler: () => Promise<T>): Promise<T> {
  return caller.run(as, handler);
}

const tries = 3;

/** The SDK's retries without its waits. */
const impatient = {
  acquireInitialRetryToken: async () => retryToken(0),
  refreshRetryTokenForRetry: async (
    token: { getRetryCount(): number },
    { errorType }: { errorType: string },
  ) => {
    const count = token.getRetryCount() + 1;
    if (count < tries && ["TRANSIENT", "THROTTLING"].includes(errorType)) return retryToken(count);
    throw new Error("No further retry.");
  },
  recordSuccess: () => {},
};
const retryToken = (count: number) => ({
  getRetryCount: () => count,
  getRetryDelay: () => 0,
  getRetryCost: () => 0,
});

/** Once a process, before the first handler runs. */
export function injectIntoClients(): void {
  const inside = { step: "finalizeRequest", priority: "low", name: "chaos" } as const;
  for (const client of [s3(), sqs(), eventBridge()]) client.config.retryStrategy = async () => impatient;
  s3().middlewareStack.add(
    (next, { commandName = "" }) =>
      (args) =>
        perform(commandName, async () => {
          const answer = await next(args);
          // The body of a handler that died is read by nobody, and its error, when S3 closes, heard by nobody.
          if ("Body" in answer.output && answer.output.Body instanceof Readable)
            answer.output.Body.on("error", () => {});
          return answer;
        }),
    inside,
  );
  sqs().middlewareStack.add(
    (next, { commandName = "" }) =>
      (args) =>
        perform(commandName, () => next(args)),
    inside,
  );
  eventBridge().middlewareStack.add(
    (next, { commandName = "" }) =>
      (args) =>
        perform(commandName, () => next(args)),
    inside,
  );

  const outside = { step: "initialize", priority: "high", name: "chaos in part" } as const;
  sqs().middlewareStack.add(
    (next, { commandName = "" }) =>
      async (args) => {
        const { input } = args;
        if (commandName !== "SendMessageBatchCommand" || !("Entries" in input)) return next(args);
        const { Entries = [] } = input;
        const taken = caller.getStore()?.entriesTaken(commandName, Entries.length);
        if (taken === undefined) return next(args);
        const Failed = Entries.slice(taken).map(({ Id }) => ({
          Id,
          Code: "InternalError",
          SenderFault: false,
        }));
        if (taken === 0) return { output: { $metadata: {}, Successful: [], Failed }, response: {} };
        const cut = { ...args, input: { ...input, Entries: Entries.slice(0, taken) } };
        // The entries are those of the command's own kind; only their number differs.
        const answer = await next(Object.assign({}, args, cut));
        Object.assign(answer.output, { Failed });
        return answer;
      },
    outside,
  );
  eventBridge().middlewareStack.add(
    (next, { commandName = "" }) =>
      async (args) => {
        if (commandName !== "PutEventsCommand") return next(args);
        if (caller.getStore()?.entriesTaken(commandName, 1) === undefined) return next(args);
        const Entries = [{ ErrorCode: "InternalFailure", ErrorMessage: "Simulated." }];
        return { output: { $metadata: {}, FailedEntryCount: 1, Entries }, response: {} };
      },
    outside,
  );
}

function perform<T>(command: string, send: () => Promise<T>): Promise<T> {
  return caller.getStore()?.perform(command, send) ?? send();
}

/** An error as AWS tells it. S3's class serves for all: the SDK looks at name and status. */
export function awsError(name: string, status: number): Error {
  return new S3ServiceException({
    name,
    $fault: status < 500 ? "client" : "server",
    $metadata: { httpStatusCode: status },
    message: `Simulated ${name}.`,
  });
}

/** What the SDK makes of a connection that broke. */
export function connectionLost(): Error {
  return Object.assign(new Error("Simulated: socket hang up"), { name: "TimeoutError", code: "ECONNRESET" });
}
