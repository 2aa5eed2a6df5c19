// Lists, replays and archives dead letters. A message is written to its target before it is deleted from its dead-letter
// queue, so an interrupted command loses nothing and can be repeated.
import { randomUUID } from "node:crypto";
import { type DeadLetter, deadLetterOf, errorAttributes } from "../../shared/dead-letter.ts";
import { keys } from "../../shared/keys.ts";
import type { Attributes, Message, MessageQueue, ObjectStore } from "../../shared/ports.ts";
import type { QueueName } from "../../shared/topology.ts";

/** A queue and its dead-letter queue. */
export type QueuePair = { name: QueueName; source: MessageQueue; deadLetters: MessageQueue };

export type DeadLetterDeps = {
  queuePairs: readonly QueuePair[];
  now: () => Date;
  /** Passed to `MessageQueue.receive`; default 1. */
  waitSeconds?: number;
};

/** Selects dead letters that match every given field. */
export type DeadLetterFilter = {
  queue?: QueueName | undefined;
  run?: string | undefined;
  /** Part of the error's name or text; case-insensitive. */
  error?: string | undefined;
  olderThanSeconds?: number | undefined;
};

/** The message attribute with the ID of the last replay of a message. */
const replayIdAttribute = "ReplayId";

type Put = (deadLetter: DeadLetter, message: Message, queuePair: QueuePair) => Promise<void>;

/** Handles one dead letter of a scan. @returns `removed` if the message is no longer in its dead-letter queue */
type Visit = (deadLetter: DeadLetter, message: Message) => Promise<"kept" | "removed">;

/**
 * How long received messages are hidden: enough to scan a queue, and to move ten messages at a few seconds each. A scan
 * releases them at its end. After a crash they reappear when this timeout ends.
 */
const visibilitySeconds = 60;
/** SQS's maximum per receive. */
const maxReceived = 10;
/**
 * Messages per queue and scan. A FIFO queue may return fewer: it delivers a group in order, so messages that stay (ten on
 * AWS, one locally) hide the rest of their group until the next scan.
 */
const maxSeen = 10_000;

export type QueueSummary = {
  queue: QueueName;
  /** SQS's approximate count; above `seen` if some messages are hidden. */
  messages: number;
  /** Seen messages that match the filter. */
  matching: number;
  seen: number;
  oldestSeconds?: number;
  runs: string[];
  /** Counts by error name; `no reason given` if SQS moved the message. */
  errors: Record<string, number>;
};

/** Returns the number, age, runs and errors of the matching dead letters of each queue. */
export async function listDeadLetters(
  deps: DeadLetterDeps,
  filter: DeadLetterFilter = {},
): Promise<QueueSummary[]> {
  return inEachQueue(deps, filter, async (queuePair) => {
    const { found, seen, unseen } = await findIn(queuePair, deps, filter);
    const oldest = Math.min(...found.map((deadLetter) => Date.parse(deadLetter.sentAt)));
    return {
      queue: queuePair.name,
      messages: seen + unseen,
      matching: found.length,
      seen,
      ...(found.length > 0 && {
        oldestSeconds: Math.max(Math.round((deps.now().getTime() - oldest) / 1000), 0),
      }),
      runs: [...new Set(found.flatMap(({ run }) => run ?? []))].sort(),
      errors: countByName(found.map(({ error }) => error ?? "no reason given")),
    };
  });
}

export type Inspected = { deadLetters: DeadLetter[]; unseen: number };

/** Returns at most `max` of the matching dead letters, the oldest first. */
export async function inspectDeadLetters(
  deps: DeadLetterDeps,
  filter: DeadLetterFilter,
  max: number,
): Promise<Inspected> {
  const scans = await inEachQueue(deps, filter, (queuePair) => findIn(queuePair, deps, filter));
  const found = scans.flatMap((each) => each.found).sort((a, b) => (a.sentAt < b.sentAt ? -1 : 1));
  return { deadLetters: found.slice(0, max), unseen: unseenIn(scans) };
}

async function findIn(
  queuePair: QueuePair,
  deps: DeadLetterDeps,
  filter: DeadLetterFilter,
): Promise<Scan & { found: DeadLetter[] }> {
  const found: DeadLetter[] = [];
  const counts = await scan(queuePair, deps, async (deadLetter) => {
    if (isSelected(deadLetter, filter, deps.now())) found.push(deadLetter);
    return "kept";
  });
  return { ...counts, found };
}

export type Moved = {
  moved: DeadLetter[];
  /** Matching messages that were not moved because of `max`. */
  left: number;
  /** Approximate number of hidden messages: received by another command, or behind others of a FIFO group. */
  unseen: number;
};
export type MoveOptions = {
  filter: DeadLetterFilter;
  max: number;
  /** Returns what would be moved and moves nothing. */
  dryRun?: boolean;
};

/**
 * Sends dead letters to the queue they came from. A repeated message is harmless, because services are idempotent, and a
 * FIFO queue drops it for five minutes.
 *
 * A message that fails again during this call is not sent a second time: it carries the ID of this replay in an attribute,
 * which a dead letter keeps.
 */
export function replayDeadLetters(deps: DeadLetterDeps, options: MoveOptions): Promise<Moved> {
  const replayId = randomUUID();
  const put: Put = async ({ messageId, groupId }, message, { source }) => {
    await source.send(message.body, {
      attributes: {
        ...withoutErrors(message.attributes),
        [replayIdAttribute]: replayId,
      },
      ...(groupId !== undefined && { group: groupId }),
      // A separate ID, so that the queue drops neither this replay as the original nor sends it twice.
      ...(source.isFifo && { deduplicationId: `replay-${messageId}` }),
    });
  };
  const isReplayed = ({ attributes }: Message) => attributes[replayIdAttribute] === replayId;
  return move(deps, options, put, isReplayed);
}

