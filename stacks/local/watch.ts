// Watches one run on this machine until it ends: by what is stored, woken by events and dead letters.
import * as z from "zod/mini";
import { inspectDeadLetters } from "../../services/replay/dead-letter-queues.ts";
import type { DeadLetter } from "../../services/replay/dead-letter-summary.ts";
import { heldText } from "../../services/reporter/message.ts";
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { PipelineError } from "../../shared/errors.ts";
import { eventDetails } from "../../shared/events.ts";
import { keys } from "../../shared/keys.ts";
import type { Local } from "../../shared/local/open-local.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { maxPages, type RunResult, runResult } from "../../shared/run.ts";
import type { QueueName } from "../../shared/topology.ts";
import type { Retry } from "./workers.ts";

export type RunEnd =
  | { state: "published and queried"; result: RunResult; query: { queryExecutionId: string; key: string } }
  /** A sentence for a person. */
  | { state: "failed"; reason: string }
  /** The run goes on when it is replayed. */
  | { state: "dead letter"; deadLetter: DeadLetter; pagesKept: number };

/** What happened at Tableau, a sentence. */
export type TableauEnd = { state: "refreshed" | "failed"; sentence: string };

/** Dead letters of these queues do not stop a run. */
const besideTheRun: readonly QueueName[] = ["tableau", "reporter", "ec2", "replay"];

/** What is stored is checked at least this often. */
const checkMs = 1_000;
/** Without progress, and without a message that waits for its retry. */
const stalledMs = 10 * 60_000;
/** Dead letters that are read at once. */
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
  /** When something last moved, in milliseconds since 1970. */
  #movedAt = Date.now();
  #broken: PipelineError | undefined;
  tableau: TableauEnd | undefined;
  onStarted: (windows: number) => void = () => {};
  onPublished: () => void = () => {};

  constructor(runId: string, dataset: Dataset) {
    this.#runId = runId;
    this.#dataset = dataset;
  }

  moved(): void {
    this.#movedAt = Math.max(this.#movedAt, Date.now());
  }

  /** A message that waits for its retry is no stall, however long LibInsight asked to wait. */
  onRetry({ run, delaySeconds }: Pick<Retry, "run" | "delaySeconds">): void {
    const due = run === this.#runId ? Date.now() + delaySeconds * 1_000 : Date.now();
    this.#movedAt = Math.max(this.#movedAt, due);
  }

  /** Ends the run with this error. */
  onBroken(error: PipelineError): void {
    this.#broken ??= error;
    this.#wake();
  }

  /** @param event as it is on the bus */
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
    if (besideTheRun.includes(queue)) return;
    this.#deadLetterQueues.add(queue);
    this.#wake();
  }

  /**
   * @returns when the run has ended, or a message of it is a dead letter
   * @throws when the signal is aborted, or the error of `onBroken`
   */
  async end(local: Local, signal: AbortSignal): Promise<RunEnd> {
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    for (;;) {
      signal.throwIfAborted();
      if (this.#broken) throw this.#broken;
      const end = (await this.#stored(local)) ?? (await this.#deadLetter(local));
      if (end) return end;
      if (Date.now() - this.#movedAt > stalledMs)
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

  /** What result.json and the published query result say. */
  async #stored({ work, results }: Local): Promise<RunEnd | undefined> {
    if (this.#failure !== undefined) return { state: "failed", reason: this.#failure };
    const result = await work.getJson(keys.result(this.#runId), runResult);
    if (!result) return undefined;
    if (result.state !== "published") {
      const reason = result.reason ?? `The run ended as ${result.state}.`;
      const isHeld = result.state === "held";
      return { state: "failed", reason: isHeld ? heldText(result, reason, this.#dataset.columns) : reason };
    }
    const key = this.#dataset.publish.results;
    const published = await results.head(key);
    if (published?.metadata["run-id"] !== this.#runId) return undefined;
    const query = { queryExecutionId: published.metadata[queryId] ?? "", key };
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
    // S3's notification names no run; one that failed since this run began is taken for its own.
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
/** Those of a month. */
const maxQueryObjects = 100_000;

/** Returns how many queries have not ended. The message that checks a query is delayed, and so in no count. */
export async function queriesUnderWay(work: ObjectStore): Promise<number> {
  const found = new Set(await work.list("queries/", maxQueryObjects));
  const origin = "/origin.json";
  return [...found].filter((key) => key.endsWith(origin) && !found.has(key.replace(origin, "/end.json")))
    .length;
}

/**
 * Waits until no queue holds a message and no query runs, for a minute at most: a run that was requested otherwise
 * continues beside this one, and ends before the workers stop. For Tableau it waits as much longer as the service follows
 * jobs there.
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
