// Summarizes a dead letter for operators. The body may contain a patron's words, so only IDs and numbers of the expected
// format are read from it.
import * as z from "zod/mini";
import type { Message } from "./ports.ts";
import { runIdOf } from "./run.ts";
import { positiveInt, runId } from "./schemas.ts";
import type { DeadLetterName, QueueName } from "./topology.ts";

export type DeadLetter<Name extends DeadLetterName = QueueName> = {
  queue: Name;
  messageId: string;
  /** When it became a dead letter, or when it was first sent if SQS moved it. ISO 8601 in UTC. */
  sentAt: string;
  /** Receives from the dead-letter queue, including those by list commands. */
  receives: number;
  bytes: number;
  /** Only in FIFO queues. */
  groupId?: string;
  /** Names of the message attributes. */
  attributes: string[];
  /** The error's name. Missing if SQS moved the message after too many receives. */
  error?: string;
  errorText?: string;
  run?: string;
  window?: number;
  attempt?: number;
  page?: number;
  /** ID of an Athena query. */
  query?: string;
  /** ID of an EC2 instance. */
  instance?: string;
};

/** Attributes that shared/message-loop.ts sets on dead letters only. */
export const errorAttributes = ["Error", "ErrorText"] as const;
/**
 * The attribute in which EventBridge and its scheduler name the error, for example `NO_PERMISSIONS`.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
 */
const deliveryError = "ERROR_CODE";

const query = z.string().check(z.regex(/^[\w-]{1,64}$/));
const instanceId = z.string().check(z.regex(/^[\w-]{1,64}$/));
const pageIds = {
  window: z.pipe(
    z.object({ number: positiveInt }),
    z.transform((window) => window.number),
  ),
  attempt: positiveInt,
  page: positiveInt,
};
const pageTask = z.object({ runId, ...pageIds });
/** Reads the IDs from a body, with the most specific schema first. Unknown fields are ignored. */
const bodyIds = z.union([
  z.pipe(
    z.object({ task: pageTask }),
    z.transform(({ task }) => withRun(task)),
  ),
  z.pipe(pageTask, z.transform(withRun)),
  z.pipe(z.object({ runId, attempt: positiveInt }), z.transform(withRun)),
  z.pipe(
    z.object({
      id: z.string(),
      "detail-type": z.literal("run.requested"),
      detail: z.object({ dataset: z.string(), requestId: z.optional(z.string()) }),
    }),
    z.transform(({ id, detail }) => ({ run: runIdOf(detail.dataset, detail.requestId ?? id) })),
  ),
  // An event about a run or one of its queries.
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
    z.transform((check) => ({ instance: check.instanceId })),
  ),
  z.pipe(
    z.object({ detail: z.object({ instanceId }) }),
    z.transform(({ detail }) => ({ instance: detail.instanceId })),
  ),
]);
type Ids = Pick<DeadLetter, "run" | "window" | "attempt" | "page" | "query" | "instance">;

function withRun<T extends { runId: string }>({ runId: run, ...ids }: T) {
  return { run, ...ids };
}

/** Returns the summary of a received dead letter. */
export function deadLetterOf<Name extends DeadLetterName>(queue: Name, message: Message): DeadLetter<Name> {
  const { id, body, receives, sentAt, group, attributes } = message;
  const { Error: error = attributes[deliveryError], ErrorText: errorText } = attributes;
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
