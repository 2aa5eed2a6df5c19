// The operator commands as processes on the data of npm start in .local: what they print, and their exit codes.
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { defaultDataset } from "../../../shared/datasets.ts";
import { keys } from "../../../shared/keys.ts";
import { type Local, openLocal } from "../../../shared/local/open-local.ts";
import { messageBody } from "../../../shared/ports.ts";
import { publishNewest } from "../../../shared/publish.ts";
import { eventMessage } from "../../factories/event-details.ts";
import { recordOf } from "../../factories/libinsight-records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { firstResultOf } from "../../factories/results.ts";
import { receive, take, takeJson } from "../../support/local-adapters.ts";
import {
  command,
  digest,
  type Ended,
  filesIn,
  libInsightEnv,
  pinned,
  publishedIn,
  range,
  start,
  startBrokenLibInsight,
  temporaryFolder,
} from "../../support/npm-start.ts";
import { putRun } from "../../support/work-bucket.ts";

const words = "MARKED asked where the library is";
const { csv, jsonl, results } = defaultDataset.publish;

/** Opens a folder's .local, which no other process may use meanwhile. */
async function inLocal<T>(folder: string, act: (local: Local) => Promise<T>): Promise<T> {
  const local = await openLocal(join(folder, ".local"));
  try {
    return await act(local);
  } finally {
    await local.close();
  }
}

test("after a dead letter npm start names the command that finishes the run with the same bytes", async () => {
  await using folder = await temporaryFolder();
  await using server = await startBrokenLibInsight();
  const env = libInsightEnv(server);
  const run = (name: "replay" | "runs", ...args: string[]): Promise<Ended> =>
    command(name, folder.path, args, env).ended;

  const stopped = await start(folder.path, ["--quiet", ...range], env).ended;
  expect([stopped.code, stopped.stdout]).toEqual([1, ""]);
  const [, runId = "", window, args = ""] =
    /^LibInsight .* Run (\S+) stopped at window (\d), page 1; \d+ pages? (?:is|are) kept\. .* continue: npm run replay -- (send --run \1 --wait)\n$/.exec(
      stopped.stderr,
    ) ?? [];

  expect((await run("replay", "list")).stdout).toMatch(
    /^queue +dead letters +oldest +runs +errors\nfetcher +1 +\d+ s +reference-transactions-\w+ +LibInsightDatasetNotFound: 1\n$/,
  );
  expect((await run("replay", "show")).stdout).toContain(
    `run ${runId}, window ${window}, attempt 1, page 1\n`,
  );
  const account = await run("runs", "show", runId);
  expect(account.stdout).toMatch(
    new RegExp(`^missing +window ${window} \\(.*\\): .*2022-12-24 to 2023-01-15(,.*)?$`, "m"),
  );
  expect(account.stdout).toContain(`npm run replay -- send --run ${runId}`);
  expect((await run("replay", "send", "--dry-run")).stdout).toBe(
    "Would move 1 dead letter (fetcher: 1) back to their queues.\n",
  );

  const [csvCopy, jsonlCopy, resultsCopy] = Object.keys(pinned).sort();
  const ofRun = ["LibInsightQueryData.parquet", "LibInsightQueryData-deidentified.csv"];
  const copies = [csvCopy, jsonlCopy, ...ofRun, resultsCopy];
  expect(await run("replay", ...args.split(" "), "--yes")).toEqual({
    code: 0,
    stdout:
      "Moved 1 dead letter (fetcher: 1) back to their queues.\nEvery queue is empty; no dead letters are left.\n" +
      `Copied the live files to .local/out: ${copies.join(", ")}, report.html.\n`,
    stderr: "",
  });
  expect(await publishedIn(folder.path)).toEqual(pinned);
  expect((await run("runs", "list")).stdout).toMatch(
    new RegExp(`^${runId} +published, live +2021-12-02 to 2024-12-01 +50/50 +2,996 +0 `, "m"),
  );
  const published = await inLocal(folder.path, async ({ data, results: queried }) => ({
    "LibInsightQueryData.csv": digest(await data.getText(csv)),
    "LibInsightQueryData.jsonl": digest(await data.getText(jsonl)),
    "LibInsightQueryResults.csv": digest(await queried.getText(results)),
  }));
  expect(published).toEqual(pinned);
});

