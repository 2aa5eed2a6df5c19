// Events become emails and metrics.
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { assemble } from "../../../services/assembler/assemble.ts";
import type { ReporterDeps } from "../../../services/reporter/report.ts";
import { reporterService } from "../../../services/reporter/service.ts";
import { outputColumns } from "../../../shared/dataset-schema.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { PipelineError } from "../../../shared/errors.ts";
import type { EventDetail, EventType } from "../../../shared/events.ts";
import { keys } from "../../../shared/keys.ts";
import { awsEvent } from "../../../shared/local/local-bus.ts";
import { LocalInstances } from "../../../shared/local/local-instances.ts";
import { createMeasure, type Dimensions, type Numbers } from "../../../shared/metrics.ts";
import type { Message, Notification } from "../../../shared/ports.ts";
import type { RunResult } from "../../../shared/run.ts";
import { eventMessage } from "../../factories/event-details.ts";
import { recordOf } from "../../factories/libinsight-records.ts";
import { runOf } from "../../factories/requests.ts";
import { resultOf } from "../../factories/results.ts";
import { capturedEvents, runService, type TestLocal, take, useLocal } from "../../support/local-adapters.ts";
import { enableMetrics, metricLines } from "../../support/metric-lines.ts";
import { overwrite } from "../../support/objects.ts";
import { type Outcome, outcomeOf } from "../../support/outcome.ts";
import { ScriptedQueryEngine } from "../../support/scripted-query-engine.ts";
import { putRecounts, putRun, putWindow } from "../../support/work-bucket.ts";

const { name: dataset, publish } = defaultDataset;
const runId = `${dataset}-0123456789ab`;
const reason = "The earlier file stays. Do this: npm run runs -- list";
const noon = Date.parse("2026-11-23T12:00:00Z");

let clock = noon;
const local = useLocal(() => clock);

let queuePair: ReturnType<TestLocal["queuePair"]>;
let deps: ReporterDeps;
let sent: Notification[];
let measured: (Numbers & Dimensions)[];
beforeEach(() => {
  clock = noon;
  sent = [];
  measured = [];
  queuePair = local.queuePair("reporter");
  deps = {
    work: local.store(),
    data: local.store(),
    results: local.store(),
    deadLetterQueues: [],
    waitSeconds: 0,
    notify: async (notification) => {
      sent.push(notification);
    },
    measure: (numbers, dimensions) => {
      measured.push({ ...dimensions, ...numbers });
    },
    stage: "local",
    instances: new LocalInstances(local.database),
    team: "tagged",
    hasTableau: false,
    datasets,
    now: () => new Date(clock),
  };
});

/** Puts an event into the queue. @returns its message */
async function arriving<T extends EventType>(type: T, detail: EventDetail<T>): Promise<Message> {
  await queuePair.source.send(eventMessage(type, detail, new Date(clock).toISOString()));
  const [message] = await take(queuePair.source);
  if (!message) throw new Error("The queue is empty.");
  return message;
}
async function handle(message: Message): Promise<Outcome> {
  return outcomeOf(await runService(reporterService, deps, queuePair, [message]));
}
async function report<T extends EventType>(type: T, detail: EventDetail<T>): Promise<Outcome> {
  return handle(await arriving(type, detail));
}
const subjects = () => sent.map(({ subject }) => subject.replace("LibInsight local: ", ""));
const firstLines = () => sent.map(({ body }) => body.split("\n")[0]);

async function putResult(given: Partial<RunResult> = {}): Promise<void> {
  await deps.work.put(keys.result(runId), JSON.stringify(resultOf({ runId, ...given })), "application/json");
}
/** All columns but `mode`. */
const allFilled = Object.fromEntries(
  outputColumns(defaultDataset.columns).flatMap((column) => (column === "mode" ? [] : [[column, 714]])),
);
const range = { from: "2026-01-01", to: "2026-01-01" };
const partKey = (page: number) => keys.part({ runId, window: 1, attempt: 1, ...range, page, pages: 2 });
const published = { runId, dataset, bucket: "data", key: publish.csv, rows: 10_412 };

