// Tests runs on the emulator, from `run.requested` on the bus to the published files, through its Lambda, SQS, EventBridge and
// S3, also with duplicate messages, failures and concurrent runs.
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { GetFunctionConfigurationCommand, UpdateFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { SetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { S3Store } from "../../shared/aws/s3.ts";
import { defaultDataset } from "../../shared/datasets.ts";
import { eventDetails } from "../../shared/events.ts";
import { keys } from "../../shared/keys.ts";
import { pageAddress, pageMessage } from "../../shared/messages.ts";
import { messageBody } from "../../shared/ports.ts";
import { fetchTasksOf, runIdOf, runResult, run as runSchema } from "../../shared/run.ts";
import { queueNames, receiveLimit } from "../../shared/topology.ts";
import { created, titleOf } from "../stacks/stages.ts";
import { take } from "../support/local-adapters.ts";
import { command, filesIn, temporaryFolder } from "../support/npm-start.ts";
import { functionInputs } from "./create/create-compute.ts";
import { dates, deploy, records, rows, type Stage } from "./emulated-stage.ts";
import {
  dataOf,
  deadLettersOf,
  logOf,
  pause,
  queueOf,
  queueUrl,
  resume,
  until,
  untilQuiet,
  workOf,
} from "./handles.ts";
import { type Mailbox, subscribe } from "./mail.ts";
import { npmRun } from "./npm-run.ts";
import { checkRoles } from "./role-calls.ts";

const { name: dataset, publish } = defaultDataset;

let stage: Stage;
let mailbox: Mailbox;
/** The files that `npm start` publishes for the same records. */
let expected: { csv: string; jsonl: string };

beforeAll(async () => {
  [stage, expected] = await Promise.all([deploy(), filesOfNpmStart()]);
  mailbox = await subscribe(stage);
});
afterAll(() => stage?.close());

// No message of one test may reach the next.
afterEach(() => untilQuiet(stage));

async function filesOfNpmStart(): Promise<typeof expected> {
  await using folder = await temporaryFolder();
  const range = ["--records", String(records), "--from", dates.from, "--to", dates.to];
  const { code, stderr } = await command("start", folder.path, [...range, "--out", "out", "--quiet"]).ended;
  if (code !== 0) throw new Error(`npm start failed: ${stderr}`);
  const files = await filesIn(join(folder.path, "out"));
  return { csv: files["LibInsightQueryData.csv"] ?? "", jsonl: files["LibInsightQueryData.jsonl"] ?? "" };
}

/** Requests a run, as an operator does. @returns its id */
async function request(requestId: string): Promise<string> {
  await stage.bus.emit("run.requested", {
    dataset,
    ...dates,
    reason: "a test",
    requestId,
    skipComparison: "a test",
  });
  return runIdOf(dataset, requestId);
}

async function expectPublishedBy(runId: string): Promise<void> {
  const data = dataOf(stage);
  expect((await data.head(publish.csv))?.metadata["run-id"]).toBe(runId);
  expect((await data.getText(publish.csv)) === expected.csv, "the CSV is npm start's").toBe(true);
  expect((await data.getText(publish.jsonl)) === expected.jsonl, "the JSON lines are npm start's").toBe(true);
}

async function resultOf(runId: string) {
  return workOf(stage).getJson(keys.result(runId), runResult);
}

test("a request on the bus publishes the same bytes as npm start, and query results", async () => {
  const runId = await request("first");
  expect(await stage.bus.next("run.published", { runId })).toMatchObject({ rows });
  const published = await stage.bus.next("results.published", { runId });
  const { bucket, key, ...counts } = eventDetails["results.published"].parse(published);
  expect(counts).toMatchObject({ rows });
  expect(expected.csv.split("\n").length).toBeGreaterThan(rows);
  await expectPublishedBy(runId);
  const { Body } = await stage.clients.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  expect(await Body?.transformToString()).toContain("_start_date");
  const results = new S3Store(stage.clients.s3, bucket);
  const latest = () => results.head(keys.latestReport(dataset));
  await until(stage, "the report is written", async () => (await latest())?.metadata["run-id"] === runId);
  expect((await latest())?.contentType).toBe("text/html; charset=utf-8");
  expect(await mailbox.next(`Published ${rows.toLocaleString("en-US")} rows`)).toContain("ada");
  // The function logs JSON lines to the log group that SST created.
  const done = (await logOf(stage, "assembler")).filter((line) => line.includes(runId));
  expect(done.map((line): unknown => JSON.parse(line))).toMatchObject(
    ["recounting", "published"].map((outcome) => ({ level: "INFO", message: "done", outcome })),
  );
});

test("duplicate requests, tasks, pages and notifications change nothing", async () => {
  const runId = await request("twice");
  await request("twice");
  await stage.bus.next("run.started", { runId });
  const run = await workOf(stage).getJson(keys.run(runId), runSchema);
  const tasks = run ? fetchTasksOf(run, run.windows, 1) : [];
  // A window that does not fit one page enqueues its pieces again, so every piece arrives twice too.
  await queueOf(stage, "fetcher").sendAll(tasks.map(messageBody));
  await stage.bus.next("run.published", { runId });
  await queueOf(stage, "athena").send(messageBody(notificationOf(publish.csv)));
  await stage.bus.next("results.published", { runId });
  await expectPublishedBy(runId);
  expect(await resultOf(runId)).toMatchObject({ state: "published", records, rows, duplicates: 0 });
});

/** Returns a notification as S3 sends it. */
function notificationOf(key: string) {
  const bucket = { name: dataOf(stage).bucket };
  return { Records: [{ eventName: "ObjectCreated:Put", s3: { bucket, object: { key } } }] };
}

/** Lets LibInsight fail for the first window at every receive. */
function failUntilDeadLettered(): void {
  const where = { endpoint: "data-grid", from: dates.from, page: 1 } as const;
  stage.libInsight.fail({ kind: "status", status: 500, where, times: receiveLimit });
}

test("a page that always fails becomes a dead letter after the receive limit, and its replay finishes the run", async () => {
  failUntilDeadLettered();
  const requestsBefore = stage.libInsight.requests.length;
  const runId = await request("fails");
  const deadLetters = deadLettersOf(stage, "fetcher");
  await until(stage, "the page is a dead letter", async () => (await deadLetters.count()) === 1);
  const failed = stage.libInsight.requests.slice(requestsBefore).filter(({ status }) => status === 500);
  expect(failed).toHaveLength(receiveLimit);
  expect(await npmRun(stage, ["replay", "--", "list"])).toContain(runId);
  expect(await resultOf(runId)).toBeUndefined();

  expect(await npmRun(stage, ["replay", "--", "send", "--run", runId, "--yes"])).toContain(
    "Moved 1 dead letter",
  );
  await stage.bus.next("run.published", { runId });
  await stage.bus.next("results.published", { runId });
  await expectPublishedBy(runId);
  expect(await deadLetters.count()).toBe(0);
});

test("the redrive policy dead-letters messages of a crashing function, and they can be replayed", async () => {
  const { name } = functionNamed("Transformer");
  const queue = queueOf(stage, "transformer");
  // The stage's visibility timeout is six times the function's timeout.
  await stage.clients.sqs.send(
    new SetQueueAttributesCommand({
      QueueUrl: queueUrl(stage, "transformer"),
      Attributes: { VisibilityTimeout: "1" },
    }),
  );
  await configure(name, { Handler: "bundle.missing" });
  const runId = await request("crashes");
  const deadLetters = deadLettersOf(stage, "transformer");
  await until(stage, "every page is a dead letter", async () => {
    const counts = await Promise.all(
      [queueOf(stage, "fetcher"), queue, deadLetters].map((each) => each.count()),
    );
    return counts[0] === 0 && counts[1] === 0 && (counts[2] ?? 0) > 0;
  });
  expect(await npmRun(stage, ["replay", "--", "show", "--run", runId])).toContain(
    "no reason given: SQS moved it after too many receives",
  );
  await configure(name, { Handler: functionNamed("Transformer").handler });
  await stage.clients.sqs.send(
    new SetQueueAttributesCommand({
      QueueUrl: queueUrl(stage, "transformer"),
      Attributes: { VisibilityTimeout: String(6 * functionNamed("Transformer").timeout) },
    }),
  );
  await npmRun(stage, ["replay", "--", "send", "--run", runId, "--yes"]);
  await stage.bus.next("results.published", { runId });
  await expectPublishedBy(runId);
});

function functionNamed(name: string) {
  const [inputs] = created(stage.graph, "aws:lambda/function:Function").filter(
    (each) => each.name === `${name}Function`,
  );
  return functionInputs.parse(inputs?.inputs);
}

async function configure(FunctionName: string, change: { Handler: string }): Promise<void> {
  const { lambda } = stage.clients;
  await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, ...change }));
  await until(stage, `${FunctionName} is changed`, async () => {
    const { LastUpdateStatus } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
    return LastUpdateStatus === "Successful";
  });
}

