// `npm run runs`: shows, requests, resumes, publishes and rolls back runs.
import { randomUUID } from "node:crypto";
import { inspectDeadLetters } from "../../services/replay/dead-letter-queues.ts";
import { realClock } from "../../shared/clock.ts";
import { findDataset } from "../../shared/datasets.ts";
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import { quantity } from "../../shared/quantity.ts";
import { deidentification, runIdOf } from "../../shared/run.ts";
import { UsageError, writeOut } from "../cli.ts";
import { requirePublishable } from "../local/origin.ts";
import { ask, isConfirmed, runCommand } from "./command-line.ts";
import { isPublicationConfirmed } from "./runs/confirm.ts";
import { followRun } from "./runs/follow.ts";
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
  type FollowCommand,
  line,
  type PublishCommand,
  type RollbackCommand,
} from "./runs/runs-args.ts";
import { listText, progressText, reviewText, rollbackText, showText } from "./runs/runs-text.ts";
import { spansOf } from "./runs/trace.ts";
import { traceSvg } from "./runs/trace-svg.ts";
import { traceText } from "./runs/trace-text.ts";
import { waterfallOf } from "./runs/waterfall.ts";
import type { Target } from "./target.ts";
import { json } from "./text-table.ts";

/** For all runs together. */
const maxDeadLetters = 10_000;

async function run(command: Command, target: Target): Promise<string> {
  const now = new Date();
  const afterwards = target.isStage || command.wait ? "" : " The next npm start works on it.";
  if (command.verb === "request") {
    const requestId = randomUUID();
    const runId = runIdOf(command.request.dataset, requestId);
    await target.emit()("run.requested", { ...command.request, requestId });
    return command.json ? json({ runId }) : `Requested ${runId}.${afterwards}\n`;
  }
  if (command.verb === "rollback") return rollback(command, target);
  if (command.verb === "follow") return follow(command, target);
  const deps = await accountDeps(target, command, now);
  if (command.verb === "list") {
    const found = (await accounts(deps)).slice(0, command.max);
    return command.json ? json({ runs: found }) : listText(found, now, process.stdout.columns);
  }
  const account = await accountOf(command.runId, deps);
  switch (command.verb) {
    case "show": {
      const its = await target.work().getJson(keys.deidentification(command.runId), deidentification);
      return command.json ? json({ ...account, deidentification: its }) : showText(account, now, its);
    }
    case "trace": {
      const spans = await spansOf(account.run, target.work());
      const waterfall = waterfallOf(account, spans);
      if (command.out !== undefined) await writeOut(command.out, traceSvg(waterfall));
      if (command.json) return json({ runId: command.runId, spans });
      return command.out === undefined ? traceText(waterfall) : `Wrote ${command.out}.\n`;
    }
    case "resume": {
      const queues = { fetcher: target.queue("fetcher"), assembler: target.queue("assembler") };
      const resumed = await resume(account, queues, now);
      const what = resumed.assemble ? "the task to assemble it" : quantity(resumed.pages, "page task");
      return command.json ? json(resumed) : `Sent ${what}.${afterwards}\n`;
    }
    case "publish":
      return publish(command, account, target);
  }
}

/** Waits until the run has ended, and exits with 1 unless it is published. */
async function follow(command: Common & FollowCommand, target: Target): Promise<string> {
  if (!target.isStage)
    throw new UsageError("follow waits for the services of a stage. On this machine, npm start shows them.");
  const { runId, timeoutSeconds, json: asJson } = command;
  const account = await followRun(runId, timeoutSeconds, {
    read: async () => accountOf(runId, await accountDeps(target, command, new Date())),
    clock: realClock,
    onProgress: (progress) => process.stderr.write(`${progressText(progress)}\n`),
  });
  if (account.state !== "published") process.exitCode = 1;
  return asJson ? json(account) : showText(account, new Date());
}

/** Shows the run's counts, asks, and enqueues the publication. With --wait, fails unless the run is published. */
async function publish(
  command: Common & PublishCommand,
  account: RunAccount,
  target: Target,
): Promise<string> {
  const { runId, reason, dryRun } = command;
  const held = heldResult(account);
  const review = reviewText(held, await fileInPlace(findDataset(held.dataset), buckets(target)));
  if (dryRun) {
    if (command.json) return json({ dryRun, runId, rows: held.rows });
    return `${review}Would publish ${quantity(held.rows, "row")}.\n`;
  }
  let unseen = review;
  const terminal = {
    isInteractive: process.stdin.isTTY,
    ask: (text: string) => {
      unseen = "";
      return ask(text);
    },
  };
  if (!(await isPublicationConfirmed(held, command, review, terminal))) {
    return command.json ? json({ sent: false }) : "Nothing was published.\n";
  }
  await publishHeld(account, reason, target.queue("assembler"));
  if (command.wait) {
    await target.wait();
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
    return command.json ? json({ sent: true }) : `${unseen}Published ${quantity(held.rows, "row")}.\n`;
  }
  if (command.json) return json({ sent: true });
  const how = target.isStage
    ? `To see whether the assembler has published them: npm run runs -- show ${runId}`
    : "The next npm start publishes them.";
  return `${unseen}Requested the publication of ${quantity(held.rows, "row")}. ${how}\n`;
}

async function rollback(command: Common & RollbackCommand, target: Target): Promise<string> {
  const { reason, dryRun, yes } = command;
  const both = buckets(target);
  const live = await liveBefore(command.runId, both);
  const isProposal = live !== undefined && !live.wasRestored;
  if (isProposal && (yes || !live.before)) throw runIsLive(command.runId, live.before);
  const runId = (isProposal && live.before?.runId) || command.runId;
  const planned = await planRollback(runId, both);
  const isInPlace = remaining(planned).length === 0;
  if (!target.isStage && !isInPlace) await requirePublishable(planned, both.work);
  const what = rollbackText(planned);
  const proposal = isProposal
    ? `The files of ${command.runId} are live. The run before it is ${runId}.\n`
    : "";
  if (!isInPlace && !dryRun) {
    if (!yes && !(await isConfirmed(`${proposal}Restore ${what}? [y/N] `))) {
      return command.json ? json({ restored: false, ...planned }) : "Nothing was restored.\n";
    }
    await rollBack(planned, { data: both.data, tables: target.tables(), now: target.now(), reason });
  }
  // An interrupted rollback, which is repeated, may not have requested this.
  if (!dryRun)
    await target.emit()("deidentification.requested", { dataset: planned.dataset, reason: "a rollback" });
  if (command.json) return json({ ...(dryRun && { dryRun }), ...planned });
  if (isInPlace) {
    const further = live?.before?.runId;
    const back = further === undefined ? "" : ` To go back further: npm run runs -- rollback ${further}`;
    return `Already live: ${publicationText(planned.csv.back)}. No action needed.${back}\n`;
  }
  if (dryRun) return `${proposal}Would restore ${what}.\n`;
  const follows =
    target.isStage || command.wait
      ? ""
      : ` To update Athena's tables here: npm run runs -- rollback ${runId} --yes --wait\n${await target.refresh()}`;
  return `Restored ${what}.${follows.trimEnd()}\n`;
}

/** A live run has nothing to restore, and --yes does not choose another run. */
function runIsLive(runId: string, before: Publication | undefined): PipelineError {
  return new PipelineError("RunIsLive", {
    message: "The files of this run are live.",
    advice: before
      ? `To restore the files before them, of ${publicationText(before)}: npm run runs -- rollback ${before.runId}`
      : "No earlier run's file is kept: check that the data bucket keeps versions (docs/deploy.md).",
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
