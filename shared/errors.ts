// The error that the pipeline throws on purpose. Its sentences appear on the terminal of `npm start` and in the dead
// letter of a deployed stage.

/**
 * Whether a retry can succeed:
 * - `terminal`: it cannot, so the message becomes a dead letter at once
 * - `transient`: it can; retried with growing delays until the receive limit
 * - `rate-limited`: it can, after the time that the service named
 */
export type ErrorKind = "terminal" | "transient" | "rate-limited";

export type PipelineErrorOptions = {
  /** What happened, in one sentence without secrets and without text of a record. */
  message: string;
  /** What a person can do, in one sentence. */
  advice: string;
  kind?: ErrorKind;
  /** The run, window, page, dataset or query, for example. */
  ids?: Readonly<Record<string, string | number>>;
  /** How long the service asked to wait. */
  retryAfterSeconds?: number | undefined;
  cause?: unknown;
};

export class PipelineError extends Error {
  readonly kind: ErrorKind;
  readonly advice: string;
  readonly ids: Readonly<Record<string, string | number>>;
  readonly retryAfterSeconds: number | undefined;

  /** @param name identifies the error in logs, alarms and dead letters, for example `LibInsightUnreachable` */
  constructor(name: string, options: PipelineErrorOptions) {
    super(options.message, { cause: options.cause });
    this.name = name;
    this.kind = options.kind ?? "terminal";
    this.advice = options.advice;
    this.ids = options.ids ?? {};
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  /** The message, the advice and the ids, as one text for a person. */
  get sentence(): string {
    const ids = Object.entries(this.ids).map(([name, value]) => `${name} ${value}`);
    return [this.message, this.advice, ids.length > 0 ? `(${ids.join(", ")})` : ""].filter(Boolean).join(" ");
  }
}

/**
 * Returns a thrown value as a PipelineError. An unexpected error is transient: a retry is bounded and harmless, a lost
 * message is not. Its own message stays in `cause`, because it may quote data.
 */
export function toPipelineError(error: unknown): PipelineError {
  if (error instanceof PipelineError) return error;
  const name = error instanceof Error ? error.name : typeof error;
  return new PipelineError("Unexpected", {
    message: `An unexpected error stopped this step (${name}).`,
    advice: "Find the stack trace in the function's log, fix the cause, and replay the dead letter.",
    kind: "transient",
    cause: error,
  });
}
