// Tests the start after one that did not finish: it continues that run, or removes it and says why.
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import { defaultDataset } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import { type Local, openLocal } from "../../../shared/local/open-local.ts";
import { messageBody } from "../../../shared/ports.ts";
import { runIdOf } from "../../../shared/run.ts";

import { UsageError } from "../../../stacks/cli.ts";
import { startLibInsight } from "../../../stacks/local/libinsight.ts";
import type { Origin } from "../../../stacks/local/origin.ts";
import { planStart, reasonToRemove, type StartedRun } from "../../../stacks/local/unfinished-run.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { firstResultOf } from "../../factories/results.ts";
import { takeTasks } from "../../support/local-adapters.ts";
import {
  command,
  libInsightEnv,
  pinned,
  pinnedRecords,
  publishedIn,
  range,
  small,
  start,
  startBrokenLibInsight,
  temporaryFolder,
} from "../../support/npm-start.ts";
import { useFolder } from "../../support/temporary-folder.ts";
import { putRun } from "../../support/work-bucket.ts";

const pages = 50;
/** For the three periods, and for pieces that did not fit one page. */
const splitRequests = 5;
const periods = 3;

/** Starts a LibInsight that lists its page requests, and resolves `reached` at the tenth. */
async function countingLibInsight() {
  const reached = Promise.withResolvers<void>();
  const requested: string[] = [];
  const server = await startLibInsight({
    records: pinnedRecords,
    latencyMs: 20,
    onRequest: ({ query }) => {
      if (query.page === undefined) return;
      requested.push(`${query.from} ${query.page}`);
      if (requested.length === 10) reached.resolve();
    },
  });
  onTestFinished(() => server.close());
  return { server, requested, reached: reached.promise };
}

test.each(["SIGINT", "SIGKILL"] as const)(
  "after %s the same start continues the run, fetches only missing pages, and publishes the same bytes",
  async (signal) => {
    await using folder = await temporaryFolder();
    const { server, requested, reached } = await countingLibInsight();
    const env = libInsightEnv(server);
    const first = start(folder.path, range, env);
    await reached;
    first.process.kill(signal);
    const ended = await first.ended;
    if (signal === "SIGINT")
      expect(ended).toMatchObject({ code: 130, stderr: "Stopped. The same npm start continues the run.\n" });
    const before = requested.length;

    const { code, stdout, stderr } = await start(folder.path, range, env).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [, runId] =
      /^Collecting .*\nSource: .*\nContinuing the unfinished run (\S+): \d+ of \d+ pages are kept\.\n\n/.exec(
        stdout,
      ) ?? [];
    expect(stdout).toMatch(new RegExp(`^ {2}run +${runId}$`, "m"));
    expect(stdout).toMatch(/^fetched 50 pages$/m);
    expect(await publishedIn(folder.path)).toEqual(pinned);
    // Eight requests were in flight, and each may be repeated once. Each period is recounted at the end.
    expect(before).toBeLessThan(pages);
    expect(requested.length).toBeLessThanOrEqual(pages + splitRequests + 8 + periods);
    const list = await command("runs", folder.path, ["list", "--json"], env).ended;
    expect(JSON.parse(list.stdout).runs).toMatchObject([{ state: "published" }]);
  },
);

test("the next start replays the run's dead letters, and does not continue a run that has ended", async () => {
  await using folder = await temporaryFolder();
  await using server = await startBrokenLibInsight();
  const env = libInsightEnv(server);
  expect(await start(folder.path, ["--quiet", ...range], env).ended).toMatchObject({ code: 1 });
  const second = await start(folder.path, range, env).ended;
  expect(second).toMatchObject({ code: 0, stderr: "" });
  expect(second.stdout).toMatch(
    /^Continuing the unfinished run .* pages are kept\. Replayed 1 dead letter\.$/m,
  );
  expect(await publishedIn(folder.path)).toEqual(pinned);
  const third = await start(folder.path, small, env).ended;
  expect(third).toMatchObject({ code: 0, stderr: "" });
  expect(third.stdout).not.toContain("unfinished");
});

test("a start with other dates removes the unfinished run, its messages and its pages, and says why", async () => {
  await using folder = await temporaryFolder();
  const { server, reached } = await countingLibInsight();
  const env = libInsightEnv(server);
  const first = start(folder.path, range, env);
  await reached;
  first.process.kill("SIGINT");
  await first.ended;
  const { code, stdout } = await start(folder.path, small, env).ended;
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^Removing the unfinished run reference-transactions-\w+: its dates are 2021-12-02 to 2024-12-01\.$/m,
  );
  const list = await command("runs", folder.path, ["list", "--json"]).ended;
  expect(JSON.parse(list.stdout).runs).toMatchObject([{ state: "published", run: { from: "2023-09-01" } }]);
});

function startOf(requestId: string, given: Partial<StartedRun> = {}): StartedRun {
  return {
    runId: runIdOf(defaultDataset.name, requestId),
    requestId,
    requestedAt: "2026-01-05T12:00:00.000Z",
    from: "2024-01-01",
    to: "2024-12-31",
    entry: "fingerprint",
    flags: "{}",
    origin: { host: "vt.libinsight.com" },
    ...given,
  };
}