/** Moves dead letters, including their bodies, to the work bucket, where they expire after 30 days. */
export function archiveDeadLetters(
  deps: DeadLetterDeps,
  options: MoveOptions,
  work: ObjectStore,
): Promise<Moved> {
  return move(deps, options, async (deadLetter, message) => {
    const archived = {
      ...deadLetter,
      archivedAt: deps.now().toISOString(),
      messageAttributes: jsonOf(message.attributes),
      body: message.body,
    };
    await work.put(
      keys.deadLetter(deadLetter.queue, deadLetter.messageId),
      JSON.stringify(archived, null, 2),
      "application/json",
    );
  });
}

async function move(
  deps: DeadLetterDeps,
  { filter, max, dryRun = false }: MoveOptions,
  put: Put,
  isExempt: (message: Message) => boolean = () => false,
): Promise<Moved> {
  const moved: DeadLetter[] = [];
  let selected = 0;
  const scans = await inEachQueue(deps, filter, (queuePair) =>
    scan(queuePair, deps, async (deadLetter, message) => {
      if (!isSelected(deadLetter, filter, deps.now()) || isExempt(message)) return "kept";
      selected += 1;
      if (selected > max) return "kept";
      if (!dryRun) {
        await put(deadLetter, message, queuePair);
        await queuePair.deadLetters.delete(message.receipt);
      }
      moved.push(deadLetter);
      return dryRun ? "kept" : "removed";
    }),
  );
  return { moved, left: selected - moved.length, unseen: unseenIn(scans) };
}

/**
 * Deletes dead letters for good. @param selects decides by a message's body
 * @returns how many, and the approximate number of messages that are hidden from this call
 */
export async function deleteDeadLetters(
  deps: DeadLetterDeps,
  selects: (body: string) => boolean,
  dryRun = false,
): Promise<{ deleted: number; unseen: number }> {
  let deleted = 0;
  const scans = await inEachQueue(deps, {}, (queuePair) =>
    scan(queuePair, deps, async (_, { body, receipt }) => {
      if (!selects(body)) return "kept";
      deleted += 1;
      if (dryRun) return "kept";
      await queuePair.deadLetters.delete(receipt);
      return "removed";
    }),
  );
  return { deleted, unseen: unseenIn(scans) };
}

type Scan = { seen: number; unseen: number };

function unseenIn(scans: readonly Scan[]): number {
  return scans.reduce((sum, { unseen }) => sum + unseen, 0);
}

/** Visits each dead letter of a queue once, and releases those that stay. */
async function scan(
  { name, deadLetters }: QueuePair,
  { waitSeconds = 1 }: DeadLetterDeps,
  visit: Visit,
): Promise<Scan> {
  const seen = new Set<string>();
  const hidden = new Map<string, string>();
  try {
    while (seen.size < maxSeen) {
      const messages = await deadLetters.receive({ max: maxReceived, visibilitySeconds, waitSeconds });
      for (const { id, receipt } of messages) hidden.set(id, receipt);
      const fresh = messages.filter(({ id }) => !seen.has(id));
      // The queue is empty, or the first messages reappeared after their visibility timeout.
      if (fresh.length === 0) break;
      for (const message of fresh) {
        const deadLetter = deadLetterOf(name, message);
        seen.add(deadLetter.messageId);
        if ((await visit(deadLetter, message)) === "removed") hidden.delete(deadLetter.messageId);
      }
    }
    return { seen: seen.size, unseen: Math.max((await deadLetters.count()) - hidden.size, 0) };
  } finally {
    // If the release fails, the messages reappear when their visibility timeout ends.
    await deadLetters.release([...hidden.values()]).catch(() => undefined);
  }
}

/** Works on all selected queues concurrently. Throws the first failure after all have ended. */
async function inEachQueue<T>(
  { queuePairs }: DeadLetterDeps,
  { queue }: DeadLetterFilter,
  work: (queuePair: QueuePair) => Promise<T>,
): Promise<T[]> {
  const selected = queuePairs.filter(({ name }) => queue === undefined || name === queue);
  const settled = await Promise.allSettled(selected.map(work));
  return settled.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

function isSelected(deadLetter: DeadLetter, filter: DeadLetterFilter, now: Date): boolean {
  const { queue, run, error, olderThanSeconds } = filter;
  const reason = `${deadLetter.error ?? ""} ${deadLetter.errorText ?? ""}`.toLowerCase();
  return (
    (queue === undefined || deadLetter.queue === queue) &&
    (run === undefined || deadLetter.run === run) &&
    (error === undefined || reason.includes(error.toLowerCase())) &&
    (olderThanSeconds === undefined ||
      now.getTime() - Date.parse(deadLetter.sentAt) > olderThanSeconds * 1000)
  );
}

function withoutErrors(attributes: Attributes): Attributes {
  const errors = new Set<string>(errorAttributes);
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => !errors.has(name)));
}

function countByName(names: string[]): Record<string, number> {
  const groups = Map.groupBy(names.sort(), (name) => name);
  return Object.fromEntries([...groups].map(([name, all]) => [name, all.length]));
}

/** Returns attributes for JSON, with bytes as base64. */
function jsonOf(attributes: Attributes): Record<string, string | { base64: string }> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      name,
      typeof value === "string" ? value : { base64: Buffer.from(value).toString("base64") },
    ]),
  );
}
