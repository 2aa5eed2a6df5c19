// Runs the services on this machine. Each worker receives messages from its service's queue and deletes handled messages.
import { setTimeout as delay } from "node:timers/promises";
import type * as z from "zod/mini";
import type { Dataset } from "../../shared/dataset-schema.ts";
import { datasets } from "../../shared/datasets.ts";
import { deadLetterOf } from "../../shared/dead-letter.ts";
import type { PipelineError } from "../../shared/errors.ts";
import type { LibInsightClient } from "../../shared/libinsight/client.ts";
import { isFolderError } from "../../shared/local/disk.ts";
import type { Local } from "../../shared/local/open-local.ts";
import type { Log, LogFields } from "../../shared/logger.ts";
import { type FailedMessage, processBatch, type Service } from "../../shared/message-loop.ts";
import { exportSpans } from "../../shared/otlp.ts";
import type { Message } from "../../shared/ports.ts";
import { type QueueName, services } from "../../shared/topology.ts";
import type { EndedSpan } from "../../shared/trace.ts";
import { webhookNotifier } from "../../shared/webhook.ts";
import { everyService } from "./every-service.ts";
import type { LocalSettings } from "./local-settings.ts";
import { type Origin, originGuard } from "./origin.ts";

/** The longest wait of one receive call. A message wakes its worker immediately. */
const waitSeconds = 20;
const pauseAfterErrorMs = 500;

/** Callbacks for the display of progress. */
export type WorkerEvents = {
  onHandled?: (queue: QueueName, fields: LogFields) => void;
  /** Called when a message has failed and will be retried. */
  onRetry?: (queue: QueueName, retry: Retry) => void;
  onDeadLetter?: (queue: QueueName, message: Message) => void;
  /** Called when a message could not be posted to the webhook. */
  onNotPosted?: ((error: PipelineError) => void) | undefined;
  /** Called when the disk refuses a write of a service or a queue. A retry would fail too. */
  onBroken?: (error: PipelineError) => void;
};

export type Retry = {
  /** The message's run, if the message names one. */
  run?: string | undefined;
  error: PipelineError;
  /** How often the message was received. */
  receives: number;
  delaySeconds: number;
};

export type WorkerOptions = {
  local: Local;
  settings: LocalSettings;
  libInsight: LibInsightClient;
  /** Default: those of the library. */
  datasets?: readonly Dataset[];
  /** Required only if a column is hashed. */
  pseudonymKey?: string;
  /** The origin of the data of `libInsight`. Without it, workers do not check the origin of runs. */
  origin?: Origin;
  /** Without it, nothing is logged. */
  logOf?: ((service: string) => Log) | undefined;
  events?: WorkerEvents;
};

export type Workers = {
  /** Stops receiving, and waits for running handlers. */
  stop(): Promise<void>;
};

/** Starts a worker for each service. */
export function startWorkers(options: WorkerOptions): Workers {
  const { local, settings, libInsight, origin, events } = options;
  const { queues, engine } = local;
  const { tableau, tableauTokenSecret } = settings;
  const stopping = new AbortController();
  // If this fails, the claims expire after four minutes.
  releaseClaims(local).catch(() => {});
  // Continues queries that an earlier process did not finish. If this fails, the message of each query checks it.
  engine.resume().catch(() => {});
  // Each service uses a part of these.
  const deps = {
    ...local,
    datasets: options.datasets ?? datasets,
    tables: engine,
    libInsight,
    fetcherQueue: queues.fetcher,
    transformerQueue: queues.transformer,
    assemblerQueue: queues.assembler,
    athenaQueue: queues.athena,
    ec2Queue: queues.ec2,
    deadLetterQueues: local.queuePairs,
    stage: "local",
    isScheduled: false,
    team: settings.team,
    audience: settings.audience,
    tableau,
    hasTableau: tableau !== undefined,
    tokenSecret: () => tableauTokenSecret ?? "",
    requestTimeoutMs: settings.tableauRequestTimeoutMs,
    refreshTimeoutMs: settings.tableauRefreshTimeoutMs,
    pauseMs: settings.tableauPauseMs,
    waitSeconds: 0,
    pseudonymKey: () => options.pseudonymKey,
    post: webhookNotifier(() => settings.alertsWebhookUrl),
    onNotPosted: (error: PipelineError) => events?.onNotPosted?.(error),
    measure: () => {},
    now: () => new Date(),
  };
  const start = <T extends z.ZodMiniType, Deps>(service: Service<T, Deps>, serviceDeps: Deps) =>
    runWorker(service, serviceDeps, options, stopping.signal);
  const guard = origin && originGuard(origin, local.work);
  const workers = [
    start(everyService.kickoff, deps),
    start(withChecks(everyService.fetcher, guard?.beforeFetch, guard?.afterFetch), deps),
    start(everyService.transformer, deps),
    start(withChecks(everyService.assembler, guard?.beforeAssembly), deps),
    start(everyService.deidentifier, deps),
    start(everyService.athena, { ...deps, checkSeconds: settings.queryCheckSeconds }),
    start(everyService.tableau, deps),
    start(everyService.reporter, deps),
    start(everyService.renderer, deps),
    start(everyService.ec2, { ...deps, checkSeconds: settings.instanceCheckSeconds }),
    start(everyService.replay, deps),
  ];
  return {
    async stop() {
      stopping.abort();
      await Promise.all(workers);
    },
  };
}

