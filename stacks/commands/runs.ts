// `npm run runs`: what became of each run, and what an operator can do about it.
import { randomUUID } from "node:crypto";
import { inspect } from "../../services/replay/deadletters.ts";
import { mailboxes } from "../../services/replay/mailboxes.ts";
import { busPublisher } from "../../shared/aws/bus.ts";
import { eventBridge, s3, sqs } from "../../shared/aws/clients.ts";
import { Queue } from "../../shared/aws/queue.ts";
import { Store } from "../../shared/aws/store.ts";
import { config } from "../../shared/config.ts";
import { runIdOf } from "../../shared/run.ts";
import { runCommand } from "./command-line.ts";
import type { Place } from "./place.ts";
import { accountOf, accounts, type Looking } from "./runs/account.ts";
import { type Command, parse, usage } from "./runs/args.ts";
import { publishHeld, resume } from "./runs/repair.ts";
import { listText, showText } from "./runs/report.ts";
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
  const looking = await lookingAt(command.stalledAfterSeconds, now);
  if (command.verb === "list") {
    const found = (await accounts(looking)).slice(0, command.max);
    return command.json ? json({ runs: found }) : listText(found, now);
  }
  const account = await accountOf(command.runId, looking);
  const assemble = new Queue(sqs(), config.queueUrl("ASSEMBLE"));
  switch (command.verb) {
    case "show":
      return command.json ? json(account) : showText(account, now);
    case "resume": {
      const fetch = new Queue(sqs(), config.queueUrl("FETCH"));
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

async function lookingAt(stalledAfterSeconds: number, now: Date): Promise<Looking> {
  const clock = () => now;
  return {
    work: new Store(s3(), config.workBucket()),
    now: clock,
    stalledAfterSeconds,
    deadLetters: (await inspect({ mailboxes: mailboxes(), now: clock }, {}, maxDeadLetters)).letters,
  };
}

await runCommand({ usage, parse, run });