test("a published run is one email and its metrics", async () => {
  await putResult();
  expect(await report("run.published", published)).toBe("done");
  expect(sent).toEqual([
    {
      subject: "LibInsight local: reference-transactions published 10,412 rows",
      body: expect.stringMatching(
        /^Published 10,412 rows \(\+132 since November 16\), 3 rejected, 2 duplicates, in 41 s\.\nAthena updates next\./,
      ),
    },
  ]);
  expect(sent[0]?.body).toContain(`runs -- show ${runId}`);
  expect(measured).toEqual([
    { dataset, RowsPublished: 10_412, RowsChange: 132, Rejects: 3, Duplicates: 2, RefetchedWindows: 0 },
  ]);
});

test("a run's metrics have units and the dimensions service, stage and dataset", async () => {
  enableMetrics();
  onTestFinished(() => void vi.unstubAllEnvs());
  const lines = metricLines();
  deps.measure = createMeasure("reporter", "local");
  await deps.work.put(partKey(1), "rows", "text/plain");
  await putResult();
  await report("run.published", published);
  const counts = ["RowsPublished", "RowsChange", "Rejects", "Duplicates", "RefetchedWindows"];
  const metrics = [
    ...counts.map((Name) => ({ Name, Unit: "Count" })),
    ...["CollectSeconds", "AssembleSeconds"].map((Name) => ({ Name, Unit: "Seconds" })),
  ];
  const Dimensions = [["service", "stage", "dataset"]];
  expect(lines).toEqual([
    {
      _aws: {
        Timestamp: expect.any(Number),
        CloudWatchMetrics: [{ Namespace: "LibInsight", Dimensions, Metrics: metrics }],
      },
      service: "reporter",
      stage: "local",
      dataset,
      RowsPublished: 10_412,
      RowsChange: 132,
      Rejects: 3,
      Duplicates: 2,
      RefetchedWindows: 0,
      CollectSeconds: 3_600,
      AssembleSeconds: 0,
    },
  ]);
});

test("a run's durations are split at its last written part", async () => {
  for (const page of [2, 1]) {
    await deps.work.put(partKey(page), "rows", "text/plain");
    clock += 1_000;
  }
  const at = (seconds: number) => new Date(noon + 1_000 + seconds * 1_000).toISOString();
  await putResult({ requestedAt: at(-40), finishedAt: at(7) });
  await report("run.published", published);
  expect(measured).toMatchObject([{ CollectSeconds: 40, AssembleSeconds: 7 }]);
});

test("a run outcome is emailed once for repeated events and deliveries", async () => {
  await putResult();
  const [first, again] = [
    await arriving("run.published", published),
    await arriving("run.published", published),
  ];
  // The second delivery does not know how the first will end, and is retried.
  expect(await Promise.all([handle(first), handle(first)])).toContain("done");
  for (const late of [first, again]) expect(await handle(late)).toBe("done");
  expect(sent).toHaveLength(1);
  expect(measured).toHaveLength(1);
});

test.each([
  ["run.held", "held", "run held for review"],
  ["run.failed", "failed", "run failed"],
  ["run.superseded", "superseded", "run superseded, no action needed"],
] as const)("%s is an email with the reason, and metrics without rows", async (type, state, subject) => {
  await putResult({ state });
  await report(type, { runId, dataset, reason });
  expect(subjects()).toEqual([`reference-transactions ${subject}`]);
  expect(firstLines()).toEqual([
    "The earlier file stays. Do this: npx sst shell --stage local -- npm run runs -- list",
  ]);
  expect(measured).toEqual([{ dataset, Rejects: 3, Duplicates: 2, RefetchedWindows: 0 }]);
});

test.each([
  ["run.published", "published", published, "\n\nReport, after Athena's update: "],
  ["run.held", "held", { runId, dataset, reason }, "\n\nReport: "],
  ["run.failed", "failed", { runId, dataset, reason }, "\n\nReport: "],
] as const)(
  "the email about %s names the run's report and how to open it",
  async (type, state, detail, label) => {
    await putResult({ state });
    await report(type, detail);
    const url = `s3://${deps.results.bucket}/${keys.runReport(dataset, runId)}`;
    expect(sent[0]?.body).toContain(
      `${label}${url}\nTo open it, download it and open the file in a browser: aws s3 cp ${url} .\n`,
    );
  },
);

