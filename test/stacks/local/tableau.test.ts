// Tableau on one machine: the services as `npm start` runs them, from a request to the refresh. In this process, because
// the dataset has to name something in Tableau.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { eventBridge, s3, sqs } from "../../../shared/aws/clients.ts";
import { Queue } from "../../../shared/aws/queue.ts";
import { findDataset } from "../../../shared/datasets.ts";
import { runIdOf } from "../../../shared/run.ts";
import { UsageError } from "../../../stacks/local/args.ts";
import { startLibInsight } from "../../../stacks/local/libinsight.ts";
import { type Machine, startMachine } from "../../../stacks/local/machine.ts";
import { tableauTokenSecretOf } from "../../../stacks/local/tableau.ts";
import { drain, type TableauEnd, type Watch, watchRun } from "../../../stacks/local/watch.ts";
import { type FakeTableau, job, startTableau, tokenSecret } from "../../support/tableau.ts";

const dataset = findDataset("reference-transactions");

let machine: Machine;
const closing: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  delete process.env.AWS_ENDPOINT_URL;
  process.env.POWERTOOLS_LOG_LEVEL = "SILENT";
  const dataDir = await mkdtemp(join(tmpdir(), "libinsight-tableau-"));
  closing.push(() => rm(dataDir, { recursive: true, force: true }));
  const libInsight = await startLibInsight({ records: 30 });
  closing.push(libInsight.close);
  machine = await startMachine({ dataDir, libInsight, tableauTokenSecret: tokenSecret });
  closing.push(machine.stop);
});
afterAll(async () => {
  for (const close of closing.reverse()) await close();
  for (const client of [sqs(), s3(), eventBridge()]) client.destroy();
});

/** A Tableau that the environment names, with a data source and a workbook that the dataset names. */
async function start(): Promise<FakeTableau> {
  const tableau = await startTableau();
  tableau.add("datasources", "Desk");
  tableau.add("workbooks", "Weekly");
  dataset.tableau = { dataSources: [{ name: "Desk" }], workbooks: [{ name: "Weekly" }] };
  vi.stubEnv("TABLEAU_URL", tableau.url);
  vi.stubEnv("TABLEAU_SITE", tableau.site);
  vi.stubEnv("TABLEAU_TOKEN_NAME", tableau.tokenName);
  vi.stubEnv("TABLEAU_PAUSE_MS", "100");
  onTestFinished(() => {
    vi.unstubAllEnvs();
    dataset.tableau = undefined;
  });
  return tableau;
}

/** Asks for a run and watches it as `npm start` does. @param before it is asked for */
async function run(requestId: string, before: (runId: string) => Promise<void> = async () => {}) {
  const runId = runIdOf(dataset.name, requestId);
  await before(runId);
  let told: TableauEnd | undefined;
  const watch: Watch = {
    sqs: sqs(),
    wired: machine.wired,
    runId,
    requestId,
    startedAt: Date.now(),
    lastProgress: Date.now,
    onStarted: () => {},
    onPublished: () => {},
    onTableau: (end) => {
      told = end;
    },
    signal: AbortSignal.timeout(25_000),
  };
  const request = { dataset: dataset.name, to: "2024-12-01", reason: "test", force: "test" };
  await machine.request({ ...request, requestId });
  expect(await watchRun(watch)).toMatchObject({ state: "published and queried" });
  await drain(watch);
  return told;
}

test("a run's results are refreshed in Tableau before the machine stops, and its end is told", async () => {
  const tableau = await start();
  tableau.jobs([...Array(3).fill(job.underWay), job.succeeded]);
  expect(await run("refreshed")).toEqual({
    state: "refreshed",
    sentence: 'Tableau refreshed data source "Desk", workbook "Weekly".',
  });
  expect(tableau.refreshed).toEqual(["Desk", "Weekly"]);
  expect(tableau.steps.at(-1)).toBe("signout");
});

test("a run is published and queried, whatever becomes of Tableau", async () => {
  const tableau = await start();
  tableau.jobs([job.failed]);
  const deadLetters = new Queue(sqs(), machine.wired.queues.tableau.deadLetters.url);
  // As if Tableau had failed before anybody looked.
  const before = (runId: string) =>
    deadLetters.send(JSON.stringify({ runId }), { groupId: "tableau", deduplicationId: "early" });
  expect(await run("failed", before)).toEqual({
    state: "failed",
    sentence: expect.stringMatching(
      /^Tableau was not refreshed\. The data source "Desk" was not refreshed: /,
    ),
  });
  expect(await deadLetters.count()).toBe(2);
});

test("without Tableau a run ends as ever, and nothing is told", async () => {
  expect(await run("without")).toBeUndefined();
});

const whole = {
  TABLEAU_URL: "https://tableau.example.edu",
  TABLEAU_TOKEN_NAME: "refresh",
  TABLEAU_TOKEN_SECRET: "MARKED",
};

test.each([
  [{ ...whole, TABLEAU_TOKEN_SECRET: "" }, "set TABLEAU_TOKEN_SECRET too"],
  [{ TABLEAU_TOKEN_SECRET: "MARKED" }, "set TABLEAU_URL and TABLEAU_TOKEN_NAME too"],
  [{ ...whole, TABLEAU_TOKEN_NAME: "" }, "TABLEAU_TOKEN_NAME must be set too"],
  [{ ...whole, TABLEAU_URL: "http://tableau.example.edu" }, "TABLEAU_URL can't be used"],
])("half an environment says what is missing: %j", (env, told) => {
  const slip = () => tableauTokenSecretOf(env);
  expect(slip).toThrow(UsageError);
  expect(slip).toThrow(told);
  expect(slip).not.toThrow("MARKED");
});

test("an environment without Tableau has no secret, a whole one has its own", () => {
  expect(tableauTokenSecretOf({})).toBeUndefined();
  expect(tableauTokenSecretOf(whole)).toBe("MARKED");
});