test("if one message of a batch fails, only this message is retried", async () => {
  await pause(stage, "transformer");
  const runId = await request("partly");
  const pages = queueOf(stage, "transformer");
  // A task is deleted after its page and the tasks of other pages are sent.
  const fetching = queueOf(stage, "fetcher");
  await until(stage, "every page waits", async () => {
    const isFetching = (await fetching.count()) > 0;
    return !isFetching && (await pages.count()) > 10;
  });
  const messages = (await take(pages)).map(({ body }) => pageMessage.parse(JSON.parse(body)));
  const [bad, ...good] = messages;
  if (!bad || !("inline" in bad.records)) throw new Error("The first page is not in its message.");
  // The page is truncated until it is fixed below.
  const key = keys.page(pageAddress(bad.task));
  await workOf(stage).put(key, "[", "application/json");
  await pages.sendAll([messageBody({ ...bad, records: { key } }), ...good.slice(0, 9).map(messageBody)]);
  await resume(stage, "transformer");

  const parts = async () => {
    const found = await Array.fromAsync(workOf(stage).objects(keys.allParts(runId), 1_000));
    // Without the marks of ranges that do not fit one page.
    return found.filter(({ bytes }) => bytes > 0);
  };
  await until(stage, "the other messages of the batch are done", async () => (await parts()).length === 9);
  await until(stage, "the failed message is retried", async () =>
    (await logOf(stage, "transformer")).some(
      (line) => line.includes('"retry"') && line.includes('"receives":2'),
    ),
  );
  expect(await parts()).toHaveLength(9);
  await workOf(stage).put(key, JSON.stringify(bad.records.inline), "application/json");
  await pages.sendAll(good.slice(9).map(messageBody));
  await stage.bus.next("results.published", { runId });
  await expectPublishedBy(runId);
  expect(await deadLettersOf(stage, "transformer").count()).toBe(0);
});

