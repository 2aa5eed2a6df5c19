// Following a run to its end, with a clock that moves only when the command waits.
import { expect, test } from "vitest";
import { PipelineError } from "../../../shared/errors.ts";
import { followRun } from "../../../stacks/commands/runs/follow.ts";
import type { RunAccount } from "../../../stacks/commands/runs/run-account.ts";
import { runOf } from "../../factories/requests.ts";
import { resultOf } from "../../factories/results.ts";

const run = runOf("follow");

function accountIn(state: RunAccount["state"], pages = 0): RunAccount {
  const ended = state === "published" || state === "held" || state === "failed" || state === "superseded";
  return {
    run,
    state,
    stage: ended ? "ended" : "fetching",
    attempt: 1,
    movedAt: "2024-03-15T12:00:00.000Z",
    windows: run.windows.map((window) => ({ ...window, attempt: 1, pages, missing: [] })),
    deadLetters: [],
    next: "",
    ...(ended && { result: { ...resultOf(), state } }),
  };
}

/** Follows a run whose account is read in these states, one after another: undefined if it is not recorded yet. */
async function follow(states: readonly (RunAccount | PipelineError | undefined)[], timeoutSeconds = 60) {
  let now = 0;
  let reads = 0;
  const progress: string[] = [];
  const account = await followRun(run.runId, timeoutSeconds, {
    read: async () => {
      const state = states[Math.min(reads, states.length - 1)];
      reads += 1;
      if (state instanceof PipelineError) throw state;
      if (state) return state;
      throw new PipelineError("RunUnknown", { message: "Unknown.", advice: "List." });
    },
    clock: {
      now: () => now,
      sleep: async (ms) => {
        now += ms;
      },
    },
    onProgress: ({ state, windows }) => progress.push(`${state} ${windows[0]?.pages}`),
  });
  return { account, progress, seconds: now / 1_000 };
}

test.each(["published", "held", "failed", "superseded", "blocked", "stalled"] as const)(
  "waits until the run is %s",
  async (state) => {
    const { account, seconds } = await follow([
      accountIn("fetching"),
      accountIn("fetching"),
      accountIn(state),
    ]);
    expect(account.state).toBe(state);
    expect(seconds).toBe(20);
  },
);

test("waits for a run that kickoff has not recorded yet", async () => {
  const { account } = await follow([undefined, undefined, accountIn("published")]);
  expect(account.state).toBe("published");
});

test("reports each change of the state and of the number of pages once", async () => {
  const states = [
    accountIn("fetching"),
    accountIn("fetching", 3),
    accountIn("fetching", 3),
    accountIn("published", 4),
  ];
  expect((await follow(states)).progress).toEqual(["fetching 0", "fetching 3", "published 4"]);
});

test("fails when the time is over, with the command that continues", async () => {
  await expect(follow([accountIn("fetching")], 35)).rejects.toMatchObject({
    name: "RunNotEnded",
    sentence: expect.stringContaining(`npm run runs -- follow ${run.runId}`),
  });
});

test("fails if the run is still unknown when the time is over", async () => {
  await expect(follow([undefined], 35)).rejects.toMatchObject({ name: "RunUnknown" });
});

test("fails at once if the run cannot be read", async () => {
  const error = new PipelineError("AccessDenied", { message: "Denied.", advice: "Check." });
  await expect(follow([error, accountIn("published")])).rejects.toBe(error);
});
