// One structured log line for each thing worth knowing: ids and counts, never a record's text and never a secret.
import * as z from "zod/mini";
import type { PipelineError } from "./errors.ts";

/** Writes one line with its fields. */
type Write = (message: string, fields: Record<string, unknown>) => void;
export type Log = { info: Write; warn: Write; error: Write };

/** What to log of a piece of work: ids and counts. */
export type LogFields = Record<string, string | number | boolean>;

/** What AWS's support asks for. */
const awsError = z.object({ $metadata: z.object({ requestId: z.string() }) });

/**
 * An error as it may be logged. Of its cause only the name, the place and AWS's request id: the messages of
 * foreign errors quote what they choked on (an HTTP client's even its headers).
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

/** Frames only: V8 puts the message, which may span lines that look like frames, before the first frame. */
function stackWithoutMessage({ stack = "", message }: Error): string[] {
  const lines = stack.replace(message, "").split("\n");
  const frames = lines.filter((line) => /^ {4}at .*:\d+:\d+\)?$/.test(line));
  return frames.slice(0, 8).map((frame) => frame.trim());
}
