// Events on the bus become messages of the topic and metrics on stdout, through the queue and the handler that it feeds.
import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { SubscribeCommand } from "@aws-sdk/client-sns";
import { GetQueueAttributesCommand, type Message } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { assemble } from "../../../services/assembler/assemble.ts";
import { handler } from "../../../services/reporter/handler.ts";
import { busPublisher } from "../../../shared/aws/bus.ts";
import { eventBridge, sns, sqs } from "../../../shared/aws/clients.ts";
import { Queue } from "../../../shared/aws/queue.ts";
import { config } from "../../../shared/config.ts";
import type { EventDetail, EventType } from "../../../shared/events.ts";
import { keys } from "../../../shared/keys.ts";
import type { RunResult } from "../../../shared/run.ts";
import { recordOf } from "../../factories/records.ts";
import { runOf } from "../../factories/requests.ts";
import { resultOf } from "../../factories/results.ts";
import { type LocalAws, lambdaContext, sqsEvent, startLocalAws, take } from "../../support/local-aws.ts";
import { enableMetrics, metricLines, withoutService } from "../../support/metrics.ts";
import { defaultDataset } from "../../support/transformed.ts";
import { putRun, putWindow } from "../../support/work-bucket.ts";

let aws: LocalAws;
/** The queue of somebody who has subscribed to the topic. */
let mailbox: Queue;
beforeAll(async () => {
  aws = await startLocalAws();
  enableMetrics();
  mailbox = await aws.queue();
  const asked = { QueueUrl: mailbox.url, AttributeNames: ["QueueArn" as const] };
  const { Attributes } = await sqs().send(new GetQueueAttributesCommand(asked));
  const Endpoint = Attributes?.QueueArn;
  await sns().send(new SubscribeCommand({ TopicArn: config.alertsTopic(), Protocol: "sqs", Endpoint }));
});
afterAll(() => aws?.close());

const dataset = defaultDataset.name;
const csvKey = defaultDataset.publish.csv;

let runs = 0;
let runId = "";
beforeEach(async () => {
  await take(mailbox);
  runs += 1;
  runId = `${dataset}-${String(runs).padStart(12, "0")}`;
});

const mail = z.object({ Subject: z.string(), Message: z.string() });

/** What the subscriber has got since the last time. */
async function mails() {
  return (await take(mailbox)).map(({ Body = "" }) => {
    const { Subject, Message } = mail.parse(JSON.parse(Body));
    return { subject: Subject, text: Message.split("\n")[0], body: Message };
  });
}

/** Puts an event on the bus. @returns what arrives in the reporter queue */
async function arriving<T extends EventType>(type: T, detail: EventDetail<T>): Promise<Message[]> {
  await busPublisher(eventBridge(), config.busName())(type, detail);
  const messages = await take(aws.serviceQueue("reporter"), 5);
  expect(messages).toHaveLength(1);
  return messages;
}

const handle = (messages: readonly Message[]) => handler(sqsEvent(messages), lambdaContext);

async function tell<T extends EventType>(type: T, detail: EventDetail<T>) {
  return handle(await arriving(type, detail));
}

async function putResult(given: Partial<RunResult> = {}): Promise<RunResult> {
  const result = resultOf({ runId, ...given });
  await aws.work.put(keys.result(runId), JSON.stringify(result), "application/json");
  return result;
}

const publishedDetail = () => ({ runId, dataset, bucket: "data", key: csvKey, rows: 10_412 });
const reason = "The earlier file stays. Do this: npm run runs -- list";

test("a published run is told to people, and to CloudWatch in numbers", async () => {
  await putResult();
  const lines = metricLines();
  const answer = await tell("run.published", publishedDetail());

  expect(answer).toEqual({ batchItemFailures: [], deadLetters: [] });
  expect(await mails()).toEqual([
    {
      subject: "LibInsight local: reference-transactions published 10,412 rows",
      text: "Published 10,412 rows (+132 since 16 November), 3 rejected, 2 duplicates, in 41 s. Athena follows.",
      body: expect.stringContaining(`runs -- show ${runId}`),
    },
  ]);
  const metric = (Name: string, Unit: string) => ({ Name, Unit });
  expect(lines).toEqual([
    {
      _aws: {
        Timestamp: expect.any(Number),
        CloudWatchMetrics: [
          {
            Namespace: "LibInsight",
            Dimensions: [["service", "stage", "dataset"]],
            Metrics: [
              metric("RowsPublished", "Count"),
              metric("RowsChange", "Count"),
              metric("Rejects", "Count"),
              metric("Duplicates", "Count"),
              metric("RefetchedWindows", "Count"),
            ],
          },
        ],
      },
      service: "reporter",
      stage: "local",
      dataset,
      RowsPublished: 10_412,
      RowsChange: 132,
      Rejects: 3,
      Duplicates: 2,
      RefetchedWindows: 0,
    },
  ]);
});

