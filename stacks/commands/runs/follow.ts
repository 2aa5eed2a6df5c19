// Waits until a run has ended, for a person at a terminal or a job that must know the outcome.
import { PipelineError } from "../../../shared/errors.ts";
import type { Clock } from "../../../shared/ports.ts";
import type { RunAccount } from "./run-account.ts";

/** A stage is asked this often; each time lists the run's objects once. */
const pollMs = 10_000;

export type FollowDeps = {
  /** Returns the run's account. @throws PipelineError `RunUnknown` until kickoff has recorded the run */
  read: () => Promise<RunAccount>;
  clock: Clock;
  /** Called when the state or the number of transformed pages has changed. */
  onProgress: (account: RunAccount) => void;
};

/**
 * Returns the account of a run that has ended, is blocked or is stalled.
 * @throws PipelineError `RunUnknown` if the run is not recorded in time, `RunNotEnded`
 */
export async function followRun(
  runId: string,
  timeoutSeconds: number,
  { read, clock, onProgress }: FollowDeps,
): Promise<RunAccount> {
  const ends = clock.now() + timeoutSeconds * 1_000;
  let shown = "";
  for (;;) {
    const isLast = clock.now() + pollMs > ends;
    const account = await read().catch((error: unknown) => {
      const isUnknown = error instanceof PipelineError && error.name === "RunUnknown";
      if (isUnknown && !isLast) return undefined;
      throw error;
    });
    if (account) {
      const progress = `${account.state} ${account.windows.reduce((sum, { pages }) => sum + pages, 0)}`;
      if (progress !== shown) onProgress(account);
      shown = progress;
      if (account.result || account.state === "blocked" || account.state === "stalled") return account;
    }
    if (isLast) {
      throw new PipelineError("RunNotEnded", {
        message: `The run has not ended after ${timeoutSeconds} seconds.`,
        advice: `It continues. To follow it again: npm run runs -- follow ${runId}`,
        ids: { run: runId },
      });
    }
    await clock.sleep(pollMs);
  }
}