test("the email about a superseded run names no report, because there is none", async () => {
  await putResult({ state: "superseded" });
  await report("run.superseded", { runId, dataset, reason });
  expect(sent[0]?.body).not.toContain("s3://");
});

test.each([
  ["run.held", { runId, dataset, reason }],
  ["run.published", published],
] as const)(
  "the email about %s names columns with mistyped values and columns without values",
  async (type, detail) => {
    await putResult({
      filled: { ...allFilled, "Question Type": 10_412 },
      mistyped: { "Duration (in minutes)": 714 },
    });
    await report(type, detail);
    expect(sent[0]?.body).toContain(
      "\nKept as text, because the values do not match the column's type: Duration (in minutes): 714 of 714.\n" +
        'No row has a value in "mode". Check the label in shared/library.ts.\n',
    );
  },
);

test("the email about a held run has every count and why records were rejected", async () => {
  await putResult({ state: "held", filled: { ...allFilled, mode: 1 } });
  await report("run.held", { runId, dataset, reason });
  expect(sent[0]?.body.split("\n").slice(1, 4)).toEqual([
    "",
    "LibInsight announced 10,417 records and sent 10,417: 10,412 rows, 2 duplicates, 3 rejected (invalid _start_date: 1, missing _start_date: 2).",
    "",
  ]);
});

test("no email or metric contains a record's text", async () => {
  const word = "MARKED words of a patron";
  const record = (id: number, date: string) => ({
    ...Object.fromEntries(Object.keys(recordOf(id)).map((field) => [field, word])),
    _id: id,
    _start_date: date,
  });
  const run = runOf("marked");
  const pages = [[record(1, "2023-05-01 10:00:00"), record(2, word), record(3, "2023-05-01 10:00:00")]];
  await putRun(run, deps.work);
  await putWindow(run, { window: 1, pages }, deps.work);
  await putRecounts(run, 1, deps.work);
  const { work, data, now } = deps;
  const fetcherQueue = local.queue("fetcher");
  // The run is held for its rejects and then published by force.
  for (const force of [undefined, word]) {
    const bus = capturedEvents();
    const task = { runId: run.runId, dataset, attempt: 1, ...(force && { force }) };
    await assemble(task, {
      work,
      data,
      results: deps.results,
      datasets,
      tables: new ScriptedQueryEngine(),
      fetcherQueue,
      emit: bus.emit,
      now,
    });
    for (const { type, detail } of bus.events) {
      const event = { id: "x", source: "libinsight.pipeline", time: now().toISOString() };
      await queuePair.source.send(JSON.stringify({ ...event, "detail-type": type, detail }));
    }
    for (const message of await take(queuePair.source)) expect(await handle(message)).toBe("done");
  }
  expect(firstLines()).toEqual([
    expect.stringContaining("1 of 3 records were rejected"),
    expect.stringMatching(
      /^Published 2 rows.*, 1 rejected, .* despite guard violations: 1 of 3 records were rejected/,
    ),
  ]);
  expect(measured).toHaveLength(2);
  expect(JSON.stringify([sent, measured])).not.toContain("MARKED");
});

test("a held run that is published later is emailed both times", async () => {
  await putResult({ state: "held" });
  await report("run.held", { runId, dataset, reason });
  await putResult({
    force: "the new numbers are right",
    violations: [{ kind: "comparison", text: "rows fell" }],
  });
  await report("run.published", published);
  expect(firstLines()).toEqual([
    expect.stringContaining("The earlier file stays."),
    expect.stringContaining("despite guard violations: rows fell."),
  ]);
});

