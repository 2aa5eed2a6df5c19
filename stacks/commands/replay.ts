// `npm run replay`: shows, replays and archives dead letters.
import {
  archiveDeadLetters,
  type DeadLetterDeps,
  type Inspected,
  inspectDeadLetters,
  listDeadLetters,
  type Moved,
  type MoveOptions,
  type QueueSummary,
  replayDeadLetters,
} from "../../services/replay/dead-letter-queues.ts";
import type { DeadLetter } from "../../shared/dead-letter.ts";
import { count, quantity } from "../../shared/quantity.ts";
import { isConfirmed, runCommand } from "./command-line.ts";
import { type Command, line, type MoveCommand } from "./replay/replay-args.ts";
import type { Target } from "./target.ts";
import { age, json, plain, table } from "./text-table.ts";

async function run(command: Command, target: Target): Promise<string> {
  const { filter, max } = command;
  // SQS asks all of its servers only if a receive waits.
  const waitSeconds = target.isStage ? 1 : 0;
  const deps: DeadLetterDeps = { queuePairs: target.queuePairs(), now: () => new Date(), waitSeconds };
  switch (command.verb) {
    case "list": {
      const queues = await listDeadLetters(deps, filter);
      return command.json ? json({ queues }) : listText(queues, process.stdout.columns);
    }
    case "show": {
      const found = await inspectDeadLetters(deps, filter, max);
      return command.json ? json(found) : showText(found);
    }
    case "send":
      return moveText(command, target, (options) => replayDeadLetters(deps, options));
    case "archive":
      return moveText(command, target, (options) => archiveDeadLetters(deps, options, target.work()));
  }
}

function listText(queues: QueueSummary[], width: number | undefined): string {
  const found = queues.filter(({ messages, matching }) => messages > 0 || matching > 0);
  if (found.length === 0) return "No dead letters.\n";
  const rows = found.map(({ queue, messages, seen, matching, oldestSeconds, runs, errors }) => [
    queue,
    matching === seen && seen === messages ? matching : `${matching} of ${messages}`,
    oldestSeconds === undefined ? "" : age(oldestSeconds),
    runs.length > 2 ? `${runs.length} runs` : runs.join(", "),
    Object.entries(errors)
      .map(([name, messages]) => `${name}: ${messages}`)
      .join(", "),
  ]);
  return table(["queue", "dead letters", "oldest", "runs", "errors"], rows, { width, optional: ["runs"] });
}

function showText({ deadLetters, unseen }: Inspected): string {
  const found = deadLetters.length === 0 ? "No dead letters.\n" : deadLetters.map(deadLetterText).join("\n");
  return `${found}${unseenText(unseen)}`;
}

function unseenText(unseen: number): string {
  if (unseen === 0) return "";
  return `About ${count(unseen)} more are hidden: another command read them in the last minute, or they are behind others of their FIFO group. Try again in a minute.\n`;
}

function deadLetterText(deadLetter: DeadLetter): string {
  const about = [
    deadLetter.run && `run ${deadLetter.run}`,
    deadLetter.window && `window ${deadLetter.window}`,
    deadLetter.attempt && `attempt ${deadLetter.attempt}`,
    deadLetter.page && `page ${deadLetter.page}`,
    deadLetter.query && `query ${deadLetter.query}`,
    deadLetter.instance && `instance ${deadLetter.instance}`,
    deadLetter.groupId && `group ${deadLetter.groupId}`,
  ].filter(Boolean);
  const old = age((Date.now() - Date.parse(deadLetter.sentAt)) / 1000);
  const lines = [
    `${deadLetter.queue} ${deadLetter.messageId}`,
    about.length > 0 ? about.join(", ") : "names no run",
    deadLetter.error
      ? `${deadLetter.error}: ${deadLetter.errorText ?? ""}`
      : "no reason given: SQS moved it after too many receives",
    `${old} old, received ${quantity(deadLetter.receives, "time")}, ${quantity(deadLetter.bytes, "byte")}, attributes: ${deadLetter.attributes.join(", ") || "none"}`,
  ];
  return `${lines.map(plain).join("\n  ")}\n`;
}

async function moveText(
  { verb, filter, max, dryRun, yes, wait, json: asJson }: MoveCommand,
  { isStage }: Target,
  move: (options: MoveOptions) => Promise<Moved>,
): Promise<string> {
  const where = verb === "send" ? "back to their queues" : "to the work bucket";
  const none = ({ unseen }: Moved) => `No dead letters to move.\n${unseenText(unseen)}`;
  if (dryRun || !yes) {
    const selected = await move({ filter, max, dryRun: true });
    if (dryRun && asJson) return json({ dryRun: true, ...selected });
    const what = `${quantity(selected.moved.length, "dead letter")} (${byQueue(selected.moved)}) ${where}`;
    if (selected.moved.length === 0) return asJson ? json(selected) : none(selected);
    if (dryRun) return `Would move ${what}.\n`;
    if (!(await isConfirmed(`Move ${what}? [y/N] `))) {
      return asJson ? json({ ...selected, moved: [] }) : "Nothing was moved.\n";
    }
  }
  const done = await move({ filter, max });
  if (asJson) return json(done);
  if (done.moved.length === 0) return none(done);
  const left = done.left > 0 ? ` ${count(done.left)} more are left because of --max.` : "";
  const next = verb === "send" && !isStage && !wait ? " The next npm start works on them." : "";
  return `Moved ${quantity(done.moved.length, "dead letter")} (${byQueue(done.moved)}) ${where}.${left}${next}\n${unseenText(done.unseen)}`;
}

function byQueue(deadLetters: DeadLetter[]): string {
  return [...Map.groupBy(deadLetters, ({ queue }) => queue)]
    .map(([queue, all]) => `${queue}: ${all.length}`)
    .join(", ");
}

await runCommand(line, run);
