// `npm run runs`: run outcomes, and what an operator can do about them.
import { randomUUID } from "node:crypto";
import { inspect } from "../../services/replay/deadletters.ts";
import { runIdOf } from "../../shared/run.ts";
import { isConfirmed, runCommand } from "./command-line.ts";
import { type AccountDeps, accountOf, accounts } from "./runs/account.ts";
import { type Command, line, type RollbackCommand } from "./runs/args.ts";
import { publishHeld, resume } from "./runs/repair.ts";
import { listText, rollbackText, showText } from "./runs/report.ts";
import { planRollback, publicationText, remaining, rollBack } from "./runs/rollback.ts";
import type { Target } from "./target.ts";
import { counted, json } from "./text.ts";

/** Of all runs together. */
const maxDeadLetters = 10_000;

async function run(command: Command, target: Target): Promise<string> {
  const now = new Date();
  const afterwards = target.isStage || command.finish ? "" : " The next npm start works on it.";
  if (command.verb === "request") {
    const requestId = randomUUID();
    const runId = runIdOf(command.request.dataset, requestId);
    await target.publish()("run.requested", { ...command.request, requestId });
    return command.json ? json({ runId }) : `Requested ${runId}.${afterwards}\n`;
  }
  if (command.verb === "rollback") {
    const follows =
      target.isStage || command.finish ? "" : " To let Athena follow here, repeat it with --finish.";
    return putBack(command, target, command.json, follows);
  }
  const deps = await accountDeps(target, command.stalledAfterSeconds, now);
  if (command.verb === "list") {
    const found = (await accounts(deps)).slice(0, command.max);
    return command.json ? json({ runs: found }) : listText(found, now);
  }
  const account = await accountOf(command.runId, deps);
  const assembler = target.queue("assembler");
  switch (command.verb) {
    case "show":
      return command.json ? json(account) : showText(account, now);
    case "resume": {
      const resumed = await resume(account, { fetcher: target.queue("fetcher"), assembler }, now);
      const what = resumed.assemble ? "the task to assemble it" : counted(resumed.pages, "page task");
      return command.json ? json(resumed) : `Sent ${what}.${afterwards}\n`;
    }
    case "publish": {
      await publishHeld(account, command.reason, assembler);
      const how = `npm run runs -- show ${command.runId}`;
      return command.json ? json({ sent: true }) : `Requested its publication; see ${how}.${afterwards}\n`;
    }
  }
}

async function putBack(
  { runId, reason, dryRun, yes }: RollbackCommand,
  target: Target,
  asJson: boolean,
  follows: string,
): Promise<string> {
  const data = target.data();
  const rollback = await planRollback(runId, { work: target.work(), data });
  const isInPlace = remaining(rollback).length === 0;
  const what = rollbackText(rollback);
  if (!isInPlace && !dryRun) {
    if (!yes && !(await isConfirmed(`Put back ${what}? [y/N] `))) return "Nothing was put back.\n";
    await rollBack(rollback, { data, now: target.now(), reason });
  }
  if (asJson) return json({ ...(dryRun && { dryRun }), ...rollback });
  if (isInPlace) return `In place already: ${publicationText(rollback.csv.back)}. No action needed.\n`;
  return dryRun ? `Would put back ${what}.\n` : `Put back ${what}.${follows}\n`;
}

async function accountDeps(target: Target, stalledAfterSeconds: number, now: Date): Promise<AccountDeps> {
  const clock = () => now;
  const deps = { mailboxes: target.mailboxes(), now: clock, waitSeconds: target.isStage ? 1 : 0 };
  const { deadLetters } = await inspect(deps, {}, maxDeadLetters);
  return { work: target.work(), now: clock, stalledAfterSeconds, deadLetters };
}

await runCommand(line, run);
