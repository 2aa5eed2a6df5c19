// The operators' commands as they are met: processes with flags, exit codes and what they print.
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { sqs } from "../../../shared/aws/clients.ts";
import { messageBody, Queue } from "../../../shared/aws/queue.ts";
import { config } from "../../../shared/config.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { publishNewest } from "../../../shared/publish.ts";
import { startLibInsight } from "../../../stacks/local/libinsight.ts";
import { recordOf } from "../../factories/records.ts";
import { runOf, taskOf } from "../../factories/requests.ts";
import { type LocalAws, startLocalAws, take, takeJson } from "../../support/local-aws.ts";
import { command, type Ended, libInsightEnv, start, temporaryFolder } from "../../support/start.ts";
import { putRun } from "../../support/work-bucket.ts";

const words = "MARKED asked where the library is";
const year = ["--from", "2023-01-01", "--to", "2023-12-31"];
const listed = z.object({
  runs: z.array(z.object({ run: z.object({ runId: z.string() }), state: z.string() })),
});

test("a run that fails leaves a dead letter; sent back, it finishes the run", async () => {
  await using folder = await temporaryFolder();
  await using server = await startLibInsight({
    records: 900,
    faults: [{ kind: "status", status: 404, where: { endpoint: "data-grid", page: 2 } }],
  });
  for (let n = 1; n <= 3; n++)
    server.add({ _id: n, _start_date: "2023-02-01 10:00:00", "Comments/Notes": words });
  const env = libInsightEnv(server);
  const printed: string[] = [];
  const run = async (name: "replay" | "runs", ...args: string[]): Promise<Ended> => {
    const ended = await command(name, folder.path, args, env).ended;
    printed.push(ended.stdout, ended.stderr);
    return ended;
  };

  expect((await start(folder.path, ["--quiet", ...year], env).ended).code).toBe(1);
  const { runs } = listed.parse(JSON.parse((await run("runs", "list", "--json")).stdout));
  const runId = runs[0]?.run.runId ?? "";
  expect(runs).toHaveLength(1);

  const list = await run("replay", "list");
  expect(list).toMatchObject({ code: 0, stderr: "" });
  expect(list.stdout).toMatch(
    /^queue +letters +oldest +runs +errors\nfetch +1 +\d+ s +reference-transactions-\w+ +\w+: 1\n$/,
  );
  const shown = await run("replay", "show");
  expect(shown.stdout).toContain(`run ${runId}, window 1, attempt 1, page 2`);
  const account = await run("runs", "show", runId);
  expect(account.stdout).toMatch(/^missing +window 1 \(2023-01-01 to 2023-12-31\): pages 2/m);
  expect(account.stdout).toContain(`npm run replay -- send --run ${runId}`);

  const unasked = await run("replay", "send");
  expect(unasked.code).toBe(2);
  expect(unasked.stderr).toMatch(/^send needs a terminal to ask for confirmation\. Add --yes/);
  expect((await run("replay", "send", "--dry-run")).stdout).toBe(
    "Would move 1 dead letter (fetch: 1) back to their queues.\n",
  );
  const sent = await run("replay", "send", "--yes", "--finish", "--run", runId);
  expect(sent).toEqual({
    code: 0,
    stdout:
      "Moved 1 dead letter (fetch: 1) back to their queues.\nEvery queue is empty; no dead letters are left.\n",
    stderr: "",
  });
  const after = listed.parse(JSON.parse((await run("runs", "list", "--json")).stdout));
  expect(after.runs).toMatchObject([{ run: { runId }, state: "published" }]);
  expect((await run("replay", "list")).stdout).toBe("No dead letters.\n");
  expect((await run("runs", "resume", runId)).stderr).toMatch(/^The run has ended: it is published\./);
  expect(printed.join("")).not.toContain("MARKED");
});

test("where npm start has never run there is nothing to look at, and it says how to name a stage", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await command("replay", folder.path, ["list"]).ended;
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/npm start has left nothing in \.local here.*sst shell --stage/);
});

test.concurrent.each([
  ["replay", ["archive"], /^archive needs a terminal .*\n\nUsage: npm run replay -- archive /],
  ["runs", [], /^Add a command: list, show, .*\n\nUsage: npm run runs -- \[options\] \[command\]\n/],
] as const)("npm run %s -- %j is refused with one sentence and the usage", async (name, args, sentence) => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await command(name, folder.path, [...args]).ended;
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(sentence);
});

