// `npm run runs`: run outcomes, and what an operator can do about them.
import { randomUUID } from "node:crypto";
import { inspectDeadLetters } from "../../services/replay/dead-letter-queues.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { runIdOf } from "../../shared/run.ts";
import { requirePublishable } from "../local/origin.ts";
import { ask, isConfirmed, runCommand } from "./command-line.ts";
import { isPublicationConfirmed } from "./runs/confirm.ts";
import { type Buckets, fileInPlace, liveRuns } from "./runs/live.ts";
import { heldResult, publishHeld, resume } from "./runs/repair.ts";
import {
  liveBefore,
  type Publication,
  planRollback,
  publicationText,
  remaining,
  rollBack,
} from "./runs/rollback.ts";
import { type AccountDeps, accountOf, accounts, type RunAccount } from "./runs/run-account.ts";
import {
  type Command,
  type Common,
  line,
  type PublishCommand,
  type RollbackCommand,
} from "./runs/runs-args.ts";
import { listText, reviewText, rollbackText, showText } from "./runs/runs-text.ts";
import type { Target } from "./target.ts";
import { counted, json } from "./text-table.ts";

/** Of all runs together. */
const maxDeadLetters = 10_000;

async function run(command: Command, target: Target): Promise<string> {
  const now = new Date();
  const afterwards = target.isStage || command.finish ? "" : " The next npm start works on it.";
  if (command.verb === "request") {
    const requestId = randomUUID();
    const runId = runIdOf(command.request.dataset, requestId);
    await target.emit()("run.requested", { ...command.request, requestId });
    return command.json ? json({ runId }) : `Requested ${runId}.${afterwards}\n`;
  }
  if (command.verb === "rollback") return rollback(command, target);
  const deps = await accountDeps(target, command, now);
  if (command.verb === "list") {
    const found = (await accounts(deps)).slice(0, command.max);
    return command.json ? json({ runs: found }) : listText(found, now);
  }
  const account = await accountOf(command.runId, deps);
  switch (command.verb) {
    case "show":
      return command.json ? json(account) : showText(account, now);
    case "resume": {
      const queues = { fetcher: target.queue("fetcher"), assembler: target.queue("assembler") };
      const resumed = await resume(account, queues, now);
      const what = resumed.assemble ? "the task to assemble it" : counted(resumed.pages, "page task");
      return command.json ? json(resumed) : `Sent ${what}.${afterwards}\n`;
    }
    case "publish":
      return publish(command, account, target);
  }
}

/** Shows the run's counts, asks, and enqueues the publication. Where the services work here, says how it ended. */
async function publish(
  command: Common & PublishCommand,
  account: RunAccount,
  target: Target,
): Promise<string> {
  const { runId, reason } = command;
  const held = heldResult(account);
  const review = reviewText(held, await fileInPlace(findDataset(held.dataset), buckets(target)));
  let unseen = review;
  const terminal = {
    isInteractive: process.stdin.isTTY,
    ask: (text: string) => {
      unseen = "";
      return ask(text);
    },
  };
  if (!(await isPublicationConfirmed(held, command, review, terminal))) return "Nothing was published.\n";
  await publishHeld(account, reason, target.queue("assembler"));
  if (command.finish) {
    await target.finish();
    const { state, result, next, deadLetters } = await accountOf(
      runId,
      await accountDeps(target, command, new Date()),
    );
    if (state !== "published") {
      throw new PipelineError("RunNotPublished", {
        message: deadLetters.at(-1)?.errorText ?? result?.reason ?? `The run is ${state}.`,
        advice: next,
        ids: { run: runId },
      });
    }
    return command.json ? json({ sent: true }) : `${unseen}Published ${counted(held.rows, "row")}.\n`;
  }
  if (command.json) return json({ sent: true });
  const how = target.isStage
    ? `The assembler publishes it, which is reported like every publication. See npm run runs -- show ${runId}.`
    : "The next npm start publishes it.";
  return `${unseen}Requested the publication of ${counted(held.rows, "row")}. ${how}\n`;
}

async function rollback(command: Common & RollbackCommand, target: Target): Promise<string> {
  const { reason, dryRun, yes } = command;
  const both = buckets(target);
  const live = await liveBefore(command.runId, both);
  const isProposal = live !== undefined && !live.wasPutBack;
  if (isProposal && (yes || !live.before)) throw nothingNamed(command.runId, live.before);
  const runId = (isProposal && live.before?.runId) || command.runId;
  const planned = await planRollback(runId, both);
  const isInPlace = remaining(planned).length === 0;
  if (!target.isStage && !isInPlace) await requirePublishable(planned, both.work);
  const what = rollbackText(planned);
  const proposal = isProposal ? `The files of ${command.runId} are live. Before them came ${runId}.\n` : "";
  if (!isInPlace && !dryRun) {
    if (!yes && !(await isConfirmed(`${proposal}Put back ${what}? [y/N] `))) return "Nothing was put back.\n";
    await rollBack(planned, { data: both.data, tables: target.tables(), now: target.now(), reason });
  }
  if (command.json) return json({ ...(dryRun && { dryRun }), ...planned });
  if (isInPlace) {
    const further = live?.before?.runId;
    const back = further === undefined ? "" : ` To go back further: npm run runs -- rollback ${further}`;
    return `In place already: ${publicationText(planned.csv.back)}. No action needed.${back}\n`;
  }
  if (dryRun) return `${proposal}Would put back ${what}.\n`;
  const follows =
    target.isStage || command.finish
      ? ""
      : ` To let Athena follow here: npm run runs -- rollback ${runId} --yes --finish\n${await target.refresh()}`;
  return `Put back ${what}.${follows.trimEnd()}\n`;
}

/** A run whose files are live is not put back. Which one is instead takes a person's answer, not --yes. */
function nothingNamed(runId: string, before: Publication | undefined): PipelineError {
  return new PipelineError("RunIsLive", {
    message: "The files of this run are live.",
    advice: before
      ? `To put back those before them, ${publicationText(before)}: npm run runs -- rollback ${before.runId}`
      : "No earlier run's file is kept; check that the data bucket keeps versions (stacks/README.md).",
    ids: { run: runId },
  });
}

function buckets(target: Target): Buckets {
  return { work: target.work(), data: target.data() };
}

async function accountDeps(target: Target, { stalledAfterSeconds }: Common, now: Date): Promise<AccountDeps> {
  const clock = () => now;
  const deps = { queuePairs: target.queuePairs(), now: clock, waitSeconds: target.isStage ? 1 : 0 };
  const { deadLetters } = await inspectDeadLetters(deps, {}, maxDeadLetters);
  const live = await liveRuns(buckets(target));
  return { work: target.work(), live, now: clock, stalledAfterSeconds, deadLetters };
}

await runCommand(line, run);
