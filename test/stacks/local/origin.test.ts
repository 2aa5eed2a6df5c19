// Tests the source of data: `.env`, the environment, and the promise that simulated data never replace real data.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { keys } from "../../../shared/keys.ts";
import { openLocal } from "../../../shared/local/open-local.ts";
import { messageBody } from "../../../shared/ports.ts";
import { UsageError } from "../../../stacks/cli.ts";
import { sourceOf } from "../../../stacks/local/collected-source.ts";
import { readEnvFile } from "../../../stacks/local/env-file.ts";
import { startLibInsight } from "../../../stacks/local/libinsight.ts";
import { localSettings } from "../../../stacks/local/local-settings.ts";
import { type Origin, origin } from "../../../stacks/local/origin.ts";
import { parseCommand } from "../../../stacks/local/start-args.ts";
import { startWorkers } from "../../../stacks/local/workers.ts";
import { recordsOf } from "../../factories/libinsight-records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { clientOf } from "../../support/libinsight-client.ts";
import { take } from "../../support/local-adapters.ts";
import {
  command,
  digestsIn,
  libInsightEnv,
  range,
  runReport,
  small,
  start,
  temporaryFolder,
} from "../../support/npm-start.ts";
import { useFolder } from "../../support/temporary-folder.ts";
import { putRun } from "../../support/work-bucket.ts";

const root = useFolder();

const text = (env: Record<string, string>) =>
  Object.entries(env)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");

test("npm start and --wait read .env, and print the names of the variables without their values", async () => {
  await using folder = await temporaryFolder();
  await using server = await startLibInsight({ records: 300 });
  await writeFile(join(folder.path, ".env"), `# SST's\n${text(libInsightEnv(server))}`);
  const { code, stdout, stderr } = await start(folder.path, small).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const host = new URL(server.baseUrl).host;
  const names = "LIBINSIGHT_BASE_URL, LIBINSIGHT_CLIENT_ID, LIBINSIGHT_CLIENT_SECRET";
  expect(stdout.split("\n").slice(0, 4)).toEqual([
    "Collecting reference-transactions, 2023-09-01 to 2023-09-30",
    `Source: ${host}`,
    `Settings from .env: ${names}`,
    "",
  ]);
  expect(stdout).not.toContain(server.clientSecret);
  expect(server.requests.length).toBeGreaterThan(1);

  const before = server.requests.length;
  const request = ["request", "--from", "2023-09-01", "--to", "2023-09-30", "--wait"];
  const finished = await command("runs", folder.path, request).ended;
  expect(finished).toMatchObject({ code: 0, stderr: `Settings from .env: ${names}\n` });
  expect(server.requests.length).toBeGreaterThan(before);
});

const ownLibInsight = {
  LIBINSIGHT_BASE_URL: "https://vt.libinsight.com/v1.0",
  LIBINSIGHT_CLIENT_ID: "1",
  LIBINSIGHT_CLIENT_SECRET: "MARKED",
};

/** Returns the source of a plain `npm start` with these variables in .env and in the environment. */
async function sourceWith(inFile: Record<string, string>, env: Record<string, string> = {}) {
  const file = join(root, "env");
  await writeFile(file, text(inFile));
  const command = parseCommand([], new Date());
  if (command === "help") throw new Error("A plain npm start does not print the help.");
  const merged: NodeJS.ProcessEnv = { ...env };
  const fromFile = readEnvFile(merged, file);
  return { fromFile, title: sourceOf(command, merged, fromFile).title };
}

test("a variable of the environment, even an empty one, takes precedence over .env", async () => {
  expect(await sourceWith(ownLibInsight, { LIBINSIGHT_BASE_URL: "https://ub.libinsight.com/v1.0" })).toEqual({
    fromFile: ["LIBINSIGHT_CLIENT_ID", "LIBINSIGHT_CLIENT_SECRET"],
    title: "ub.libinsight.com",
  });
  const none = { LIBINSIGHT_BASE_URL: "", LIBINSIGHT_CLIENT_ID: "", LIBINSIGHT_CLIENT_SECRET: "" };
  expect(await sourceWith(ownLibInsight, none)).toEqual({ fromFile: [], title: "the simulated LibInsight" });
});

test.each([
  [
    "a base URL without credentials",
    { LIBINSIGHT_BASE_URL: "https://vt.libinsight.com/v1.0" },
    "LIBINSIGHT_CLIENT_ID and LIBINSIGHT_CLIENT_SECRET",
  ],
  [
    "credentials without a base URL",
    { LIBINSIGHT_CLIENT_ID: "1", LIBINSIGHT_CLIENT_SECRET: "MARKED" },
    "LIBINSIGHT_BASE_URL",
  ],
])("%s in .env is a usage error without values", async (_, inFile, missing) => {
  await expect(sourceWith(inFile)).rejects.toThrow(
    new UsageError(
      `To collect from your own LibInsight, also set ${missing}. To use the simulation, unset all three; ${Object.keys(inFile).join(" and ")} is set in .env.`,
    ),
  );
});

