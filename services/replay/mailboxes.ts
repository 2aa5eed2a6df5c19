// Dead letters of any queue: listed, sent back to the queue they came from, or archived in the work bucket. A message is
// always in its new place before it leaves its dead-letter queue, so an interrupted command can be repeated.
import { randomUUID } from "node:crypto";
import { keys } from "../../shared/keys.ts";
import type { Attributes, Message, MessageQueue, ObjectStore } from "../../shared/ports.ts";
import type { QueueName } from "../../shared/topology.ts";
import { type DeadLetter, deadLetterOf, errorAttributes } from "./dead-letter.ts";

/** A queue and its dead-letter queue. */
export type Mailbox = { name: QueueName; source: MessageQueue; deadLetters: MessageQueue };

export type DeadLetterDeps = {
  mailboxes: readonly Mailbox[];
  now: () => Date;
  /** See `MessageQueue.receive`; default 1. */
  waitSeconds?: number;
};

/** Which dead letters to select; all of them where nothing is given. */
export type Filter = {
  queue?: QueueName | undefined;
  run?: string | undefined;
  /** Part of the error's name or sentence, in any case. */
  error?: string | undefined;
  olderThanSeconds?: number | undefined;
};

/** The message attribute that names the replay by which a message last left its dead-letter queue. */
const sentBy = "ReplayId";

type Put = (deadLetter: DeadLetter, message: Message, mailbox: Mailbox) => Promise<void>;

/** What a pass does with one dead letter; `removed` tells that it is no longer in its queue. */
type Visit = (deadLetter: DeadLetter, message: Message, mailbox: Mailbox) => Promise<"kept" | "removed">;

/**
 * Receiving messages hides them: long enough to read a queue to its end, and to move ten messages at some seconds each.
 * They are released when the pass is over; after a crash they reappear when this timeout ends.
 */
const visibilitySeconds = 60;
/** SQS's maximum. */
const maxReceived = 10;
/**
 * Of each queue, in one pass. The next pass sees those behind them, and those behind the first dead letters of a FIFO
 * group that stay (ten on AWS, one here), because a queue delivers a group's messages in order.
 */
const maxSeen = 10_000;

export type QueueSummary = {
  queue: QueueName;
  /** About how many are there, by SQS's own count; more than `seen` where a FIFO group hides those behind. */
  messages: number;
  /** How many of those that were seen the filter selects. */
  matching: number;
  seen: number;
  oldestSeconds?: number;
  runs: string[];
  /** By the error's name; `no reason given` where SQS moved the message. */
  errors: Record<string, number>;
};

/** Per queue: how many, how old, of which runs, and why. */
export async function list(deps: DeadLetterDeps, filter: Filter = {}): Promise<QueueSummary[]> {
  return inEachQueue(deps, filter, async (mailbox) => {
    const found: DeadLetter[] = [];
    const { seen, unseen } = await pass(mailbox, deps, async (deadLetter) => {
      if (isSelected(deadLetter, filter, deps.now())) found.push(deadLetter);
      return "kept";
    });
    const oldest = Math.min(...found.map((deadLetter) => Date.parse(deadLetter.sentAt)));
    return {
      queue: mailbox.name,
      messages: seen + unseen,
      matching: found.length,
      seen,
      ...(found.length > 0 && {
        oldestSeconds: Math.max(Math.round((deps.now().getTime() - oldest) / 1000), 0),
      }),
      runs: [...new Set(found.flatMap(({ run }) => run ?? []))].sort(),
      errors: counted(found.map(({ error }) => error ?? "no reason given")),
    };
  });
}

export type Inspected = { deadLetters: DeadLetter[]; unseen: number };

/** Returns each selected dead letter, oldest first, `max` at most. */
export async function inspect(deps: DeadLetterDeps, filter: Filter, max: number): Promise<Inspected> {
  const found: DeadLetter[] = [];
  const passes = await inEachQueue(deps, filter, (mailbox) =>
    pass(mailbox, deps, async (deadLetter) => {
      if (isSelected(deadLetter, filter, deps.now())) found.push(deadLetter);
      return "kept";
    }),
  );
  const deadLetters = found.sort((a, b) => (a.sentAt < b.sentAt ? -1 : 1)).slice(0, max);
  return { deadLetters, unseen: unseenIn(passes) };
}

export type Moved = {
  moved: DeadLetter[];
  /** Meant too, but beyond `max`. */
  left: number;
  /** About how many are hidden: another command has received them, or they are behind others of a FIFO group. */
  unseen: number;
};
export type MoveOptions = {
  filter: Filter;
  max: number;
  /** Only tells what would be moved. */
  dryRun?: boolean;
};

