// Dead letters of any queue: seen, sent back to where they came from, or put away in the work bucket. A message is
// always in its new place before it leaves the dead letters, so whatever is interrupted can simply be done again.
import { randomUUID } from "node:crypto";
import type { Message, MessageAttributeValue } from "@aws-sdk/client-sqs";
import type { Queue } from "../../shared/aws/queue.ts";
import type { Store } from "../../shared/aws/store.ts";
import type { QueueName } from "../../shared/config.ts";
import { keys } from "../../shared/keys.ts";
import { type DeadLetter, deadLetterOf, errorAttributes } from "./letter.ts";

/** A queue and where its failed messages lie. */
export type Mailbox = { name: QueueName; source: Queue; deadLetters: Queue };

export type Looking = {
  mailboxes: readonly Mailbox[];
  now: () => Date;
  /** See `Queue.receive`; 1 unless told. */
  waitSeconds?: number;
};

/** Which dead letters are meant; all of them where nothing is said. */
export type Filter = {
  queue?: QueueName | undefined;
  run?: string | undefined;
  /** Part of the error's name or sentence, in any case. */
  error?: string | undefined;
  olderThanSeconds?: number | undefined;
};

/** The message attribute that names the sending by which a message last left the dead letters. */
const sentBy = "ReplayId";

type Put = (letter: DeadLetter, message: Message, mailbox: Mailbox) => Promise<void>;

/** What a pass does with one dead letter; `removed` tells that it is no longer in its queue. */
type Visit = (letter: DeadLetter, message: Message, mailbox: Mailbox) => Promise<"kept" | "removed">;

/**
 * Looking at messages hides them: long enough to see a queue to its end, and to send ten messages on at some seconds
 * each. They are shown again when the pass is over; after a crash they come back by themselves.
 */
const hiddenSeconds = 60;
/**
 * Of each queue, in one pass. What lies behind them is seen when these are gone. So is what lies in a FIFO group behind
 * the first letters (ten on AWS, one here) that stay: SQS gives out a group's messages in order.
 */
const maxSeen = 10_000;

export type QueueSummary = {
  queue: QueueName;
  /** About how many are there, by SQS's own count; more than `seen` where a FIFO group hides those behind. */
  letters: number;
  /** How many of those that were seen are meant by the filter. */
  matching: number;
  seen: number;
  oldestSeconds?: number;
  runs: string[];
  /** By the error's name; `no reason given` where SQS moved the message. */
  errors: Record<string, number>;
};

/** Per queue: how many, how old, of which runs, and why. */
export async function list(looking: Looking, filter: Filter = {}): Promise<QueueSummary[]> {
  return inEachQueue(looking, filter, async (mailbox) => {
    const found: DeadLetter[] = [];
    const { seen, unseen } = await pass(mailbox, looking, async (letter) => {
      if (isMeant(letter, filter, looking.now())) found.push(letter);
      return "kept";
    });
    const oldest = Math.min(...found.map((letter) => Date.parse(letter.sentAt)));
    return {
      queue: mailbox.name,
      letters: seen + unseen,
      matching: found.length,
      seen,
      ...(found.length > 0 && {
        oldestSeconds: Math.max(Math.round((looking.now().getTime() - oldest) / 1000), 0),
      }),
      runs: [...new Set(found.flatMap(({ run }) => run ?? []))].sort(),
      errors: counted(found.map(({ error }) => error ?? "no reason given")),
    };
  });
}

export type Inspected = { letters: DeadLetter[]; unseen: number };

/** Each dead letter that is meant, oldest first, `max` at most. */
export async function inspect(looking: Looking, filter: Filter, max: number): Promise<Inspected> {
  const found: DeadLetter[] = [];
  const passes = await inEachQueue(looking, filter, (mailbox) =>
    pass(mailbox, looking, async (letter) => {
      if (isMeant(letter, filter, looking.now())) found.push(letter);
      return "kept";
    }),
  );
  const letters = found.sort((a, b) => (a.sentAt < b.sentAt ? -1 : 1)).slice(0, max);
  return { letters, unseen: unseenIn(passes) };
}

