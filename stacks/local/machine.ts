// The pipeline on one machine: endpoints for AWS, the wiring, and an event source mapping for each service. Where
// AWS_ENDPOINT_URL is set, that endpoint is used instead of ours.
import { join } from "node:path";
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { busPublisher } from "../../shared/aws/bus.ts";
import { eventBridge, s3, sqs } from "../../shared/aws/clients.ts";
import { type QueueName, queueNames } from "../../shared/config.ts";
import type { EventDetail } from "../../shared/events.ts";
import type { SqsHandler } from "../../shared/sqs-handler.ts";
import { startAthena } from "./aws/athena.ts";
import { startEventBridge } from "./aws/eventbridge.ts";
import { startFauxqsOnLoopback } from "./aws/fauxqs.ts";
import { startS3 } from "./aws/s3.ts";
import { type Batch, type EventSourceMapping, startEventSourceMapping } from "./event-source-mapping.ts";
import { environment, names, services, type Wired, wire } from "./wiring.ts";

/** Loaded only when the environment is set: a logger reads its level when it is made. */
const handlers: Record<QueueName, () => Promise<{ handler: SqsHandler }>> = {
  KICKOFF: () => import("../../services/kickoff/handler.ts"),
  FETCH: () => import("../../services/fetcher/handler.ts"),
  PAGES: () => import("../../services/transformer/handler.ts"),
  ASSEMBLE: () => import("../../services/assembler/handler.ts"),
  ATHENA: () => import("../../services/athena/handler.ts"),
};

export type Machine = {
  wired: Wired;
  /** Asks for a run, as an operator does on the bus. */
  request(detail: EventDetail<"run.requested">): Promise<void>;
  /** Stops the services, waits for handlers that run, and closes every endpoint. */
  stop(): Promise<void>;
};

export type MachineOptions = {
  /** Queues, objects and catalog are kept here and are there again at the next start. */
  dataDir: string;
  libInsight: { baseUrl: string; clientId: string; clientSecret: string };
  onBatch?: (queue: QueueName, batch: Batch) => void;
  onError?: (queue: QueueName, error: unknown) => void;
};

/** One machine a process: the services find everything in the process's environment. */
export async function startMachine({
  dataDir,
  libInsight,
  onBatch,
  onError,
}: MachineOptions): Promise<Machine> {
  const closing: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    // Last started, first stopped.
    for (const close of closing.splice(0).reverse()) await close();
  };
  try {
    process.env.AWS_REGION ||= "us-east-1";
    const defaultBus = await startEndpoints(dataDir, (close) => closing.push(close));
    const wired = await wire({ sqs: sqs(), s3: s3(), events: eventBridge(), defaultBus });
    Object.assign(process.env, environment(wired), {
      LIBINSIGHT_BASE_URL: libInsight.baseUrl,
      LIBINSIGHT_CLIENT_ID: libInsight.clientId,
      LIBINSIGHT_CLIENT_SECRET: libInsight.clientSecret,
    });
    const mappings = await Promise.all(
      queueNames.map(async (name): Promise<EventSourceMapping> => {
        const { handler } = await handlers[name]();
        return startEventSourceMapping({
          ...services[name],
          sqs: sqs(),
          queue: wired.queues[name],
          handler,
          onBatch: (batch) => onBatch?.(name, batch),
          onError: (error) => onError?.(name, error),
        });
      }),
    );
    closing.push(async () => {
      await Promise.all(mappings.map((mapping) => mapping.stop()));
    });
    const publish = busPublisher(eventBridge(), names.bus);
    return { wired, request: (detail) => publish("run.requested", detail), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Starts what the environment does not name, and points the SDK there.
 * @returns the client of the default bus, to which AWS's own services tell their events
 */
async function startEndpoints(
  dataDir: string,
  onStarted: (close: () => Promise<void>) => void,
): Promise<EventBridgeClient> {
  const busDir = join(dataDir, "eventbridge");
  let defaultBus: EventBridgeClient;
  if (process.env.AWS_ENDPOINT_URL) {
    // Only AWS itself may send events whose source begins with `aws.`, and other endpoints refuse them as AWS does. So
    // the local Athena's go to a default bus of ours, which sends to the queues there.
    const bus = await startEventBridge({ dataDir: busDir, sqs: sqs() });
    onStarted(bus.close);
    defaultBus = new EventBridgeClient({ endpoint: bus.endpoint });
  } else {
    // Whatever account this shell is signed in to, nothing here is for it.
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" });
    delete process.env.AWS_SESSION_TOKEN;
    delete process.env.AWS_PROFILE;

    const fauxqs = await startFauxqsOnLoopback(dataDir);
    onStarted(fauxqs.close);
    process.env.AWS_ENDPOINT_URL_SQS = fauxqs.endpoint;
    const store = await startS3({ upstream: fauxqs.endpoint, dataDir: join(dataDir, "s3"), sqs: sqs() });
    onStarted(store.close);
    process.env.AWS_ENDPOINT_URL_S3 = store.endpoint;
    const bus = await startEventBridge({ dataDir: busDir, sqs: sqs() });
    onStarted(bus.close);
    process.env.AWS_ENDPOINT_URL_EVENTBRIDGE = bus.endpoint;
    defaultBus = eventBridge();
  }
  if (!process.env.AWS_ENDPOINT_URL_ATHENA) {
    const engine = await startAthena({ dataDir: join(dataDir, "athena"), s3: s3(), events: defaultBus });
    onStarted(engine.close);
    process.env.AWS_ENDPOINT_URL_ATHENA = engine.endpoint;
  }
  return defaultBus;
}