test("a held run is published after a review and rolled back, and --out has the live files each time", async () => {
  await using folder = await temporaryFolder();
  const collect = (records: string) =>
    start(folder.path, ["--quiet", "--records", records, "--out", "copies"]).ended;
  const run = (...args: string[]): Promise<Ended> => command("runs", folder.path, args).ended;
  /** Returns the digests of the live CSV, JSON lines and query result, and expects the copies to be equal. */
  const files = async () => {
    const copies = await filesIn(join(folder.path, "copies"));
    const live = await inLocal(folder.path, async ({ data, results: queried }) => [
      await data.getText(csv),
      await data.getText(jsonl),
      await queried.getText(results),
    ]);
    expect([csv, jsonl, results].map((key) => copies[basename(key)])).toEqual(live);
    return live.map(digest);
  };
  /** Returns the copy of the report, and expects it to be that of the run and the latest one of the dataset. */
  const reportOf = async (runId: string) => {
    const { "report.html": report } = await filesIn(join(folder.path, "copies"));
    const stored = await inLocal(folder.path, async ({ results: queried }) => [
      await queried.getText(keys.runReport(defaultDataset.name, runId)),
      await queried.getText(keys.latestReport(defaultDataset.name)),
    ]);
    expect(stored).toEqual([report, report]);
    return report;
  };

  expect(await collect("400")).toMatchObject({ code: 0 });
  const before = await files();
  const good = await inLocal(
    folder.path,
    async ({ data }) => (await data.head(csv))?.metadata["run-id"] ?? "",
  );
  const reportOfGood = await reportOf(good);
  const stopped = await collect("300");
  const [, bad = ""] = /publish (\S+) --force/.exec(stopped.stderr) ?? [];
  expect(stopped).toMatchObject({ code: 1, stderr: expect.stringContaining("rows fell from ") });
  expect(await files()).toEqual(before);

  const reportOfHeld = await reportOf(bad);

  const publish = (...flags: string[]) => run("publish", bad, "--force", "--reason", "fewer", ...flags);
  expect(await publish("--rows", "1")).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(/^The run has \d+ rows and --rows says 1\. Nothing was published\./),
  });
  expect((await publish("--dry-run")).stdout).toMatch(
    /^violation +rows fell from .*\n(no values .*\n)?Would publish \d+ rows\.\n$/m,
  );
  expect(await files()).toEqual(before);
  const published = await publish("--yes", "--wait");
  expect(published).toMatchObject({ code: 0, stderr: "" });
  expect(published.stdout).toMatch(
    new RegExp(
      `^held run +${bad}\n[^]*^announced +300 records\n[^]*^in place +${good} \\(\\d+ rows, [^]*^violation +rows fell from ` +
        `[^]*^Published \\d+ rows\\.\nEvery queue is empty; [^]*\nCopied the live files to copies: `,
      "m",
    ),
  );
  const after = await files();
  expect(after).not.toEqual(before);
  expect(new Set([reportOfGood, reportOfHeld, await reportOf(bad)]).size).toBe(3);
  expect((await run("list")).stdout).toMatch(
    new RegExp(`^${bad} +published, live .*\n${good} +published  `, "m"),
  );

  expect(await run("rollback", bad, "--yes")).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      new RegExp(
        `^The files of this run are live\\. .*: npm run runs -- rollback ${good} \\(run ${bad}\\)\n$`,
      ),
    ),
  });
  expect((await run("rollback", bad, "--dry-run")).stdout).toMatch(
    new RegExp(`^The files of ${bad} are live\\. .*\nWould restore ${good} .* in place of ${bad} `),
  );
  expect(await files()).toEqual(after);
  const restored = await run("rollback", good, "--yes", "--wait");
  expect(restored.stdout).toMatch(
    /^Restored .*\nEvery queue is empty; .*\nCopied the live files to copies: /,
  );
  expect(await files()).toEqual(before);
  expect(await reportOf(good)).toBe(reportOfGood);
  expect((await run("list")).stdout).toMatch(
    new RegExp(`^${bad} +rolled back  .*\n${good} +published, live  `, "m"),
  );
});