export type Moved = {
  moved: DeadLetter[];
  /** Meant too, but beyond `max`. */
  left: number;
  /** About how many could not be seen: somebody else looks at them, or they lie behind others of a FIFO group. */
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
export function send(looking: Looking, options: MoveOptions): Promise<Moved> {
  const sending = randomUUID();
  const put: Put = async ({ messageId, groupId }, message, { source }) => {
    const isFifo = source.url.endsWith(".fifo");
    await source.send(message.Body ?? "", {
      attributes: {
        ...withoutErrors(message.MessageAttributes ?? {}),
        [sentBy]: { DataType: "String", StringValue: sending },
      },
      ...(groupId !== undefined && { groupId }),
      // Its own id, so that this dead letter is not taken for the first sending, nor a repetition for another.
      ...(isFifo && { deduplicationId: `replay-${messageId}` }),
    });
  };
  const isBack = ({ MessageAttributes = {} }: Message) => MessageAttributes[sentBy]?.StringValue === sending;
  return move(looking, options, put, isBack);
}

/** Puts dead letters away as objects in the work bucket, body and all. The bucket forgets them after 30 days. */
export function archive(looking: Looking, options: MoveOptions, work: Store): Promise<Moved> {
  return move(looking, options, async (letter, message) => {
    const kept = {
      ...letter,
      archivedAt: looking.now().toISOString(),
      systemAttributes: message.Attributes ?? {},
      messageAttributes: message.MessageAttributes ?? {},
      body: message.Body ?? "",
    };
    await work.put(
      keys.deadLetter(letter.queue, letter.messageId),
      JSON.stringify(kept, bytesAsBase64, 2),
      "application/json",
    );
  });
}

async function move(
  looking: Looking,
  { filter, max, dryRun = false }: MoveOptions,
  put: Put,
  isExempt: (message: Message) => boolean = () => false,
): Promise<Moved> {
  const moved: DeadLetter[] = [];
  let meant = 0;
  const passes = await inEachQueue(looking, filter, (mailbox) =>
    pass(mailbox, looking, async (letter, message) => {
      if (!isMeant(letter, filter, looking.now()) || isExempt(message)) return "kept";
      meant += 1;
      if (meant > max) return "kept";
      if (!dryRun) {
        await put(letter, message, mailbox);
        await mailbox.deadLetters.remove(message.ReceiptHandle ?? "");
      }
      moved.push(letter);
      return dryRun ? "kept" : "removed";
    }),
  );
  return { moved, left: meant - moved.length, unseen: unseenIn(passes) };
}

type Pass = { seen: number; unseen: number };

function unseenIn(passes: readonly Pass[]): number {
  return passes.reduce((sum, { unseen }) => sum + unseen, 0);
}

/** Shows every dead letter of a queue once, and lets those that stay be seen again at the end. */
async function pass(mailbox: Mailbox, { waitSeconds = 1 }: Looking, visit: Visit): Promise<Pass> {
  const { name, deadLetters } = mailbox;
  const seen = new Set<string>();
  const hidden = new Map<string, string>();
  try {
    while (seen.size < maxSeen) {
      const messages = await deadLetters.receive({ hiddenSeconds, waitSeconds });
      for (const { MessageId = "", ReceiptHandle = "" } of messages) hidden.set(MessageId, ReceiptHandle);
      const fresh = messages.filter(({ MessageId = "" }) => !seen.has(MessageId));
      // Nothing, or again what came first: its time of being hidden is over.
      if (fresh.length === 0) break;
      for (const message of fresh) {
        const letter = deadLetterOf(name, message);
        seen.add(letter.messageId);
        if ((await visit(letter, message, mailbox)) === "removed") hidden.delete(letter.messageId);
      }
    }
    return { seen: seen.size, unseen: Math.max((await deadLetters.count()) - hidden.size, 0) };
  } finally {
    // Where that fails they come back by themselves.
    await deadLetters.showAgain([...hidden.values()]).catch(() => undefined);
  }
}

/** All queues at once; the first failure is thrown when every queue has come to its end. */
async function inEachQueue<T>(
  { mailboxes }: Looking,
  { queue }: Filter,
  work: (mailbox: Mailbox) => Promise<T>,
): Promise<T[]> {
  const meant = mailboxes.filter(({ name }) => queue === undefined || name === queue);
  const ended = await Promise.allSettled(meant.map(work));
  return ended.map((end) => {
    if (end.status === "rejected") throw end.reason;
    return end.value;
  });
}

export function isMeant(letter: DeadLetter, filter: Filter, now: Date): boolean {
  const { queue, run, error, olderThanSeconds } = filter;
  const reason = `${letter.error ?? ""} ${letter.errorText ?? ""}`.toLowerCase();
  return (
    (queue === undefined || letter.queue === queue) &&
    (run === undefined || letter.run === run) &&
    (error === undefined || reason.includes(error.toLowerCase())) &&
    (olderThanSeconds === undefined || now.getTime() - Date.parse(letter.sentAt) > olderThanSeconds * 1000)
  );
}

function withoutErrors(
  attributes: Record<string, MessageAttributeValue>,
): Record<string, MessageAttributeValue> {
  const ours = new Set<string>(errorAttributes);
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => !ours.has(name)));
}

function counted(names: string[]): Record<string, number> {
  const groups = Map.groupBy(names.sort(), (name) => name);
  return Object.fromEntries([...groups].map(([name, all]) => [name, all.length]));
}

/** Binary attributes, which JSON would spell byte by byte. */
function bytesAsBase64(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
}
