// How long the service follows Tableau's jobs, with a simulated clock.
import { expect, onTestFinished, test } from "vitest";
import { refresh } from "../../../services/tableau/refresh.ts";
import { signIn } from "../../../services/tableau/tableau-client.ts";
import { datasets, findDataset } from "../../../shared/datasets.ts";
import { capturedEvents } from "../../support/local-adapters.ts";
import { stoppedClock } from "../../support/stopped-clock.ts";
import { type Fault, job, startTableau, tokenSecret } from "../../support/tableau-server.ts";

const dataset = findDataset("reference-transactions");
const published = { runId: "reference-transactions-0123456789ab", dataset: dataset.name };
const minute = 60_000;

/** Starts a Tableau with the dataset's two data sources, and prepares a refresh with this timeout. */
async function start(refreshTimeoutMs: number, timeoutMs = 5_000) {
  const tableau = await startTableau();
  for (const name of ["Desk", "Gates"]) tableau.add("datasources", name);
  dataset.tableau = { dataSources: [{ name: "Desk" }, { name: "Gates" }], workbooks: [] };
  onTestFinished(() => {
    dataset.tableau = undefined;
  });
  const clock = stoppedClock();
  const { url, site, tokenName } = tableau;
  const time = { pauseMs: 2_000, deadline: clock.now() + refreshTimeoutMs, clock };
  const options = { url, site, tokenName, tokenSecret, apiVersion: "3.21", timeoutMs, ...time };
  const { events, emit } = capturedEvents();
  const run = () =>
    refresh(published, { ...time, emit, datasets, audience: "full", signIn: () => signIn(options) });
  return { tableau, clock, events, run };
}

test("all jobs are checked until they end, with pauses that double up to 30 seconds", async () => {
  const { tableau, clock, events, run } = await start(10 * minute);
  tableau.jobs([...Array(7).fill(job.inProgress), job.succeeded], [job.inProgress, job.succeeded]);
  expect(await run()).toMatchObject({ refreshed: 2 });
  expect(clock.slept.map((ms) => ms / 1_000)).toEqual([2, 4, 8, 16, 30, 30, 30, 30]);
  expect(tableau.steps.filter((step) => step === "job")).toHaveLength(8 + 2);
  expect(events).toMatchObject([{ type: "tableau.refreshed" }]);
});

test("a job that does not end within the timeout fails, and the other one is refreshed", async () => {
  const { tableau, clock, events, run } = await start(10 * minute);
  tableau.jobs([job.inProgress], [job.inProgress, job.succeeded]);
  await expect(run()).rejects.toMatchObject({
    name: "TableauJobTooSlow",
    kind: "terminal",
    sentence: expect.stringMatching(
      /"Desk" was not refreshed: .* did not end in time\..*"Gates" was refreshed\./,
    ),
  });
  const waited = clock.slept.reduce((sum, ms) => sum + ms, 0);
  expect(waited).toBeLessThan(10 * minute);
  expect(waited).toBeGreaterThan(9 * minute);
  expect(tableau.sessions.size).toBe(0);
  expect(events).toEqual([]);
});

test.each<[string, Fault["kind"]]>([
  ["hangs", "hang"],
  ["fails", { status: 500 }],
])("a job has not ended if Tableau %s at the deadline", async (_, kind) => {
  // One pause of 2 s, then three attempts with pauses of 2 s and 4 s, leave one second.
  const { tableau, clock, run } = await start(9_000, 500);
  tableau.jobs([job.inProgress], [job.succeeded]);
  tableau.fail(...Array<Fault>(3).fill({ at: "job", kind }));
  await expect(run()).rejects.toMatchObject({ name: "TableauJobTooSlow", kind: "terminal" });
  expect(clock.slept).toEqual([2_000, 2_000, 4_000]);
});

test("a job that is found failed at the deadline has failed", async () => {
  const { tableau, run } = await start(3_000);
  tableau.jobs([job.failed], [job.succeeded]);
  await expect(run()).rejects.toMatchObject({ name: "TableauJobFailed", kind: "terminal" });
});