test("the time of each stage is told where the run's pages tell it", async () => {
  const summary = (page: number) => keys.summary({ runId, window: 1, attempt: 1, page });
  for (const page of [2, 1]) {
    await aws.work.put(summary(page), "{}", "application/json");
    // So that they have times of their own.
    await delay(5);
  }
  const transformedAt = (await aws.work.listChanges(keys.allSummaries(runId), 10)).get(summary(1));
  const at = (seconds: number) => new Date((transformedAt?.getTime() ?? 0) + seconds * 1000).toISOString();
  await putResult({ requestedAt: at(-40), finishedAt: at(7) });
  const lines = metricLines();
  await tell("run.published", publishedDetail());
  expect(lines).toMatchObject([{ CollectSeconds: 40, AssembleSeconds: 7 }]);
});

test("a run that is told of twice, also at once and in events of their own, is told once", async () => {
  await putResult();
  const lines = metricLines();
  const first = await arriving("run.published", publishedDetail());
  const again = await arriving("run.published", publishedDetail());
  const answers = await Promise.all([handle(first), handle(first)]);
  // Who comes second, before the first one is done, can't know how that will end, and comes again.
  expect(answers.flatMap(({ batchItemFailures }) => batchItemFailures).length).toBeLessThan(2);
  for (const late of [first, again]) expect((await handle(late)).batchItemFailures).toEqual([]);

  expect(await mails()).toHaveLength(1);
  expect(lines).toHaveLength(1);
});

test.each([
  ["run.held", {}, "run held"],
  ["run.failed", {}, "run failed"],
  ["run.failed", { superseded: true }, "run superseded"],
] as const)("%s %j says why and what to do, and has numbers but no rows", async (type, given, what) => {
  await putResult({
    state: what === "run superseded" ? "superseded" : type === "run.held" ? "held" : "failed",
  });
  const lines = metricLines();
  await tell(type, { runId, dataset, reason, ...given });
  expect(await mails()).toMatchObject([
    {
      subject: `LibInsight local: reference-transactions ${what}`,
      text: "The earlier file stays. Do this: npx sst shell --stage local -- npm run runs -- list",
    },
  ]);
  expect(lines.map(withoutService)).toEqual([{ dataset, Rejects: 3, Duplicates: 2, RefetchedWindows: 0 }]);
});

test("no word of a record gets into a message or a metric, from the record to the mail", async () => {
  const word = "MARKED words of a patron";
  const record = (id: number, date: string) => ({
    ...Object.fromEntries(Object.keys(recordOf(id)).map((field) => [field, word])),
    _id: id,
    _start_date: date,
  });
  const run = runOf("marked");
  await putRun(run, aws.work);
  const pages = [[record(1, "2023-05-01 10:00:00"), record(2, word), record(3, "2023-05-01 10:00:00")]];
  await putWindow(run, { window: 1, pages }, aws.work);
  const deps = {
    work: aws.work,
    data: aws.data,
    fetcherQueue: aws.serviceQueue("fetcher"),
    publish: busPublisher(eventBridge(), config.busName()),
    now: () => new Date(),
  };
  const lines = metricLines();
  // Held for its rejects, then published by force.
  for (const force of [undefined, word]) {
    await assemble({ runId: run.runId, dataset, attempt: 1, ...(force && { force }) }, deps);
    await handle(await take(aws.serviceQueue("reporter"), 5));
  }
  const told = await mails();
  expect(told.map(({ text }) => text)).toEqual([
    expect.stringContaining("1 of 3 records were rejected"),
    expect.stringMatching(/^Published 2 rows.*, 1 rejected, .* By force: 1 of 3 records were rejected/),
  ]);
  expect(lines).toHaveLength(2);
  expect(JSON.stringify([told, lines])).not.toContain("MARKED");
});

test("a held run that is published later is told of both times", async () => {
  await putResult({ state: "held" });
  metricLines();
  await tell("run.held", { runId, dataset, reason });
  await putResult({ force: "somebody looked", violations: ["rows fell"] });
  await tell("run.published", publishedDetail());
  expect((await mails()).map(({ text }) => text)).toEqual([
    expect.stringContaining("The earlier file stays."),
    expect.stringContaining("By force: rows fell."),
  ]);
});