test("without .local and without a stage, a command fails and says how to select a stage", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await command("replay", folder.path, ["list"]).ended;
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(
    /^No stage is selected, and npm start was never run in this folder.* sst shell --stage/,
  );
});

test("a process ends a usage error with one sentence, the command that prints the help, and exit code 2", async () => {
  expect(await command("runs", "/", ["lists"]).ended).toEqual({
    code: 2,
    stdout: "",
    stderr: `Unknown command 'lists'. Did you mean list?\nRun "npm run runs -- --help".\n`,
  });
});

describe("on a .local folder", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeAll(async () => {
    folder = await temporaryFolder();
    await inLocal(folder.path, async () => {});
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  const local = <T>(act: (local: Local) => Promise<T>) => inLocal(folder.path, act);
  const run = (name: "replay" | "runs", ...args: string[]) => command(name, folder.path, args).ended;

  test("archives dead letters, and no command prints a patron's words", async () => {
    expect((await run("replay", "list")).stdout).toBe("No dead letters.\n");
    const task = taskOf(runOf("archived"));
    const records = { inline: [recordOf(1, { "Comments/Notes": words })] };
    await local(async ({ deadLetters: { transformer } }) => {
      const page = { task, totals: { totalPages: 1, totalRecords: 1 }, pages: 1, records };
      await transformer.send(messageBody(page));
      await transformer.send(`${words}, not JSON`);
    });

    const ended = [
      await run("replay", "list"),
      await run("replay", "show"),
      await run("replay", "show", "--json"),
      await run("replay", "send", "--dry-run", "--json"),
      await run("replay", "archive", "--yes", "--run", task.runId),
    ];

    expect(ended.map(({ code, stderr }) => [code, stderr])).toEqual(ended.map(() => [0, ""]));
    expect(ended.at(-1)?.stdout).toBe("Moved 1 dead letter (transformer: 1) to the work bucket.\n");
    expect(JSON.stringify(ended)).not.toContain("MARKED");
    await local(async ({ work, deadLetters }) => {
      const [key = "", ...more] = await work.list("deadletters/", 10);
      expect(more).toEqual([]);
      expect(await work.getText(key)).toContain(words);
      expect(await take(deadLetters.transformer)).toHaveLength(1);
    });
  });

  test("lists a request that is a dead letter as blocked, and shows what to do", async () => {
    const { runId } = runOf("not begun");
    const request = eventMessage("run.requested", {
      dataset: defaultDataset.name,
      reason: "test",
      requestId: "not begun",
    });
    await local(({ deadLetters }) => deadLetters.kickoff.send(request));

    expect((await run("runs", "list")).stdout).toMatch(new RegExp(`^${runId} +BLOCKED +1 `, "m"));
    expect(await run("runs", "show", runId)).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(
        `^The run has not started, because its request is a dead letter\\. .*: npm run replay -- send --run ${runId} `,
      ),
    });
    await local(({ deadLetters }) => take(deadLetters.kickoff));
  });

  test("requests a run and prints its ID", async () => {
    const range = ["--from", "2024-01-01", "--reason", "a gap", "--skip-comparison"];
    const { stdout } = await run("runs", "request", ...range, "--json");

    const { runId } = z.object({ runId: z.string() }).parse(JSON.parse(stdout));
    const [event] = await local(({ queues }) => takeJson(queues.kickoff));
    expect(event).toMatchObject({
      "detail-type": "run.requested",
      detail: {
        dataset: "reference-transactions",
        from: "2024-01-01",
        reason: "a gap",
        skipComparison: "a gap",
      },
    });
    const { requestId } = z.object({ detail: z.object({ requestId: z.string() }) }).parse(event).detail;
    expect(runOf(requestId).runId).toBe(runId);
  });

  test("fails with the reason if the assembler does not publish the held run", async () => {
    const held = runOf("held");
    const { runId } = held;
    await local(async ({ work }) => {
      await putRun(held, work);
      await work.putOnce(
        keys.result(runId),
        firstResultOf({ runId, state: "held", entry: "an earlier one" }),
      );
    });
    const flags = ["--force", "--reason", "right", "--rows", "10412", "--wait"];

    expect(await run("runs", "publish", runId, ...flags)).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(
        `^The dataset's entry .* changed after the run was held\\. Nothing is published\\. .*run ${runId}`,
      ),
    });
    await local(({ deadLetters }) => take(deadLetters.assembler));
  });

  test("lists a stalled run and resumes it", async () => {
    const stalled = runOf("stalled");
    await local(({ work }) => putRun(stalled, work));

    expect((await run("runs", "list", "--stalled-after", "0s")).stdout).toMatch(
      new RegExp(`^${stalled.runId} +STALLED +2023-01-01 to 2023-12-31 +0/1\\+ `, "m"),
    );
    expect((await run("runs", "list")).stdout).toMatch(new RegExp(`^${stalled.runId} +requested `, "m"));
    expect((await run("runs", "resume", stalled.runId)).stdout).toBe(
      "Sent 1 page task. The next npm start works on it.\n",
    );
    expect(await local(({ queues }) => takeJson(queues.fetcher))).toEqual([taskOf(stalled)]);
  });

  test("a rollback prints its plan with --dry-run, restores the files, and then has nothing to do", async () => {
    const published = ["2024-03-04T11:00:00Z", "2024-03-11T11:00:00Z"].map((requestedAt) =>
      runOf(requestedAt, { requestedAt }),
    );
    const [old = "", newer] = published.map(({ runId }) => runId);
    await local(async ({ work, data, queues }) => {
      for (const { runId, requestedAt } of published) {
        const result = firstResultOf({ runId, requestedAt, rows: 1_234 });
        await work.putOnce(keys.result(runId), result);
        for (const key of [csv, jsonl]) {
          const body = async () => Readable.from([Buffer.from(runId)]);
          await publishNewest(data, key, { runId, requestedAt }, body, { contentType: "text/csv" });
        }
      }
      await take(queues.athena);
    });
    const rollback = (...flags: string[]) => run("runs", "rollback", old, ...flags);
    const when = "1,234 rows, 20\\d\\d-\\d\\d-\\d\\d \\d\\d:\\d\\d UTC";
    const what = `${old} \\(${when}\\) in place of ${newer} \\(${when}\\): ${csv} and ${jsonl}\\.`;

    expect((await rollback("--dry-run")).stdout).toMatch(new RegExp(`^Would restore ${what}\n$`));
    expect(await local(({ data }) => data.getText(csv))).toBe(newer);
    expect((await rollback("--yes", "--reason", "half is missing")).stdout).toMatch(
      new RegExp(
        `^Restored ${what} To update Athena's tables here: npm run runs -- rollback ${old} --yes --wait\n$`,
      ),
    );
    await local(async ({ data, queues }) => {
      expect([await data.getText(csv), await data.getText(jsonl)]).toEqual([old, old]);
      expect((await data.head(csv))?.metadata["rollback-reason"]).toBe("half is missing");
      expect(await receive(queues.athena)).toHaveLength(1);
    });
    expect((await rollback("--yes")).stdout).toMatch(
      new RegExp(`^Already live: ${old} \\(${when}\\)\\. No action needed\\.\n$`),
    );
  });
});