type Check<T extends z.ZodMiniType> = (message: z.infer<T>) => Promise<void>;

/** Returns the service with a call before and after each message. */
function withChecks<T extends z.ZodMiniType, Deps>(
  service: Service<T, Deps>,
  before?: Check<T>,
  after?: Check<T>,
): Service<T, Deps> {
  return {
    ...service,
    async handle(message, deps) {
      await before?.(message);
      const fields = await service.handle(message, deps);
      await after?.(message);
      return fields;
    },
  };
}

/** Deletes unfinished claims (shared/once.ts). The lock on .local ensures that their processes have ended. */
async function releaseClaims({ database, work }: Local): Promise<void> {
  await database.write(() =>
    database
      .prepare(
        `DELETE FROM object WHERE bucket = ? AND bytes < 100 AND CAST(body AS TEXT) LIKE '{"state":"claimed"%'`,
      )
      .run(work.bucket),
  );
}

const silent: Log = { info: () => {}, warn: () => {}, error: () => {} };

async function runWorker<T extends z.ZodMiniType, Deps>(
  service: Service<T, Deps>,
  deps: Deps,
  { local, settings, logOf, events = {} }: WorkerOptions,
  stopping: AbortSignal,
): Promise<void> {
  const { name } = service;
  const source = local.queues[name];
  // The process has one thread, so only requests to LibInsight gain from concurrency.
  const { batchSize, timeoutSeconds, concurrency = 1 } = services[name];
  const onFailed = ({ error, message, delaySeconds }: FailedMessage): void => {
    if (isFolderError(error)) events.onBroken?.(error);
    else if (delaySeconds !== undefined) {
      const { receives } = message;
      events.onRetry?.(name, { run: deadLetterOf(name, message).run, error, receives, delaySeconds });
    }
  };
  const afterError = async (error: unknown): Promise<void> => {
    if (isFolderError(error)) events.onBroken?.(error);
    await delay(pauseAfterErrorMs);
  };
  const spans: EndedSpan[] = [];
  const batch = {
    source,
    deadLetters: local.deadLetters[name],
    log: logOf?.(name) ?? silent,
    retryBaseSeconds: settings.retryBaseSeconds,
    onHandled: (fields: LogFields) => events.onHandled?.(name, fields),
    onFailed,
    onSpan: (span: EndedSpan) => spans.push(span),
  };

  async function handle(messages: Message[]): Promise<void> {
    const timeout = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => timeout.resolve(undefined), timeoutSeconds * 1_000);
    const result = await Promise.race([processBatch(service, messages, deps, batch), timeout.promise]);
    clearTimeout(timer);
    // A handler that exceeds its timeout has failed. Its messages reappear when their visibility timeout ends.
    if (!result) return;
    await exportSpans(spans.splice(0), batch.log);
    const kept = new Set(result.retried);
    await Promise.all(
      messages.filter(({ id }) => !kept.has(id)).map(({ receipt }) => source.delete(receipt)),
    );
    for (const message of messages) {
      if (result.deadLetters.includes(message.id)) events.onDeadLetter?.(name, message);
    }
  }

  const running = new Set<Promise<void>>();
  while (!stopping.aborted) {
    const free = concurrency - running.size;
    if (free === 0) {
      await Promise.race(running);
      continue;
    }
    try {
      const messages = await source.receive({
        max: free * batchSize,
        visibilitySeconds: timeoutSeconds + 10,
        waitSeconds,
        signal: stopping,
      });
      for (let at = 0; at < messages.length; at += batchSize) {
        const handled: Promise<void> = handle(messages.slice(at, at + batchSize))
          .catch(afterError)
          .finally(() => running.delete(handled));
        running.add(handled);
      }
    } catch (error) {
      batch.log.error("the queue could not be read", { queue: name, error: String(error) });
      await afterError(error);
    }
  }
  await Promise.all(running);
}
