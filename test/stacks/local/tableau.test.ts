// Tests Tableau with the services of `npm start`, from a request to the refresh. They run in this process, because the
// dataset must name a data source and a workbook.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { findDataset } from "../../../shared/datasets.ts";
import { libInsightClient } from "../../../shared/libinsight/client.ts";
import { openLocal } from "../../../shared/local/open-local.ts";
import { runIdOf } from "../../../shared/run.ts";
import { UsageError } from "../../../stacks/cli.ts";
import { startLibInsight } from "../../../stacks/local/libinsight.ts";
import { localSettings } from "../../../stacks/local/local-settings.ts";
import { drain, RunWatch } from "../../../stacks/local/watch.ts";
import { startWorkers } from "../../../stacks/local/workers.ts";
import { type FakeTableau, job, startTableau, tokenSecret } from "../../support/tableau-server.ts";

const dataset = findDataset("reference-transactions");
const requestId = "tableau";
const runId = runIdOf(dataset.name, requestId);

/** Starts a Tableau with a data source and a workbook that the dataset names. */
async function start(): Promise<FakeTableau> {
  const tableau = await startTableau();
  tableau.add("datasources", "Desk");
  tableau.add("workbooks", "Weekly");
  dataset.tableau = { dataSources: [{ name: "Desk" }], workbooks: [{ name: "Weekly" }] };
  onTestFinished(() => {
    dataset.tableau = undefined;
  });
  return tableau;
}

/** Collects as `npm start` does. @returns the outcome of the refresh, and the number of dead letters of the tableau queue */
async function run(tableau?: FakeTableau, { failedBefore = false } = {}) {
  const settings = localSettings({
    TABLEAU_PAUSE_MS: "100",
    ...(tableau && {
      TABLEAU_URL: tableau.url,
      TABLEAU_SITE: tableau.site,
      TABLEAU_TOKEN_NAME: tableau.tokenName,
      TABLEAU_TOKEN_SECRET: tokenSecret,
    }),
  });
  const folder = await mkdtemp(join(tmpdir(), "libinsight-tableau-"));
  const watch = new RunWatch(runId, dataset);
  const local = await openLocal(folder, { inMemory: true, onEvent: (event) => watch.onEvent(event) });
  await using server = await startLibInsight({ records: 30 });
  const deadLetters = local.deadLetters.tableau;
  if (failedBefore) {
    await deadLetters.send(JSON.stringify({ runId }), { group: "tableau", deduplicationId: "before" });
    watch.onDeadLetter("tableau");
  }
  const libInsight = libInsightClient(server);
  const workers = startWorkers({ local, settings, libInsight, pseudonymKey: "5e".repeat(32) });
  try {
    const request = {
      dataset: dataset.name,
      to: "2024-12-01",
      reason: "test",
      skipComparison: "test",
      requestId,
    };
    await local.emit("run.requested", request);
    const signal = AbortSignal.timeout(25_000);
    expect(await watch.end(local, signal)).toMatchObject({ state: "published and queried" });
    await drain(local, settings.tableauRefreshTimeoutMs, signal);
    return { end: watch.tableau, deadLetters: await deadLetters.count() };
  } finally {
    await workers.stop();
    await local.close();
    await rm(folder, { recursive: true, force: true });
  }
}

test("a run's results are refreshed in Tableau before npm start ends", async () => {
  const tableau = await start();
  tableau.jobs([...Array(3).fill(job.inProgress), job.succeeded]);
  expect((await run(tableau)).end).toEqual({
    state: "refreshed",
    sentence: 'Tableau refreshed data source "Desk", workbook "Weekly".',
  });
  expect(tableau.refreshed).toEqual(["Desk", "Weekly"]);
  expect(tableau.steps.at(-1)).toBe("signout");
});

test("a run is published and queried even if Tableau fails", async () => {
  const tableau = await start();
  tableau.jobs([job.failed]);
  expect(await run(tableau, { failedBefore: true })).toEqual({
    end: {
      state: "failed",
      sentence: expect.stringMatching(
        /^Tableau was not refreshed\. The data source "Desk" was not refreshed: /,
      ),
    },
    deadLetters: 2,
  });
});

test("a run without Tableau has no refresh outcome", async () => {
  expect(await run()).toEqual({ end: undefined, deadLetters: 0 });
});

const whole = {
  TABLEAU_URL: "https://tableau.example.edu",
  TABLEAU_TOKEN_NAME: "refresh",
  TABLEAU_TOKEN_SECRET: "MARKED",
};

test.each([
  [{ ...whole, TABLEAU_TOKEN_SECRET: "" }, "also set TABLEAU_TOKEN_SECRET"],
  [{ TABLEAU_TOKEN_SECRET: "MARKED" }, "also set TABLEAU_URL and TABLEAU_TOKEN_NAME"],
  [{ ...whole, TABLEAU_TOKEN_NAME: "" }, "TABLEAU_TOKEN_NAME"],
  [{ ...whole, TABLEAU_URL: "http://tableau.example.edu" }, "TABLEAU_URL"],
  [{ AUDIENCE: "staff" }, "AUDIENCE"],
  [
    { RETRY_BASE_SECONDS: "soon", INSTANCES: "some" },
    "Invalid settings: RETRY_BASE_SECONDS (Invalid input: expected number, received NaN), INSTANCES",
  ],
])("an error names invalid settings: %j", (env, message) => {
  const read = () => localSettings(env);
  expect(read).toThrow(UsageError);
  expect(read).toThrow(message);
  expect(read).not.toThrow("MARKED");
});

test("the token is read with all settings of Tableau, and missing without them", () => {
  expect(localSettings({})).toMatchObject({ tableau: undefined, tableauTokenSecret: undefined });
  expect(localSettings(whole)).toMatchObject({
    tableau: { url: whole.TABLEAU_URL },
    tableauTokenSecret: "MARKED",
  });
});