describe("on a stage, as sst shell tells of it", () => {
  let aws: LocalAws;
  beforeAll(async () => {
    aws = await startLocalAws();
  });
  afterAll(() => aws.close());

  /** What the functions have in their environment stands in the link. */
  function onStage(name: "replay" | "runs", ...args: string[]) {
    return onStageWith({}, name, ...args);
  }
  function onStageWith(env: Record<string, string>, name: "replay" | "runs", ...args: string[]) {
    const variables = Object.fromEntries(
      Object.entries(process.env).filter(([variable]) =>
        /_URL$|^(BUS_NAME|WORK_BUCKET|DATA_BUCKET)$/.test(variable),
      ),
    );
    const none = Object.fromEntries(
      Object.keys(variables)
        .filter((key) => !key.startsWith("AWS_"))
        .map((key) => [key, undefined]),
    );
    const settings = JSON.stringify({ variables, type: "sst.sst.Linkable" });
    return command(name, "/", args, { ...none, ...env, SST_RESOURCE_Settings: settings }).ended;
  }
  /** For Node: a clock that is a year ahead. */
  const aYearAhead = encodeURIComponent(
    `const ahead = () => performance.timeOrigin + performance.now() + 365 * 24 * 3600_000;
     globalThis.Date = class extends Date {
       constructor(...given) { super(...(given.length > 0 ? given : [ahead()])); }
       static now() { return ahead(); }
     };`,
  );
  const deadPages = () => new Queue(sqs(), config.deadLetterUrl("transformer"));

  test("dead letters are archived there, and no command tells what a patron said", async () => {
    const task = taskOf(runOf("archived"));
    const records = { inline: [recordOf(1, { "Comments/Notes": words })] };
    await deadPages().send(messageBody({ task, totals: { totalPages: 1, totalRecords: 1 }, records }));
    await deadPages().send(`${words}, not JSON`);

    const ended = [
      await onStage("replay", "list"),
      await onStage("replay", "show"),
      await onStage("replay", "show", "--json"),
      await onStage("replay", "send", "--dry-run", "--json"),
      await onStage("replay", "archive", "--yes", "--run", task.runId),
    ];

    expect(ended.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
      ended.map(() => ({ code: 0, stderr: "" })),
    );
    expect(ended.at(-1)?.stdout).toBe("Moved 1 dead letter (pages: 1) to the work bucket.\n");
    expect(JSON.stringify(ended)).not.toContain("MARKED");
    const [key = "", ...more] = await aws.work.list("deadletters/", 10);
    expect(more).toEqual([]);
    expect(await aws.work.getText(key)).toContain(words);
    expect(await take(deadPages())).toHaveLength(1);
  });

  test("a run is requested on the bus, and its id printed", async () => {
    const { stdout } = await onStage(
      "runs",
      "request",
      "--from",
      "2024-01-01",
      "--reason",
      "a gap",
      "--force",
      "known",
      "--json",
    );

    const { runId } = z.object({ runId: z.string() }).parse(JSON.parse(stdout));
    const [event] = await takeJson(aws.serviceQueue("kickoff"), 5);
    expect(event).toMatchObject({
      "detail-type": "run.requested",
      detail: { dataset: "reference-transactions", from: "2024-01-01", reason: "a gap", force: "known" },
    });
    const { requestId } = z.object({ detail: z.object({ requestId: z.string() }) }).parse(event).detail;
    expect(runOf(requestId).runId).toBe(runId);
  });

  test("a stalled run is named, and resumed", async () => {
    const run = runOf("stalled on a stage");
    await putRun(run, aws.work);

    expect((await onStage("runs", "list", "--stalled-after", "0s")).stdout).toMatch(
      new RegExp(`^${run.runId} +STALLED +2023-01-01 to 2023-12-31 +0/1\\+ `, "m"),
    );
    expect((await onStage("runs", "list")).stdout).toMatch(new RegExp(`^${run.runId} +requested `, "m"));
    expect((await onStage("runs", "resume", run.runId)).stdout).toBe("Sent 1 page task.\n");
    expect(await takeJson(aws.serviceQueue("fetcher"))).toEqual([taskOf(run)]);
  });

  test("a rollback tells what it would do, does it, and then has nothing to do", async () => {
    const { csv, jsonl } = defaultDataset.publish;
    const published = ["2024-03-04T11:00:00Z", "2024-03-11T11:00:00Z"].map((requestedAt) =>
      runOf(requestedAt, { requestedAt }),
    );
    const [old, newer] = published.map(({ runId }) => runId);
    for (const run of published) {
      for (const key of [csv, jsonl]) {
        const body = async () => Readable.from([Buffer.from(run.runId)]);
        await publishNewest(aws.data, key, run, body, {
          contentType: "text/csv",
          metadata: { rows: "1234" },
        });
      }
    }
    const rollback = (...flags: string[]) => onStage("runs", "rollback", old ?? "", ...flags);
    const when = "1,234 rows, 20\\d\\d-\\d\\d-\\d\\d \\d\\d:\\d\\d UTC";
    const what = `${old} \\(${when}\\) in place of ${newer} \\(${when}\\): ${csv} and ${jsonl}\\.\n`;

    expect((await rollback("--dry-run")).stdout).toMatch(new RegExp(`^Would put back ${what}$`));
    expect(await aws.data.getText(csv)).toBe(newer);
    expect((await rollback("--yes", "--reason", "half is missing")).stdout).toMatch(
      new RegExp(`^Put back ${what}$`),
    );
    expect([await aws.data.getText(csv), await aws.data.getText(jsonl)]).toEqual([old, old]);
    expect((await aws.data.head(csv))?.metadata["rollback-reason"]).toBe("half is missing");
    expect((await rollback("--yes")).stdout).toMatch(
      new RegExp(`^In place already: ${old} \\(${when}\\)\\. Nothing is to be done\\.\n$`),
    );
  });

  test("a rollback counts from now on by S3's clock, though the operator's is a year ahead", async () => {
    const { csv, jsonl } = defaultDataset.publish;
    const requestedAt = new Date().toISOString();
    const [old, newer] = [runOf("old", { requestedAt }), runOf("newer", { requestedAt })];
    for (const run of [old, newer]) {
      for (const key of [csv, jsonl]) {
        const body = async () => Readable.from([Buffer.from("1")]);
        await publishNewest(aws.data, key, run, body, { contentType: "text/csv" });
      }
    }
    const clock = { NODE_OPTIONS: `--import=data:text/javascript,${aYearAhead}` };

    const { code, stderr } = await onStageWith(clock, "runs", "rollback", old.runId, "--yes");

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { metadata } = (await aws.data.head(csv)) ?? {};
    expect(metadata?.["run-id"]).toBe(old.runId);
    const inAnHour = Date.now() + 3600_000;
    expect(Date.parse(metadata?.["requested-at"] ?? "")).toBeLessThan(inAnHour);
    expect(Date.parse(metadata?.["rolled-back-at"] ?? "")).toBeLessThan(inAnHour);
  });
});
