// Where a command works: on the stage that `sst shell` tells of, else on what `npm start` keeps in .local/.
import { existsSync } from "node:fs";
import { eventBridge, s3, sqs } from "../../shared/aws/clients.ts";
import { isOnStage } from "../../shared/config.ts";
import { PipelineError } from "../../shared/errors.ts";
import { startEndpoints } from "../local/endpoints.ts";
import { environment, wire } from "../local/wiring.ts";

const dataDir = ".local";

export type Place = {
  /** Whether services work there by themselves. On this machine they do while `npm start` runs. */
  isStage: boolean;
  close(): Promise<void>;
};

/** @throws PipelineError `NoPlace` where there is neither a stage nor anything in .local/ */
export async function openPlace(): Promise<Place> {
  if (isOnStage()) return { isStage: true, close: async () => {} };
  if (!existsSync(dataDir)) {
    throw new PipelineError("NoPlace", {
      message:
        "There is nothing to look at: no stage is named, and npm start has left nothing in .local here.",
      advice: `For a stage: npx sst shell --stage STAGE -- npm run ${process.env.npm_lifecycle_event ?? "replay"} -- list`,
    });
  }
  const closing: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  try {
    const defaultBus = await startEndpoints(dataDir, (end) => closing.push(end));
    Object.assign(
      process.env,
      environment(await wire({ sqs: sqs(), s3: s3(), events: eventBridge(), defaultBus })),
    );
    return { isStage: false, close };
  } catch (error) {
    await close();
    throw error;
  }
}
