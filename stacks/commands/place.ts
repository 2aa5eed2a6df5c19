// Where a command works: on the stage that `sst shell` tells of, else on what `npm start` keeps in .local/.
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { readNeeds } from "../../services/ec2/memory.ts";
import { isUnderWay } from "../../services/ec2/needs.ts";
import { mailboxes } from "../../services/replay/mailboxes.ts";
import { eventBridge, s3, sns, sqs } from "../../shared/aws/clients.ts";
import { Store } from "../../shared/aws/store.ts";
import { config, isOnStage } from "../../shared/config.ts";
import { PipelineError } from "../../shared/errors.ts";
import { parseCommand } from "../local/args.ts";
import { startEndpoints } from "../local/endpoints.ts";
import { startMachine } from "../local/machine.ts";
import { sourceOf } from "../local/source.ts";
import { tableauTokenSecretOf } from "../local/tableau.ts";
import { environment, wire } from "../local/wiring.ts";

const dataDir = ".local";
const pollMs = 500;
/** A query that Athena works on is in no queue; the local one takes a second at most. */
const quietPolls = 6;
const longestMs = 30 * 60_000;

export type Place = {
  /** Whether services work there by themselves. On this machine they do while `npm start` runs. */
  isStage: boolean;
  /** Where `finish` was asked for: waits until the services have emptied every queue. @returns a line that says so */
  finish(): Promise<string>;
  close(): Promise<void>;
};

/**
 * @param finish on this machine: let the services work, on the LibInsight that `npm start` would collect from
 * @throws PipelineError `NoPlace` where there is neither a stage nor anything in .local/
 */
export async function openPlace(finish: boolean): Promise<Place> {
  const onStage = { isStage: true, finish: async () => "", close: async () => {} };
  if (isOnStage()) return onStage;
  if (!existsSync(dataDir)) {
    throw new PipelineError("NoPlace", {
      message:
        "There is nothing to look at: no stage is named, and npm start has left nothing in .local here.",
      advice: `For a stage: npx sst shell --stage STAGE -- npm run ${process.env.npm_lifecycle_event ?? "replay"} -- ...`,
    });
  }
  const closing: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  const here = { isStage: false, close };
  try {
    if (finish) {
      process.env.POWERTOOLS_LOG_LEVEL ||= "SILENT";
      const libInsight = await sourceOf(parseNothing(), process.env).open();
      closing.push(libInsight.close);
      const tableauTokenSecret = tableauTokenSecretOf(process.env);
      const machine = await startMachine({ dataDir, libInsight, tableauTokenSecret });
      closing.push(machine.stop);
      return { ...here, finish: untilEmpty };
    }
    const defaultBus = await startEndpoints(dataDir, (end) => closing.push(end));
    const wired = await wire({ sqs: sqs(), s3: s3(), sns: sns(), events: eventBridge(), defaultBus });
    Object.assign(process.env, environment(wired));
    return { ...here, finish: async () => "" };
  } catch (error) {
    await close();
    throw error;
  }
}

/** `npm start` without flags. */
function parseNothing() {
  const command = parseCommand([], new Date());
  if (command === "help") throw new Error("No flag asks for help.");
  return command;
}

async function untilEmpty(): Promise<string> {
  const boxes = mailboxes();
  const ends = Date.now() + longestMs;
  for (let quiet = 0; quiet < quietPolls; ) {
    if (Date.now() > ends) {
      throw new PipelineError("NotFinished", {
        message: "The services still had work after half an hour.",
        advice: "See npm run runs -- list, and go on with npm start.",
      });
    }
    await delay(pollMs);
    const waiting = (await total(boxes.map(({ source }) => source))) + (await instancesOnTheirWay());
    quiet = waiting === 0 ? quiet + 1 : 0;
  }
  const left = await total(boxes.map(({ deadLetters }) => deadLetters));
  return `Every queue is empty; ${left === 0 ? "no dead letters are left" : `dead letters left: ${left}`}.\n`;
}

async function total(queues: readonly { count(): Promise<number> }[]): Promise<number> {
  return (await Promise.all(queues.map((queue) => queue.count()))).reduce((sum, count) => sum + count, 0);
}

/** EC2 takes its time, and meanwhile no message is there: those that look at an instance are delayed. */
async function instancesOnTheirWay(): Promise<number> {
  const { instances } = await readNeeds(new Store(s3(), config.workBucket()));
  return Object.values(instances).filter(isUnderWay).length;
}
