// `npm run replay`: looks at dead letters, sends them back, or puts them away.
import {
  archive,
  type Inspected,
  inspect,
  type Looking,
  list,
  type Moved,
  type MoveOptions,
  type QueueSummary,
  send,
} from "../../services/replay/deadletters.ts";
import type { DeadLetter } from "../../services/replay/letter.ts";
import { mailboxes } from "../../services/replay/mailboxes.ts";
import { s3 } from "../../shared/aws/clients.ts";
import { Store } from "../../shared/aws/store.ts";
import { config } from "../../shared/config.ts";
import { isConfirmed, runCommand } from "./command-line.ts";
import type { Place } from "./place.ts";
import { type Command, line } from "./replay/args.ts";
import { age, counted, json, plain, table } from "./text.ts";

async function run(command: Command, place: Place): Promise<string> {
  const { verb, filter, max } = command;
  const looking: Looking = { mailboxes: mailboxes(), now: () => new Date() };
  switch (verb) {
    case "list": {
      const queues = await list(looking, filter);
      return command.json ? json({ queues }) : listText(queues);
    }
    case "show": {
      const found = await inspect(looking, filter, max);
      return command.json ? json(found) : showText(found);
    }
    case "send":
      return moveText(command, place, (options) => send(looking, options));
    case "archive": {
      const work = new Store(s3(), config.workBucket());
      return moveText(command, place, (options) => archive(looking, options, work));
    }
  }
}

function listText(queues: QueueSummary[]): string {
  const found = queues.filter(({ letters, matching }) => letters > 0 || matching > 0);
  if (found.length === 0) return "No dead letters.\n";
  const rows = found.map(({ queue, letters, seen, matching, oldestSeconds, runs, errors }) => [
    queue.toLowerCase(),
    matching === seen && seen === letters ? matching : `${matching} of ${letters}`,
    oldestSeconds === undefined ? "" : age(oldestSeconds),
    runs.length > 2 ? `${runs.length} runs` : runs.join(", "),
    Object.entries(errors)
      .map(([name, count]) => `${name}: ${count}`)
      .join(", "),
  ]);
  return table(["queue", "letters", "oldest", "runs", "errors"], rows);
}

function showText({ letters, unseen }: Inspected): string {
  const found = letters.length === 0 ? "No dead letters.\n" : letters.map(letterText).join("\n");
  return `${found}${unseenText(unseen)}`;
}

function unseenText(unseen: number): string {
  if (unseen === 0) return "";
  return `About ${unseen} could not be seen: somebody looked at them in the last minute, or others of a FIFO group come first. Try again in a minute.\n`;
}

function letterText(letter: DeadLetter): string {
  const about = [
    letter.run && `run ${letter.run}`,
    letter.window && `window ${letter.window}`,
    letter.attempt && `attempt ${letter.attempt}`,
    letter.page && `page ${letter.page}`,
    letter.query && `query ${letter.query}`,
    letter.instance && `instance ${letter.instance}`,
    letter.groupId && `group ${letter.groupId}`,
  ].filter(Boolean);
  const old = age((Date.now() - Date.parse(letter.sentAt)) / 1000);
  const lines = [
    `${letter.queue.toLowerCase()} ${letter.messageId}`,
    about.length > 0 ? about.join(", ") : "names no run",
    letter.error
      ? `${letter.error}: ${letter.errorText ?? ""}`
      : "no reason given: SQS moved it after too many receives",
    `${old} old, received ${counted(letter.receives, "time")}, ${counted(letter.bytes, "byte")}, attributes: ${letter.attributes.join(", ") || "none"}`,
  ];
  return `${lines.map(plain).join("\n  ")}\n`;
}

async function moveText(
  { verb, filter, max, dryRun, yes, finish, json: asJson }: Command,
  { isStage }: Place,
  move: (options: MoveOptions) => Promise<Moved>,
): Promise<string> {
  const where = verb === "send" ? "back to their queues" : "to the work bucket";
  if (dryRun || !yes) {
    const meant = await move({ filter, max, dryRun: true });
    if (dryRun && asJson) return json({ dryRun: true, ...meant });
    const what = `${counted(meant.moved.length, "dead letter")} (${byQueue(meant.moved)}) ${where}`;
    if (meant.moved.length === 0) return `No dead letters to move.\n${unseenText(meant.unseen)}`;
    if (dryRun) return `Would move ${what}.\n`;
    if (!(await isConfirmed(`Move ${what}? [y/N] `))) return "Nothing was moved.\n";
  }
  const done = await move({ filter, max });
  if (asJson) return json(done);
  if (done.moved.length === 0) return `No dead letters to move.\n${unseenText(done.unseen)}`;
  const left = done.left > 0 ? ` ${done.left} more are left because of --max.` : "";
  const next = verb === "send" && !isStage && !finish ? " The next npm start works on them." : "";
  return `Moved ${counted(done.moved.length, "dead letter")} (${byQueue(done.moved)}) ${where}.${left}${next}\n${unseenText(done.unseen)}`;
}

function byQueue(letters: DeadLetter[]): string {
  return [...Map.groupBy(letters, ({ queue }) => queue)]
    .map(([queue, all]) => `${queue.toLowerCase()}: ${all.length}`)
    .join(", ");
}

await runCommand(line, run);