/**
 * Puts dead letters back into the queue they came from. Sent twice, a message does no harm: every service may get each
 * of its messages again. A FIFO queue takes it once in five minutes.
 *
 * Services work meanwhile, and a message that fails at once is a dead letter again before this has ended. It is marked
 * with this sending, by an attribute that a dead letter keeps, and is not sent a second time.
 */
export function send(deps: DeadLetterDeps, options: MoveOptions): Promise<Moved> {
  const sending = randomUUID();
  const put: Put = async ({ messageId, groupId }, message, { source }) => {
    await source.send(message.body, {
      attributes: {
        ...withoutErrors(message.attributes),
        [sentBy]: sending,
      },
      ...(groupId !== undefined && { group: groupId }),
      // Its own id, so that this replay is neither taken for the first sending nor repeated.
      ...(source.isFifo && { deduplicationId: `replay-${messageId}` }),
    });
  };
  const isBack = ({ attributes }: Message) => attributes[sentBy] === sending;
  return move(deps, options, put, isBack);
}

/** Puts dead letters away as objects in the work bucket, body and all. The bucket forgets them after 30 days. */
export function archive(deps: DeadLetterDeps, options: MoveOptions, work: ObjectStore): Promise<Moved> {
  return move(deps, options, async (deadLetter, message) => {
    const kept = {
      ...deadLetter,
      archivedAt: deps.now().toISOString(),
      messageAttributes: jsonOf(message.attributes),
      body: message.body,
    };
    await work.put(
      keys.deadLetter(deadLetter.queue, deadLetter.messageId),
      JSON.stringify(kept, null, 2),
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
  const passes = await inEachQueue(deps, filter, (mailbox) =>
    pass(mailbox, deps, async (deadLetter, message) => {
      if (!isSelected(deadLetter, filter, deps.now()) || isExempt(message)) return "kept";
      selected += 1;
      if (selected > max) return "kept";
      if (!dryRun) {
        await put(deadLetter, message, mailbox);
        await mailbox.deadLetters.delete(message.receipt);
      }
      moved.push(deadLetter);
      return dryRun ? "kept" : "removed";
    }),
  );
  return { moved, left: selected - moved.length, unseen: unseenIn(passes) };
}

type Pass = { seen: number; unseen: number };

function unseenIn(passes: readonly Pass[]): number {
  return passes.reduce((sum, { unseen }) => sum + unseen, 0);
}

/** Shows every dead letter of a queue once, and lets those that stay be seen again at the end. */
async function pass(mailbox: Mailbox, { waitSeconds = 1 }: DeadLetterDeps, visit: Visit): Promise<Pass> {
  const { name, deadLetters } = mailbox;
  const seen = new Set<string>();
  const hidden = new Map<string, string>();
  try {
    while (seen.size < maxSeen) {
      const messages = await deadLetters.receive({ max: maxReceived, visibilitySeconds, waitSeconds });
      for (const { id, receipt } of messages) hidden.set(id, receipt);
      const fresh = messages.filter(({ id }) => !seen.has(id));
      // Nothing, or again what came first: its visibility timeout has ended.
      if (fresh.length === 0) break;
      for (const message of fresh) {
        const deadLetter = deadLetterOf(name, message);
        seen.add(deadLetter.messageId);
        if ((await visit(deadLetter, message, mailbox)) === "removed") hidden.delete(deadLetter.messageId);
      }
    }
    return { seen: seen.size, unseen: Math.max((await deadLetters.count()) - hidden.size, 0) };
  } finally {
    // Where that fails they reappear when their visibility timeout ends.
    await deadLetters.release([...hidden.values()]).catch(() => undefined);
  }
}

/** All queues at once; the first failure is thrown when every queue has come to its end. */
async function inEachQueue<T>(
  { mailboxes }: DeadLetterDeps,
  { queue }: Filter,
  work: (mailbox: Mailbox) => Promise<T>,
): Promise<T[]> {
  const chosen = mailboxes.filter(({ name }) => queue === undefined || name === queue);
  const ended = await Promise.allSettled(chosen.map(work));
  return ended.map((end) => {
    if (end.status === "rejected") throw end.reason;
    return end.value;
  });
}

export function isSelected(deadLetter: DeadLetter, filter: Filter, now: Date): boolean {
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
  const ours = new Set<string>(errorAttributes);
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => !ours.has(name)));
}

function counted(names: string[]): Record<string, number> {
  const groups = Map.groupBy(names.sort(), (name) => name);
  return Object.fromEntries([...groups].map(([name, all]) => [name, all.length]));
}

/** Bytes as base64, which JSON would spell byte by byte. */
function jsonOf(attributes: Attributes): Record<string, string | { base64: string }> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      name,
      typeof value === "string" ? value : { base64: Buffer.from(value).toString("base64") },
    ]),
  );
}