test("each failure around a run or of an instance is emailed once, without metrics", async () => {
  const query = (queryExecutionId: string) => ({ runId, dataset, queryExecutionId, reason });
  const instance = { instanceId: "i-0123456789abcdef0", reason };
  for (const name of [dataset, dataset, `${dataset}-deidentified`])
    await report("file.refused", { runId, dataset: name, bucket: "data", key: publish.csv, reason });
  await report("query.failed", query("q-1"));
  await report("query.failed", query("q-1"));
  await report("query.failed", query("q-2"));
  for (const message of [
    await arriving("tableau.failed", { runId, dataset, reason }),
    await arriving("tableau.failed", { runId, dataset, reason }),
    await arriving("instance.failed", instance),
    await arriving("instance.failed", instance),
  ]) {
    expect(await handle(message)).toBe("done");
    expect(await handle(message)).toBe("done");
  }
  expect(subjects()).toEqual([
    "reference-transactions not updated in Athena: file refused",
    "reference-transactions-deidentified not updated in Athena: file refused",
    "reference-transactions not updated in Athena: query failed",
    "reference-transactions not updated in Athena: query failed",
    "reference-transactions not updated in Tableau",
    "reference-transactions not updated in Tableau",
    "EC2 instance i-0123456789abcdef0 did not start or stop",
    "EC2 instance i-0123456789abcdef0 did not start or stop",
  ]);
  expect(sent[4]?.body).toContain("npx sst shell --stage local -- npm run replay -- send --queue tableau");
  expect(measured).toEqual([]);
});

test("an email that SNS did not accept is retried and sent once", async () => {
  await putResult();
  const message = await arriving("run.published", published);
  const { notify } = deps;
  deps.notify = () => Promise.reject(new Error("SNS is unavailable."));
  expect(await handle(message)).toBe("retried");
  expect(measured).toEqual([]);
  deps.notify = notify;
  expect(await handle(message)).toBe("done");
  expect([sent.length, measured.length]).toEqual([1, 1]);
});

test("a message is posted after its email and its claim, and a failure is counted and repeats nothing", async () => {
  await putResult();
  const message = await arriving("run.published", published);
  const posted: Notification[] = [];
  deps.post = async (notification) => {
    const claim = await deps.work.getText(keys.report(runId, "run.published"));
    expect([sent.length, claim]).toEqual([1, expect.stringContaining('"done"')]);
    posted.push(notification);
    throw new PipelineError("WebhookRequestRefused", { message: "Status 404.", advice: "Create it again." });
  };
  const failures: string[] = [];
  deps.onNotPosted = ({ name }) => failures.push(name);
  expect(await handle(message)).toBe("done");
  expect(await handle(message)).toBe("done");
  expect(posted).toEqual(sent);
  expect(sent).toHaveLength(1);
  expect(failures).toEqual(["WebhookRequestRefused"]);
  expect(measured.map(({ WebhookFailures }) => WebhookFailures)).toEqual([undefined, 1]);
});

test("a message is not posted if its email fails", async () => {
  await putResult();
  const posted: Notification[] = [];
  deps.post = async (notification) => void posted.push(notification);
  deps.notify = () => Promise.reject(new Error("SNS is unavailable."));
  expect(await report("run.published", published)).toBe("retried");
  expect(posted).toEqual([]);
});

test("the daily email about dead letters is posted too", async () => {
  const posted: Notification[] = [];
  deps.post = async (notification) => void posted.push(notification);
  await putFile();
  await queuePair.deadLetters.send("{}");
  deps.deadLetterQueues = [{ name: "reporter", deadLetters: queuePair.deadLetters }];
  await report("freshness.check.requested", { dataset });
  expect(posted).toEqual(sent);
  expect(subjects()).toEqual(["1 dead letter"]);
});

test("an alarm is posted once and not emailed, because its topic emails it", async () => {
  const posted: Notification[] = [];
  deps.post = async (notification) => void posted.push(notification);
  const alarmName = "libinsight-ada-DeadLetters";
  const event = awsEvent("aws.cloudwatch", "CloudWatch Alarm State Change", {
    alarmName,
    configuration: { description: "Some work is blocked.", metrics: [] },
    state: { value: "ALARM", reason: "Threshold Crossed" },
  });
  await queuePair.source.send(event);
  const [message] = await take(queuePair.source);
  if (!message) throw new Error("The queue is empty.");
  expect(await handle(message)).toBe("done");
  expect(await handle(message)).toBe("done");
  expect(posted).toEqual([{ subject: `ALARM: ${alarmName}`, body: "Some work is blocked." }]);
  expect([sent, measured]).toEqual([[], []]);
});

test("a run with an expired result is a dead letter that names it", async () => {
  expect(await report("run.published", published)).toBe("dead letter");
  const ErrorText = expect.stringContaining(runId);
  expect(await take(queuePair.deadLetters)).toMatchObject([{ attributes: { ErrorText } }]);
  expect(sent).toEqual([]);
});

