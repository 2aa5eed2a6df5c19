// One structured log line for each thing worth knowing: ids and counts, never a record's text and never a secret.
import { Logger } from "@aws-lambda-powertools/logger";
import type { PipelineError } from "./errors.ts";

export type Log = Pick<Logger, "info" | "warn" | "error">;

export function createLogger(serviceName: string): Log {
  return new Logger({ serviceName });
}

/**
 * An error as it may be logged. Of its cause only the name, the place and AWS's request id: the messages of
 * foreign errors quote what they choked on (an HTTP client's even its headers).
 */
export function loggable(error: PipelineError): Record<string, unknown> {
  const { cause } = error;
  return {
    error: error.name,
    kind: error.kind,
    what: error.message,
    advice: error.advice,
    ...error.ids,
    ...(cause instanceof Error && { cause: cause.name, at: stackWithoutMessage(cause) }),
  };
}

/** Frames only: V8 puts the message, which may span lines, before the first frame. */
function stackWithoutMessage(error: Error): string[] {
  const frames = (error.stack ?? "").split("\n").filter((line) => /^ {4}at /.test(line));
  return frames.slice(0, 8).map((frame) => frame.trim());
}
