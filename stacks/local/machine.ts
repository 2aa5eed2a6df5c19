// The pipeline on one machine: endpoints for AWS, the wiring, and an event source mapping for each service.
import { busPublisher } from "../../shared/aws/bus.ts";
import { eventBridge, s3, sns, sqs } from "../../shared/aws/clients.ts";
import { type QueueName, queueNames } from "../../shared/config.ts";
import type { EventDetail } from "../../shared/events.ts";
import type { SqsHandler } from "../../shared/sqs-handler.ts";
import { startEndpoints } from "./endpoints.ts";
import { type Batch, type EventSourceMapping, startEventSourceMapping } from "./event-source-mapping.ts";
import { environment, names, services, type Wired, wire } from "./wiring.ts";

/** Loaded only when the environment is set: a logger reads its level when it is made. */
const handlers: Record<QueueName, () => Promise<{ handler: SqsHandler }>> = {
  KICKOFF: () => import("../../services/kickoff/handler.ts"),
  FETCH: () => import("../../services/fetcher/handler.ts"),
  PAGES: () => import("../../services/transformer/handler.ts"),
  ASSEMBLE: () => import("../../services/assembler/handler.ts"),
  ATHENA: () => import("../../services/athena/handler.ts"),
  TABLEAU: () => import("../../services/tableau/handler.ts"),
  REPORT: () => import("../../services/reporter/handler.ts"),
  INSTANCE: () => import("../../services/ec2/handler.ts"),
  REPLAY: () => import("../../services/replay/handler.ts"),
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
  /** Of the Tableau that the environment names; undefined where it names none. */
  tableauTokenSecret?: string | undefined;
  onBatch?: (queue: QueueName, batch: Batch) => void;
  onError?: (queue: QueueName, error: unknown) => void;
};

/** One machine a process: the services find everything in the process's environment. */
export async function startMachine({
  dataDir,
  libInsight,
  tableauTokenSecret,
  onBatch,
  onError,
}: MachineOptions): Promise<Machine> {
  const closing: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    // Last started, first stopped.
    for (const close of closing.splice(0).reverse()) await close();
  };
  try {
    const defaultBus = await startEndpoints(dataDir, (close) => closing.push(close));
    const wired = await wire({ sqs: sqs(), s3: s3(), sns: sns(), events: eventBridge(), defaultBus });
    Object.assign(process.env, environment(wired), {
      LIBINSIGHT_BASE_URL: libInsight.baseUrl,
      SST_RESOURCE_LibInsightClientId: JSON.stringify({ value: libInsight.clientId }),
      SST_RESOURCE_LibInsightClientSecret: JSON.stringify({ value: libInsight.clientSecret }),
      ...(tableauTokenSecret && {
        SST_RESOURCE_TableauTokenSecret: JSON.stringify({ value: tableauTokenSecret }),
      }),
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
