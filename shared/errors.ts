// Every error that the pipeline raises on purpose. Its sentences are read by the person who has to act on
// them: on the terminal of `npm start`, and on the dead letter of a deployed stage.

/**
 * What a retry can do about it:
 * - `terminal`: the same message fails the same way; it goes to the dead letters at once
 * - `transient`: it may pass later; retried with growing delays until the receive limit
 * - `rate-limited`: as transient, after the time that the other side named
 */
export type ErrorKind = "terminal" | "transient" | "rate-limited";

export type PipelineErrorOptions = {
  /** What happened, one sentence, without secrets and without any text of a record. */
  message: string;
  /** What a person does about it, one sentence. */
  advice: string;
  kind?: ErrorKind;
  /** The ids that matter: run, window, page, dataset, query. */
  ids?: Readonly<Record<string, string | number>>;
  /** Seconds that the other side asked to wait. */
  retryAfterSeconds?: number | undefined;
  cause?: unknown;
};

export class PipelineError extends Error {
  readonly kind: ErrorKind;
  readonly advice: string;
  readonly ids: Readonly<Record<string, string | number>>;
  readonly retryAfterSeconds: number | undefined;

  /** @param name what it is called in logs, alarms and dead letters, for example `LibInsightUnreachable` */
  constructor(name: string, options: PipelineErrorOptions) {
    super(options.message, { cause: options.cause });
    this.name = name;
    this.kind = options.kind ?? "terminal";
    this.advice = options.advice;
    this.ids = options.ids ?? {};
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  /** What happened, what to do, and the ids that matter, as one text for a person. */
  get sentence(): string {
    const ids = Object.entries(this.ids).map(([name, value]) => `${name} ${value}`);
    return [this.message, this.advice, ids.length > 0 ? `(${ids.join(", ")})` : ""].filter(Boolean).join(" ");
  }
}

/**
 * Any thrown value as a PipelineError. An unexpected error counts as transient: a retry is bounded and
 * harmless, a lost message is not. The foreign error's own message stays in `cause`, because it may quote
 * what it choked on.
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