test.each<[earlier: Partial<StartedRun>, reason: string | undefined]>([
  [{}, undefined],
  [{ requestedAt: "2026-01-04T12:00:00.000Z" }, undefined],
  [{ requestedAt: "2026-01-04T11:59:59.999Z" }, "it is older than a day"],
  [{ from: "2023-01-01" }, "its dates are 2023-01-01 to 2024-12-31"],
  [{ to: "2024-12-30" }, "its dates are 2024-01-01 to 2024-12-30"],
  [{ entry: "another" }, "the dataset's entry has changed since"],
  [{ flags: '{"faults":7}' }, "its flags differ"],
  [{ origin: { host: "ub.libinsight.com" } }, "it collects from ub.libinsight.com"],
  [
    { origin: { records: 400, lastDay: "2025-01-01", renames: [] } },
    "it collects from a simulated LibInsight with 400 records until 2025-01-01",
  ],
])("an unfinished run with %j is removed because: %s", (earlier, reason) => {
  expect(reasonToRemove(startOf("a", earlier), startOf("b"))).toBe(reason);
});

describe("in .local", () => {
  const folder = useFolder();
  async function open(): Promise<Local> {
    const local = await openLocal(join(folder, "local"), { inMemory: true });
    onTestFinished(local.close);
    return local;
  }

  test("a request that no process handled is withdrawn and sent again for the same run", async () => {
    const local = await open();
    const first = await planStart(defaultDataset, startOf("a"), local);
    const request = { dataset: defaultDataset.name, reason: "test", requestId: "a" };
    await local.emit("run.requested", request);
    const second = await planStart(defaultDataset, startOf("b"), local);
    expect(second).toEqual({
      run: first.run,
      replacesSimulated: false,
      replacesOther: true,
      notes: [expect.stringMatching(/^Continuing the unfinished run \S+: no page was fetched\.$/)],
    });
    expect(await local.queues.kickoff.count()).toBe(0);
  });

  test("a published run whose query is running is left alone, and a new run is started", async () => {
    const local = await open();
    const earlier = startOf("a");
    await planStart(defaultDataset, earlier, local);
    const { runId } = earlier;
    const result = firstResultOf({ runId, state: "published" });
    await local.work.put(keys.result(runId), JSON.stringify(result), "application/json");
    const metadata = { "run-id": runId };
    const options = { contentType: "text/csv", metadata, condition: "absent" as const };
    await local.data.upload(defaultDataset.publish.csv, Readable.from([Buffer.from("_id\n")]), options);

    expect(await planStart(defaultDataset, startOf("b"), local)).toMatchObject({ run: earlier });
    const { run: started, notes } = await planStart(defaultDataset, startOf("b", { flags: "x" }), local);
    expect(started.runId).not.toBe(runId);
    expect(notes).toEqual([`The earlier run ${runId} is published. Its query continues beside this run.`]);
    expect(await local.work.head(keys.result(runId))).toBeDefined();
  });

  test("real data replace simulated data with a note, and simulated data never replace real data", async () => {
    const local = await open();
    const { runId } = runOf("origin");
    const setOrigin = async (origin: Origin) => {
      for (const key of [`origins/${defaultDataset.name}.json`, `${keys.folder(runId)}origin.json`])
        await local.work.put(key, JSON.stringify(origin), "application/json");
    };
    const metadata = { "run-id": runId };
    const options = { contentType: "text/csv", metadata, condition: "absent" as const };
    await local.data.upload(defaultDataset.publish.csv, Readable.from([Buffer.from("_id\n")]), options);
    const simulated: Origin = { records: 400, lastDay: "2024-12-01", renames: [] };
    await setOrigin(simulated);
    expect(await planStart(defaultDataset, startOf("a"), local)).toMatchObject({
      replacesSimulated: true,
      replacesOther: true,
      notes: ["The published data of reference-transactions are simulated; this run replaces them."],
    });
    await setOrigin({ host: "vt.libinsight.com" });
    expect(await planStart(defaultDataset, startOf("a"), local)).toMatchObject({
      replacesSimulated: false,
      replacesOther: false,
    });
    await expect(planStart(defaultDataset, startOf("b", { origin: simulated }), local)).rejects.toThrow(
      UsageError,
    );
  });

  test("removing a run keeps the messages and the pages of other runs", async () => {
    const local = await open();
    const [own, other] = [runOf("a"), runOf("other")];
    await planStart(defaultDataset, startOf("a"), local);
    for (const run of [own, other]) {
      await putRun(run, local.work);
      await local.queues.fetcher.send(messageBody(taskOf(run)));
      await local.deadLetters.fetcher.send(messageBody(taskOf(run)));
    }
    const { notes } = await planStart(defaultDataset, startOf("b", { flags: "others" }), local);
    expect(notes).toEqual([`Removing the unfinished run ${own.runId}: its flags differ.`]);
    for (const queue of [local.queues.fetcher, local.deadLetters.fetcher])
      expect(await takeTasks(queue)).toMatchObject([{ runId: other.runId }]);
    expect(await local.work.list(keys.runs, 10)).toEqual([keys.run(other.runId)]);
    expect(local.database.prepare("SELECT count(*) AS n FROM body").get()).toEqual({ n: 0 });
  });
});