test("a simulated start over real data exits 2 and keeps the files, and a real start over simulated data says so", async () => {
  await using folder = await temporaryFolder();
  await using server = await startLibInsight({ records: 300 });
  const env = libInsightEnv(server);
  const first = await start(folder.path, ["--json", ...small]).ended;
  const simulatedRun = runReport.parse(JSON.parse(first.stdout));
  const real = await start(folder.path, small, env).ended;
  expect(real).toMatchObject({ code: 0, stderr: "" });
  expect(real.stdout).toContain(
    "\nThe published data of reference-transactions are simulated; this run replaces them.\n",
  );
  const files = await digestsIn(folder.path);
  const rollback = ["rollback", simulatedRun.runId, "--yes"];
  expect(await command("runs", folder.path, rollback).ended).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(/^The last data of .*, and simulated data must not replace them\. /),
  });
  const simulated = await start(folder.path, small).ended;
  expect(simulated).toMatchObject({ code: 2, stdout: "" });
  expect(simulated.stderr).toMatch(
    /^The last data of reference-transactions in \.local came from 127\.0\.0\.1:\d+, and simulated data must not replace them\. .* To simulate, move \.local away\.\n/,
  );
  expect(await digestsIn(folder.path)).toEqual(files);
});

test("an interrupted simulated run is finished with the same simulation, and not with a real LibInsight", async () => {
  await using folder = await temporaryFolder();
  await using server = await startLibInsight({ records: 300 });
  const env = libInsightEnv(server);
  const first = start(folder.path, ["--records", "400", "--latency", "60000", ...range]);
  const fetching = Promise.withResolvers<void>();
  first.process.stdout?.on("data", (shown) => /^fetched/m.test(String(shown)) && fetching.resolve());
  await fetching.promise;
  first.process.kill("SIGKILL");
  await first.ended;

  const refused = await command("runs", folder.path, ["list", "--wait"], env).ended;
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(
    /^The unfinished run \S+ collects from a simulated LibInsight with 400 records until 2024-12-01, not from 127\.0\.0\.1:\d+\. Unset LIBINSIGHT_BASE_URL and repeat the command\.\n/,
  );
  expect(server.requests).toEqual([]);

  const finished = await command("runs", folder.path, ["list", "--wait"]).ended;
  expect(finished).toMatchObject({ code: 0, stderr: "" });
  const list = await command("runs", folder.path, ["list", "--json"]).ended;
  expect(JSON.parse(list.stdout).runs).toMatchObject([{ state: "published", result: { records: 400 } }]);
});

const simulation: Origin = { records: 100, lastDay: "2024-12-01", renames: [] };
const real: Origin = { host: "vt.libinsight.com" };

test("a simulation in a folder of an earlier version ended in 2024", () => {
  expect(origin.parse({ records: 100, renames: [] })).toEqual(simulation);
});

const run = runOf("origin");

/** Starts the workers on a LibInsight with one page. @returns how many requests it got */
async function working(folder: string, origin: Origin) {
  const local = await openLocal(join(root, folder));
  let requests = 0;
  const fetchPage = async () => {
    requests += 1;
    return { totals: { totalPages: 1, totalRecords: 5 }, records: recordsOf(1, 5) };
  };
  const settings = localSettings({ RETRY_BASE_SECONDS: "0" });
  const workers = startWorkers({ local, settings, libInsight: clientOf(fetchPage), origin });
  let isOpen = true;
  const close = async () => {
    if (!isOpen) return;
    isOpen = false;
    await workers.stop();
    await local.close();
  };
  onTestFinished(close);
  return { local, requests: () => requests, close };
}

const until = (condition: () => Promise<boolean>) =>
  vi.waitUntil(condition, { timeout: 10_000, interval: 10 });

test("a task of a run with another source becomes a dead letter without a request to LibInsight", async () => {
  const first = await working("elsewhere", simulation);
  await putRun(run, first.local.work);
  await first.local.queues.fetcher.send(messageBody(taskOf(run)));
  await until(async () => (await first.local.work.head(keys.result(run.runId))) !== undefined);
  expect(first.requests()).toBeGreaterThan(0);
  await first.close();

  const second = await working("elsewhere", real);
  await second.local.queues.fetcher.send(messageBody(taskOf(run)));
  await until(async () => (await second.local.deadLetters.fetcher.count()) === 1);
  expect(second.requests()).toBe(0);
  expect(await take(second.local.deadLetters.fetcher)).toMatchObject([
    { attributes: { Error: "RunOfAnotherOrigin" } },
  ]);
});

test("a simulated run is neither fetched nor assembled after real data were collected", async () => {
  const simulated = runOf("simulated");
  const first = await working("real", simulation);
  await putRun(simulated, first.local.work);
  await first.local.queues.fetcher.send(messageBody(taskOf(simulated)));
  await until(async () => (await first.local.work.head(keys.result(simulated.runId))) !== undefined);
  await first.close();
  const second = await working("real", real);
  await putRun(run, second.local.work);
  await second.local.queues.fetcher.send(messageBody(taskOf(run)));
  await until(async () => (await second.local.work.head(keys.result(run.runId))) !== undefined);
  await second.close();

  const third = await working("real", simulation);
  const task = { runId: simulated.runId, dataset: simulated.dataset, attempt: 1 };
  await third.local.queues.assembler.send(messageBody({ ...task, force: "it is fine" }), {
    group: simulated.dataset,
    deduplicationId: "forced",
  });
  const fresh = runOf("fresh");
  await putRun(fresh, third.local.work);
  await third.local.queues.fetcher.send(messageBody(taskOf(fresh)));
  const { fetcher, assembler } = third.local.deadLetters;
  await until(async () => (await fetcher.count()) + (await assembler.count()) === 2);
  for (const queue of [fetcher, assembler])
    expect(await take(queue)).toMatchObject([{ attributes: { Error: "SimulatedOverReal" } }]);
  expect(third.requests()).toBe(0);
});