test("two concurrent runs both end, and the file of the later request stays published", async () => {
  const earlier = await request("earlier");
  // EventBridge's times have a resolution of seconds.
  await delay(1_100);
  const later = await request("later");
  await stage.bus.next("run.published", { runId: later });
  await stage.bus.until("the earlier run has ended", (received) =>
    received.some(
      ({ type, detail }) => detail.runId === earlier && /^run\.(published|superseded)$/.test(type),
    ),
  );
  await stage.bus.next("results.published", { runId: later });
  await expectPublishedBy(later);
});

test("an earlier run that ends after a later one publishes nothing", async () => {
  failUntilDeadLettered();
  const earlier = await request("held up");
  await until(stage, "it is blocked", async () => (await deadLettersOf(stage, "fetcher").count()) === 1);
  const later = await request("overtakes");
  await stage.bus.next("results.published", { runId: later });
  // The event has the same effect as the command.
  await stage.bus.emit("deadletter.replay.requested", { run: earlier, reason: "a test" });
  await stage.bus.next("run.superseded", { runId: earlier });
  await expectPublishedBy(later);
});

test("a window whose counts disagree is fetched again", async () => {
  // After a publication, the first window fits one page.
  const where = { endpoint: "data-grid", from: dates.from, page: 1 } as const;
  stage.libInsight.fail({ kind: "too-few", where });
  const runId = await request("disagrees");
  await stage.bus.next("results.published", { runId });
  await expectPublishedBy(runId);
  expect(await resultOf(runId)).toMatchObject({ state: "published", attempt: 2, rows });
});

// From here on the records differ from those of `npm start`.

test("a page too large for a message is passed in the work bucket, and an invalid record is rejected", async () => {
  const [large, invalid] = [...stage.libInsight.records()].map(({ _id: id }) => Number(id));
  if (large === undefined || invalid === undefined) throw new Error("LibInsight has no records.");
  stage.libInsight.edit(large, (record) => ({ ...record, "Comments/Notes": "x".repeat(1_020_000) }));
  stage.libInsight.edit(invalid, (record) => ({ ...record, _id: "none" }));
  const runId = await request("large");
  await stage.bus.next("results.published", { runId });
  expect(await resultOf(runId)).toMatchObject({ state: "published", records, rows: rows - 1 });
  const below = (folder: string) => workOf(stage).list(`${keys.folder(runId)}${folder}/`, 1_000);
  // One of the two records without a start date is on another page.
  expect([(await below("pages")).length, (await below("rejects")).length]).toEqual([1, 2]);
});

test("a run that shrinks the data is held and reported, and an operator can publish it", async () => {
  const month = { from: "2023-09-01", to: "2023-09-30" };
  await stage.bus.emit("run.requested", { dataset, ...month, reason: "a test", requestId: "small" });
  const runId = runIdOf(dataset, "small");
  await stage.bus.next("run.held", { runId });
  await mailbox.next("The run is held");
  expect((await dataOf(stage).head(publish.csv))?.metadata["run-id"]).not.toBe(runId);
  await npmRun(stage, ["runs", "--", "publish", runId, "--force", "--reason", "a month is meant", "--yes"]);
  await stage.bus.next("results.published", { runId });
  expect(await resultOf(runId)).toMatchObject({ state: "published", force: "a month is meant" });
});

test("the daily checks email the dead letter that they find, and nothing else", async () => {
  const doneBefore = await reportsDone();
  const deadLetters = deadLettersOf(stage, "kickoff");
  await deadLetters.send("{}", { attributes: { Error: "UnknownDataset" } });
  await stage.bus.emit("freshness.check.requested", { dataset });
  await stage.bus.emit("instances.check.requested", {});
  await until(stage, "the reporter has checked", async () => (await reportsDone()) >= doneBefore + 2);
  expect(await mailbox.next("kickoff: 1, the oldest")).toBe("LibInsight ada: 1 dead letter");
  expect(await take(deadLetters)).toHaveLength(1);
});

async function reportsDone(): Promise<number> {
  return (await logOf(stage, "reporter")).filter((line) => line.includes('"done"')).length;
}

test("every call of a function is allowed by its role, and every permission is used or a known exception", async () => {
  const roles = queueNames.filter((name) => name !== "ec2").map(titleOf);
  expect(await checkRoles(stage, roles)).toEqual({ refused: [], denied: [], unneeded: [] });
});
