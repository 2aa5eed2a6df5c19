// Watches one run on this machine until it ends. It checks what is stored, each second and after each event or dead letter.
import * as z from "zod/mini";
import { inspectDeadLetters } from "../../services/replay/dead-letter-queues.ts";
import { heldText } from "../../services/reporter/message.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { DeadLetter } from "../../shared/dead-letter.ts";
import type { PipelineError } from "../../shared/errors.ts";
import { eventDetails } from "../../shared/events.ts";
import { keys } from "../../shared/keys.ts";
import type { Local } from "../../shared/local/open-local.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { allEntries } from "../../shared/privacy/deidentified.ts";
import { maxPages, type RunResult, runResult } from "../../shared/run.ts";
import type { QueueName } from "../../shared/topology.ts";
import type { Retry } from "./workers.ts";

export type RunEnd =
  | { state: "published and queried"; result: RunResult; query: { queryExecutionId: string; key: string } }
  /** `reason` is a sentence for a person. `result` is missing if the run has published or has not ended. */
  | { state: "failed"; reason: string; result?: RunResult }
  /** The run continues when the dead letter is replayed. */
  | { state: "dead letter"; deadLetter: DeadLetter; pagesKept: number };

/** The outcome of the refresh, with a sentence for a person. */
export type TableauOutcome = { state: "refreshed" | "failed"; sentence: string };

/** A run ends in spite of dead letters in these queues. */
const nonBlockingQueues: readonly QueueName[] = ["tableau", "reporter", "renderer", "ec2", "replay"];

const checkMs = 1_000;
/** A run has stalled after this time without progress and without a message that waits for its retry. */
const stalledMs = 10 * 60_000;
/** The most dead letters that are read. */
export const maxDeadLetters = 1_000;

const watched = z.union([
  event("run.started"),
  event("run.published"),
  event("file.refused"),
  event("query.failed"),
  event("results.published"),
  event("tableau.refreshed"),
  event("tableau.failed"),
]);

function event<T extends keyof typeof eventDetails>(type: T) {
  return z.object({ "detail-type": z.literal(type), detail: eventDetails[type] });
}

const queryId = "query-execution-id";

export class RunWatch {
  readonly #runId: string;
  readonly #dataset: Dataset;
  readonly #startedAt = new Date().toISOString();
  readonly #deadLetterQueues = new Set<QueueName>();
  #wake: () => void = () => {};
  #failure: string | undefined;
  /** When the run last made progress, or will retry, in milliseconds since 1970. */
  #progressAt = Date.now();
  #broken: PipelineError | undefined;
  tableau: TableauOutcome | undefined;
  onStarted: (windows: number) => void = () => {};
  onPublished: () => void = () => {};

  constructor(runId: string, dataset: Dataset) {
    this.#runId = runId;
    this.#dataset = dataset;
  }

  onHandled(): void {
    this.#progressAt = Math.max(this.#progressAt, Date.now());
  }

  /** A run that waits for a retry has not stalled, even if LibInsight asked for a long delay. */
  onRetry({ run, delaySeconds }: Pick<Retry, "run" | "delaySeconds">): void {
    const due = run === this.#runId ? Date.now() + delaySeconds * 1_000 : Date.now();
    this.#progressAt = Math.max(this.#progressAt, due);
  }

  /** Makes `end` throw this error. */
  onBroken(error: PipelineError): void {
    this.#broken ??= error;
    this.#wake();
  }

