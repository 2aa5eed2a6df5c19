// `npm run runs`: what became of each run, and what an operator can do about it.
import { randomUUID } from "node:crypto";
import { inspect } from "../../services/replay/deadletters.ts";
import { mailboxes } from "../../services/replay/mailboxes.ts";
import { busPublisher } from "../../shared/aws/bus.ts";
import { eventBridge, s3, sqs, timeOfS3 } from "../../shared/aws/clients.ts";
import { Queue } from "../../shared/aws/queue.ts";
import { Store } from "../../shared/aws/store.ts";
import { config } from "../../shared/config.ts";
import { runIdOf } from "../../shared/run.ts";
import { isConfirmed, runCommand } from "./command-line.ts";
import type { Place } from "./place.ts";
import { accountOf, accounts, type Looking } from "./runs/account.ts";
import { type Command, line, type RollbackCommand } from "./runs/args.ts";
import { publishHeld, resume } from "./runs/repair.ts";
import { listText, rollbackText, showText } from "./runs/report.ts";
import { planRollback, publicationText, remaining, rollBack } from "./runs/rollback.ts";
import { counted, json } from "./text.ts";

/** Of all runs together. */
const maxDeadLetters = 10_000;

async function run(command: Command, place: Place): Promise<string> {
  const now = new Date();
  const afterwards = place.isStage || command.finish ? "" : " The next npm start works on it.";
  if (command.verb === "request") {
    const requestId = randomUUID();
    const runId = runIdOf(command.request.dataset, requestId);
    const publish = busPublisher(eventBridge(), config.busName());
    await publish("run.requested", { ...command.request, requestId });
    return command.json ? json({ runId }) : `Requested ${runId}.${afterwards}\n`;
  }
  if (command.verb === "rollback") {
    const follows =
      place.isStage || command.finish ? "" : " To let Athena follow here, repeat it with --finish.";
    return putBack(command, command.json, follows);
  }
  const looking = await lookingAt(command.stalledAfterSeconds, now);
  if (command.verb === "list") {
    const found = (await accounts(looking)).slice(0, command.max);
    return command.json ? json({ runs: found }) : listText(found, now);
  }
  const account = await accountOf(command.runId, looking);
  const assemble = new Queue(sqs(), config.queueUrl("assembler"));
  switch (command.verb) {
    case "show":
      return command.json ? json(account) : showText(account, now);
    case "resume": {
      const fetch = new Queue(sqs(), config.queueUrl("fetcher"));
      const resumed = await resume(account, { fetch, assemble }, now);
      const what = resumed.assemble ? "the task to assemble it" : counted(resumed.pages, "page task");
      return command.json ? json(resumed) : `Sent ${what}.${afterwards}\n`;
    }
    case "publish": {
      await publishHeld(account, command.reason, assemble);
      const how = `npm run runs -- show ${command.runId}`;
      return command.json ? json({ sent: true }) : `Asked to publish it; see ${how}.${afterwards}\n`;
    }
  }
}

async function putBack(
  { runId, reason, dryRun, yes }: RollbackCommand,
  asJson: boolean,
  follows: string,
): Promise<string> {
  const data = new Store(s3(), config.dataBucket());
  const rollback = await planRollback(runId, { work: new Store(s3(), config.workBucket()), data });
  const isInPlace = remaining(rollback).length === 0;
  const what = rollbackText(rollback);
  if (!isInPlace && !dryRun) {
    if (!yes && !(await isConfirmed(`Put back ${what}? [y/N] `))) return "Nothing was put back.\n";
    await rollBack(rollback, { data, now: timeOfS3(), reason });
  }
  if (asJson) return json({ ...(dryRun && { dryRun }), ...rollback });
  if (isInPlace) return `In place already: ${publicationText(rollback.csv.back)}. Nothing is to be done.\n`;
  return dryRun ? `Would put back ${what}.\n` : `Put back ${what}.${follows}\n`;
}

async function lookingAt(stalledAfterSeconds: number, now: Date): Promise<Looking> {
  const clock = () => now;
  return {
    work: new Store(s3(), config.workBucket()),
    now: clock,
    stalledAfterSeconds,
    deadLetters: (await inspect({ mailboxes: mailboxes(), now: clock }, {}, maxDeadLetters)).letters,
  };
}

await runCommand(line, run);