test("what went wrong after a run is told, each time that it goes wrong, and as often as it is told of once", async () => {
  const lines = metricLines();
  const query = (queryExecutionId: string) => ({ runId, dataset, queryExecutionId, reason });
  await tell("file.refused", { runId, dataset, bucket: "data", key: csvKey, reason });
  await tell("query.failed", query("q-1"));
  await tell("query.failed", query("q-1"));
  await tell("query.failed", query("q-2"));
  const refresh = await arriving("tableau.failed", { runId, dataset, reason });
  await handle(refresh);
  await handle(refresh);
  await tell("tableau.failed", { runId, dataset, reason });

  expect((await mails()).map(({ subject }) => subject.split("reference-transactions ")[1])).toEqual([
    "published file refused",
    "query failed",
    "query failed",
    "Tableau not refreshed",
    "Tableau not refreshed",
  ]);
  expect(lines).toEqual([]);
});

test("an instance that failed is told of once for each time that it did", async () => {
  const failed = { instanceId: "i-0123456789abcdef0", reason };
  const first = await arriving("instance.failed", failed);
  await handle(first);
  await handle(first);
  await tell("instance.failed", failed);
  const subject = "LibInsight local: EC2 instance i-0123456789abcdef0 failed";
  expect(await mails()).toMatchObject([{ subject }, { subject }]);
});

test("the daily look at the instances asks EC2", async () => {
  const lines = metricLines();
  await tell("instances.check.requested", {});
  // The local one has an instance, which nobody has started.
  expect(lines.map(withoutService)).toEqual([{ InstancesRunningHours: 0 }]);
});

test("while SNS is away the message comes back, and is sent once when SNS is there again", async () => {
  const topic = config.alertsTopic();
  onTestFinished(() => {
    process.env.ALERTS_TOPIC_ARN = topic;
  });
  await putResult();
  const lines = metricLines();
  const [message] = await arriving("run.published", publishedDetail());
  if (!message) throw new Error("Nothing arrived.");
  process.env.ALERTS_TOPIC_ARN = `${topic}-away`;
  expect((await handle([message])).batchItemFailures).toEqual([{ itemIdentifier: message.MessageId }]);
  expect([await mails(), lines]).toEqual([[], []]);

  process.env.ALERTS_TOPIC_ARN = topic;
  expect((await handle([message])).batchItemFailures).toEqual([]);
  expect([(await mails()).length, lines.length]).toEqual([1, 1]);
});

test("a run whose result is gone is a dead letter that names it", async () => {
  const answer = await tell("run.published", publishedDetail());
  expect(answer.deadLetters).toHaveLength(1);
  const deadLetters = new Queue(sqs(), config.deadLetterUrl("reporter"));
  const [letter] = await deadLetters.receive({ hiddenSeconds: 0, waitSeconds: 1 });
  expect(letter?.MessageAttributes?.ErrorText?.StringValue).toContain(runId);
  expect(await mails()).toEqual([]);
});

async function putFile(of: string): Promise<Date> {
  const current = await aws.data.head(csvKey);
  await aws.data.upload(csvKey, Readable.from([Buffer.from(of)]), {
    contentType: "text/csv",
    metadata: { "run-id": of },
    condition: current ? { ifMatch: current.etag } : "absent",
  });
  return (await aws.data.head(csvKey))?.at ?? new Date(0);
}

test("how long the query took is told from the file's arrival, unless a later file has arrived", async () => {
  await putFile(runId);
  const lines = metricLines();
  const detail = { dataset, queryExecutionId: "q", bucket: "results", key: "r", rows: 1 };
  await tell("results.published", { ...detail, runId });
  await tell("results.published", { ...detail, runId: `${dataset}-ffffffffffff` });
  expect(lines.map(withoutService)).toEqual([{ dataset, QuerySeconds: expect.any(Number) }]);
  expect(Number(lines[0]?.QuerySeconds)).toBeLessThan(60);
  expect(await mails()).toEqual([]);
});

test("the daily look tells how old the published file is, in hours", async () => {
  await putFile("fresh");
  const lines = metricLines();
  await tell("freshness.check.requested", { dataset });
  expect(lines.map(withoutService)).toEqual([{ dataset, PublishedFileAgeHours: expect.any(Number) }]);
  expect(Number(lines[0]?.PublishedFileAgeHours)).toBeLessThan(1);
});