  /** @param event as the bus delivers it */
  onEvent(event: unknown): void {
    const { data } = watched.safeParse(event);
    if (data?.detail.runId !== this.#runId) return;
    switch (data["detail-type"]) {
      case "run.started":
        this.onStarted(data.detail.windows);
        break;
      case "run.published":
        this.onPublished();
        break;
      case "file.refused":
      case "query.failed":
        this.#failure = data.detail.reason;
        break;
      case "tableau.refreshed": {
        const names = data.detail.refreshed.map(({ kind, name }) => `${kind} "${name}"`);
        this.tableau = { state: "refreshed", sentence: `Tableau refreshed ${names.join(", ")}.` };
        break;
      }
      case "tableau.failed":
        this.tableau = { state: "failed", sentence: `Tableau was not refreshed. ${data.detail.reason}` };
        break;
    }
    this.#wake();
  }

  onDeadLetter(queue: QueueName): void {
    if (nonBlockingQueues.includes(queue)) return;
    this.#deadLetterQueues.add(queue);
    this.#wake();
  }

  /**
   * Waits until the run has ended, or one of its messages is a dead letter.
   * @throws if the signal is aborted, and the error of `onBroken`
   */
  async end(local: Local, signal: AbortSignal): Promise<RunEnd> {
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    for (;;) {
      signal.throwIfAborted();
      if (this.#broken) throw this.#broken;
      const end = (await this.#storedEnd(local)) ?? (await this.#deadLetter(local));
      if (end) return end;
      if (Date.now() - this.#progressAt > stalledMs)
        return { state: "failed", reason: "The run has made no progress for ten minutes. Start it again." };
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, checkMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Returns the end according to result.json and the published query result. */
  async #storedEnd({ work, results }: Local): Promise<RunEnd | undefined> {
    if (this.#failure !== undefined) return { state: "failed", reason: this.#failure };
    const result = await work.getJson(keys.result(this.#runId), runResult);
    if (!result) return undefined;
    if (result.state !== "published") {
      const reason = result.reason ?? `The run ended as ${result.state}.`;
      const isHeld = result.state === "held";
      const text = isHeld ? heldText(result, reason, this.#dataset) : reason;
      return { state: "failed", reason: text, result };
    }
    // The run's work ends with the query of the de-identified file.
    for (const { publish } of allEntries([this.#dataset])) {
      const queried = await results.head(publish.results);
      if (queried?.metadata["run-id"] !== this.#runId) return undefined;
    }
    const key = this.#dataset.publish.results;
    const published = await results.head(key);
    const query = { queryExecutionId: published?.metadata[queryId] ?? "", key };
    return { state: "published and queried", result, query };
  }

  async #deadLetter({ queuePairs, work }: Local): Promise<RunEnd | undefined> {
    if (this.#deadLetterQueues.size === 0) return undefined;
    const deps = {
      queuePairs: queuePairs.filter(({ name }) => this.#deadLetterQueues.has(name)),
      now: () => new Date(),
      waitSeconds: 0,
    };
    this.#deadLetterQueues.clear();
    const { deadLetters } = await inspectDeadLetters(deps, {}, maxDeadLetters);
    // An S3 notification names no run. One that failed since this run began is attributed to this run.
    const deadLetter = deadLetters.find(
      ({ run, queue, sentAt }) =>
        run === this.#runId || (run === undefined && queue === "athena" && sentAt >= this.#startedAt),
    );
    if (!deadLetter) return undefined;
    const pages = await Array.fromAsync(work.objects(keys.allParts(this.#runId), 3 * maxPages));
    return { state: "dead letter", deadLetter, pagesKept: pages.length };
  }
}

const drainMs = 60_000;
const drainPollMs = 20;
/** Enough for the queries of a month. */
const maxQueryObjects = 100_000;

/** Returns how many queries have not ended. Queues do not count the delayed messages that check queries. */
export async function queriesUnderWay(work: ObjectStore): Promise<number> {
  const found = new Set(await work.list("queries/", maxQueryObjects));
  const origin = "/origin.json";
  return [...found].filter((key) => key.endsWith(origin) && !found.has(key.replace(origin, "/end.json")))
    .length;
}

/**
 * Waits until no queue holds a message and no query is running, so that other runs end before the workers stop. Waits at
 * most a minute, and for Tableau another `refreshTimeoutMs`, because a refresh takes long.
 */
export async function drain(
  { queues, work }: Pick<Local, "queues" | "work">,
  refreshTimeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const startedAt = Date.now();
  for (;;) {
    signal.throwIfAborted();
    const waited = Date.now() - startedAt;
    let waiting = waited < drainMs ? await queriesUnderWay(work) : 0;
    for (const [name, queue] of Object.entries(queues)) {
      const count = await queue.count();
      if (waited < (name === "tableau" ? drainMs + refreshTimeoutMs : drainMs)) waiting += count;
    }
    if (waiting === 0) return;
    await new Promise((resolve) => setTimeout(resolve, drainPollMs));
  }
}