const putFile = () => overwrite(deps.data, publish.csv, "rows", { "run-id": runId });

test("a query is measured from the file's publication, unless a later file has replaced it", async () => {
  await putFile();
  clock += 12_000;
  const detail = { dataset, queryExecutionId: "q", bucket: "results", key: "r", rows: 1 };
  await report("results.published", { ...detail, runId });
  await report("results.published", { ...detail, runId: `${dataset}-ffffffffffff` });
  await report("results.published", { ...detail, runId, dataset: `${dataset}-deidentified` });
  expect(measured).toEqual([{ dataset, QuerySeconds: 12 }]);
  expect(sent).toEqual([]);
});

test("the daily checks measure the published file and the running instances", async () => {
  await putFile();
  clock += 1_800_000;
  await report("freshness.check.requested", { dataset });
  await report("instances.check.requested", {});
  expect(measured).toEqual([
    { dataset, PublishedFileAgeHours: 0.5, ResultsBehindHours: 0.5, StrayObjects: 0 },
    { InstancesRunningHours: 0 },
  ]);
});

test("the daily check emails each queue's dead letters without hiding or removing them, once a day until none is left", async () => {
  await putFile();
  const ids = ["fetcher", "athena", "undelivered"] as const;
  const [fetcher, athena, rules] = [
    local.queuePair("fetcher"),
    local.queuePair("athena"),
    local.queuePair("replay"),
  ];
  const queues = [fetcher.deadLetters, athena.deadLetters, rules.deadLetters];
  deps.deadLetterQueues = queues.map((deadLetters, n) => ({ name: ids[n] ?? "ec2", deadLetters }));
  const words = "a patron's words";
  const task = { runId, window: { number: 2 }, attempt: 1, page: 3, comment: words };
  const attributes = { Error: "LibInsightTimeout", ErrorText: words };
  await fetcher.deadLetters.send(JSON.stringify(task), { attributes });
  clock += 3_900_000;
  await fetcher.deadLetters.send(words);
  const { send } = rules.deadLetters;
  await send.call(rules.deadLetters, words, {
    attributes: { ERROR_CODE: "NO_PERMISSIONS", ERROR_MESSAGE: words },
  });

  expect(await report("freshness.check.requested", { dataset })).toBe("done");
  expect(await report("freshness.check.requested", { dataset })).toBe("done");
  expect(subjects()).toEqual(["3 dead letters"]);
  expect(sent[0]?.body.split("\n").slice(2, 4)).toEqual([
    `fetcher: 2, the oldest 1 h 5 min old: LibInsightTimeout (run ${runId}, window 2, page 3)`,
    "undelivered: 1, the oldest 0 s old: NO_PERMISSIONS",
  ]);
  expect(sent[0]?.body).toContain("npx sst shell --stage local -- npm run replay -- list");
  expect(sent[0]?.body).not.toContain(words);
  expect((await take(fetcher.deadLetters)).map(({ body }) => body)).toEqual([JSON.stringify(task), words]);

  clock += 24 * 3_600_000;
  await report("freshness.check.requested", { dataset });
  expect(subjects()).toEqual(["3 dead letters", "1 dead letter"]);
  await take(rules.deadLetters);
  clock += 24 * 3_600_000;
  await report("freshness.check.requested", { dataset });
  expect(sent).toHaveLength(2);
});

test("the daily check says which dead letters it could not read, and how many of them it has read", async () => {
  await putFile();
  const { deadLetters } = local.queuePair("fetcher");
  deps.deadLetterQueues = [{ name: "fetcher", deadLetters }];
  for (let n = 0; n < 11; n++) await deadLetters.send("{}");
  await report("freshness.check.requested", { dataset });
  clock += 24 * 3_600_000;
  for (let n = 0; n < 2; n++)
    await deadLetters.receive({ max: 10, visibilitySeconds: 3_600, waitSeconds: 0 });
  await report("freshness.check.requested", { dataset });
  expect(sent.map(({ body }) => body.split("\n")[2])).toEqual([
    "fetcher: 11, the oldest of 10 0 s old: no reason given",
    "fetcher: 11, in use by a command",
  ]);
});
