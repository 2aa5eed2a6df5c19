// Structured logs: ids and counts, never text of a record and never a secret.
import * as z from "zod/mini";
import type { PipelineError } from "./errors.ts";

type Write = (message: string, fields: Record<string, unknown>) => void;
export type Log = { info: Write; warn: Write; error: Write };

/** Ids and counts of a finished message. */
export type LogFields = Record<string, string | number | boolean>;

/** AWS Support asks for the request id. */
const awsError = z.object({ $metadata: z.object({ requestId: z.string() }) });

/**
 * Returns the log fields of an error. Of its cause they include only the name, the stack frames and AWS's request id,
 * because other messages may quote data, and those of an HTTP client even headers.
 */
export function loggable(error: PipelineError): Record<string, unknown> {
  const { cause } = error;
  const fromAws = awsError.safeParse(cause);
  return {
    error: error.name,
    kind: error.kind,
    what: error.message,
    advice: error.advice,
    ...error.ids,
    ...(cause instanceof Error && { cause: cause.name, at: stackWithoutMessage(cause) }),
    ...(fromAws.success && { awsRequestId: fromAws.data.$metadata.requestId }),
  };
}

/** Returns at most eight frames. V8 puts the message before them, and its lines may look like frames. */
function stackWithoutMessage({ stack = "", message }: Error): string[] {
  const lines = stack.replace(message, "").split("\n");
  const frames = lines.filter((line) => /^ {4}at .*:\d+:\d+\)?$/.test(line));
  return frames.slice(0, 8).map((frame) => frame.trim());
}
