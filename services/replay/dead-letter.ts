// What may be shown of a dead letter. Its body may hold a patron's words, so only ids and counts are read from it, and
// only where they look like ours.
import * as z from "zod/mini";
import type { Message } from "../../shared/ports.ts";
import { runIdOf } from "../../shared/run.ts";
import { positiveInt } from "../../shared/schemas.ts";
import type { QueueName } from "../../shared/topology.ts";

export type DeadLetter = {
  queue: QueueName;
  messageId: string;
  /** When it became a dead letter; where SQS moved it, when it was first sent. ISO 8601 in UTC. */
  sentAt: string;
  /** How often it was received among the dead letters; looking counts. */
  receives: number;
  bytes: number;
  /** Of a FIFO queue. */
  groupId?: string;
  /** Names of its message attributes. */
  attributes: string[];
  /** Why it failed. SQS itself moves a message without a reason, after too many receives. */
  error?: string;
  errorText?: string;
  run?: string;
  window?: number;
  attempt?: number;
  page?: number;
  /** Of a query that ended. */
  query?: string;
  /** Of EC2. */
  instance?: string;
};

/** Attributes that shared/message-loop.ts sets on a dead letter and no other message has. */
export const errorAttributes = ["Error", "ErrorText"] as const;

const runId = z.string().check(z.regex(/^[a-z][a-z0-9-]{1,63}$/));
const query = z.string().check(z.regex(/^[\w-]{1,64}$/));
const instanceId = z.string().check(z.regex(/^[\w-]{1,64}$/));
const ofWindow = {
  window: z.pipe(
    z.object({ number: positiveInt }),
    z.transform((window) => window.number),
  ),
  attempt: positiveInt,
  page: positiveInt,
};
const fetching = z.object({ runId, ...ofWindow });
/** The ids in a body, most specific first. Unknown fields are ignored. */
const bodyIds = z.union([
  z.pipe(
    z.object({ task: fetching }),
    z.transform(({ task }) => named(task)),
  ),
  z.pipe(fetching, z.transform(named)),
  z.pipe(z.object({ runId, attempt: positiveInt }), z.transform(named)),
  z.pipe(
    z.object({
      id: z.string(),
      "detail-type": z.literal("run.requested"),
      detail: z.object({ dataset: z.string(), requestId: z.optional(z.string()) }),
    }),
    z.transform(({ id, detail }) => ({ run: runIdOf(detail.dataset, detail.requestId ?? id) })),
  ),
  // What happened to a run, or to one of its queries.
  z.pipe(
    z.object({
      "detail-type": z.string(),
      detail: z.object({ runId, queryExecutionId: z.optional(query) }),
    }),
    z.transform(({ detail }) => ({
      run: detail.runId,
      ...(detail.queryExecutionId !== undefined && { query: detail.queryExecutionId }),
    })),
  ),
  z.pipe(
    z.object({ detail: z.object({ queryExecutionId: query }) }),
    z.transform(({ detail }) => ({ query: detail.queryExecutionId })),
  ),
  z.pipe(
    z.object({ task: z.literal("check"), instanceId }),
    z.transform((checking) => ({ instance: checking.instanceId })),
  ),
  z.pipe(
    z.object({ detail: z.object({ instanceId }) }),
    z.transform(({ detail }) => ({ instance: detail.instanceId })),
  ),
]);
type Ids = Pick<DeadLetter, "run" | "window" | "attempt" | "page" | "query" | "instance">;

function named<T extends { runId: string }>({ runId: run, ...place }: T) {
  return { run, ...place };
}

export function deadLetterOf(queue: QueueName, message: Message): DeadLetter {
  const { id, body, receives, sentAt, group, attributes } = message;
  const [error, errorText] = errorAttributes.map((name) => attributes[name]);
  return {
    queue,
    messageId: id,
    sentAt: sentAt.toISOString(),
    receives,
    bytes: Buffer.byteLength(body),
    ...(group !== undefined && { groupId: group }),
    attributes: Object.keys(attributes).sort(),
    ...(typeof error === "string" && { error }),
    ...(typeof errorText === "string" && { errorText }),
    ...idsIn(body),
  };
}

function idsIn(body: string): Ids {
  try {
    return bodyIds.safeParse(JSON.parse(body)).data ?? {};
  } catch {
    return {};
  }
}
