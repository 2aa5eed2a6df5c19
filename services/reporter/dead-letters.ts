// The daily email about dead letters. It repeats until each one is replayed or archived, because an alarm is silent about
// further dead letters while it is on, and about those that SQS or EventBridge moved (stacks/monitoring.ts).
import { deadLetterOf } from "../../shared/dead-letter.ts";
import type { Message, MessageQueue } from "../../shared/ports.ts";
import { count, quantity } from "../../shared/quantity.ts";
import type { DeadLetterName } from "../../shared/topology.ts";
import { durationText, type Mail } from "./message.ts";

export type DeadLetterDeps = {
  deadLetterQueues: readonly { name: DeadLetterName; deadLetters: Pick<MessageQueue, "count" | "receive"> }[];
  now: () => Date;
  /** How long to wait for a dead letter that is counted, default 1. */
  waitSeconds?: number;
};

/** Returns an email with the dead letters of each queue, or undefined if there are none. */
export async function deadLetterMail({
  deadLetterQueues,
  now,
  waitSeconds = 1,
}: DeadLetterDeps): Promise<Mail | undefined> {
  const found = await Promise.all(
    deadLetterQueues.map(async ({ name, deadLetters }) => {
      const messages = await deadLetters.count();
      if (messages === 0) return { messages, line: "" };
      // Hides nothing, so that a replay at the same time finds every message.
      const seen = await deadLetters.receive({ max: 10, visibilitySeconds: 0, waitSeconds });
      return { messages, line: lineOf(name, messages, seen, now()) };
    }),
  );
  const lines = found.flatMap(({ line }) => (line === "" ? [] : [line]));
  if (lines.length === 0) return undefined;
  const total = found.reduce((sum, { messages }) => sum + messages, 0);
  return {
    subject: quantity(total, "dead letter"),
    text: [
      "Work is blocked. These messages could not be processed or delivered. They are kept for 14 days:",
      "",
      ...lines,
      "",
      "Fix the cause, then replay them: npm run replay -- send. To keep them only in the work bucket: npm run replay -- archive. The queues undelivered and unscheduled hold events that reached no service: request the run again (npm run runs -- request), then purge the queue (aws sqs purge-queue).",
      "This email repeats every day until no dead letter is left.",
    ].join("\n"),
    details: "npm run replay -- list",
  };
}

/** "fetcher: 2, the oldest 1 h 5 min old: LibInsightDatasetNotFound (run reference-transactions-…, window 1, page 3)" */
function lineOf(name: DeadLetterName, messages: number, seen: readonly Message[], now: Date): string {
  const summaries = seen.map((message) => deadLetterOf(name, message));
  const [oldest] = summaries.sort((a, b) => (a.sentAt < b.sentAt ? -1 : 1));
  if (!oldest) return `${name}: ${count(messages)}, in use by a command`;
  const { run, window, page, query, instance, error = "no reason given", sentAt } = oldest;
  const ids = Object.entries({ run, window, page, query, instance }).flatMap(([id, value]) =>
    value === undefined ? [] : [`${id} ${value}`],
  );
  const age = durationText((now.getTime() - Date.parse(sentAt)) / 1000);
  const of = messages > seen.length ? ` of ${seen.length}` : "";
  return `${name}: ${count(messages)}, the oldest${of} ${age} old: ${error}${ids.length > 0 ? ` (${ids.join(", ")})` : ""}`;
}
