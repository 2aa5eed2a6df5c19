// The wiring of an evaluated stage is the design's, and the same as on one machine.
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { objectCreated } from "../../shared/aws/events.ts";
import { queueNames } from "../../shared/config.ts";
import { datasets, findDataset } from "../../shared/datasets.ts";
import { type EventType, eventDetails } from "../../shared/events.ts";
import { moved } from "../../stacks/cron.ts";
import type { Graph } from "./evaluate/graph.ts";
import { evaluateStage } from "./evaluate.ts";
import {
  alertAddress,
  all,
  created,
  evaluateBoth,
  evaluationTimeout,
  json,
  nameIn,
  type Stage,
  secrets,
  stages,
  tableauEnvironment,
} from "./stages.ts";
import { lambda, localWiring, mapping, only, queue, rule, target, type Wiring, wiringOf } from "./wiring.ts";

let graphs: Record<Stage, Graph>;
beforeAll(async () => {
  graphs = await evaluateBoth();
}, evaluationTimeout);

const day = 24 * 3600;

const schedule = z.object({
  scheduleExpression: z.string(),
  scheduleExpressionTimezone: z.string(),
  state: z.string(),
  flexibleTimeWindow: z.object({ mode: z.string() }),
  target: z.object({
    arn: z.string(),
    eventbridgeParameters: z.object({ source: z.string(), detailType: z.string() }),
    input: json(z.unknown()),
    retryPolicy: z.object({ maximumEventAgeInSeconds: z.number(), maximumRetryAttempts: z.number() }),
    deadLetterConfig: z.object({ arn: z.string() }),
  }),
});

/** The schedules of an event, each with its detail as who hears it would read it. */
function schedulesOf<T extends z.core.$ZodType>(graph: Graph, type: EventType, detail: T) {
  return all(graph, "aws:scheduler/schedule:Schedule", schedule)
    .filter(({ is }) => is.target.eventbridgeParameters.detailType === type)
    .map(({ is }) => ({ ...is, input: z.parse(detail, is.target.input) }));
}

/** What a function that tells metrics needs for them. */
const measuring = (stage: Stage) => ({ STAGE: stage, POWERTOOLS_METRICS_NAMESPACE: "LibInsight" });

describe.each(stages)("on the stage %s", (stage) => {
  test("each queue of the design feeds its function", () => {
    expect(wiringOf(graphs[stage]).queues).toEqual({
      kickoff: {
        handler: "services/kickoff/handler.handler",
        batchSize: 1,
        timeoutSeconds: 60,
        fifo: false,
        contentBasedDeduplication: false,
        receiveLimit: 5,
      },
      fetcher: {
        handler: "services/fetcher/handler.handler",
        batchSize: 1,
        timeoutSeconds: 120,
        fifo: false,
        contentBasedDeduplication: false,
        receiveLimit: 5,
      },
      transformer: {
        handler: "services/transformer/handler.handler",
        batchSize: 10,
        timeoutSeconds: 60,
        fifo: false,
        contentBasedDeduplication: false,
        receiveLimit: 5,
      },
      assembler: {
        handler: "services/assembler/handler.handler",
        batchSize: 1,
        timeoutSeconds: 900,
        fifo: true,
        contentBasedDeduplication: false,
        receiveLimit: 5,
      },
      athena: {
        handler: "services/athena/handler.handler",
        batchSize: 1,
        timeoutSeconds: 120,
        fifo: false,
        contentBasedDeduplication: false,
        receiveLimit: 5,
      },
      tableau: {
        handler: "services/tableau/handler.handler",
        batchSize: 1,
        timeoutSeconds: 900,
        fifo: true,
        contentBasedDeduplication: true,
        receiveLimit: 5,
      },
      reporter: {
        handler: "services/reporter/handler.handler",
        batchSize: 1,
        timeoutSeconds: 60,
        fifo: false,
        contentBasedDeduplication: false,
        receiveLimit: 5,
      },
      ec2: {
        handler: "services/ec2/handler.handler",
        batchSize: 1,
        timeoutSeconds: 120,
        fifo: false,
        contentBasedDeduplication: false,
        receiveLimit: 5,
      },
      replay: {
        handler: "services/replay/handler.handler",
        batchSize: 1,
        timeoutSeconds: 300,
        fifo: false,
        contentBasedDeduplication: false,
        receiveLimit: 5,
      },
    });
  });

  test("every function answers message by message, and only so many run at once", () => {
    const found = all(graphs[stage], "aws:lambda/eventSourceMapping:EventSourceMapping", mapping);
    const known = nameIn(graphs[stage]);
    const limits = found.map(({ is }) => [known(is.eventSourceArn), is.scalingConfig.maximumConcurrency]);
    expect(Object.fromEntries(limits)).toEqual({
      KickoffQueue: 2,
      FetcherQueue: 8,
      TransformerQueue: 4,
      AssemblerQueue: 2,
      AthenaQueue: 2,
      TableauQueue: 2,
      ReporterQueue: 2,
      Ec2Queue: 2,
      ReplayQueue: 2,
    });
    for (const { is } of found) expect(is.functionResponseTypes).toEqual(["ReportBatchItemFailures"]);
  });

  test("every work queue hides a message six times as long as its function may take", () => {
    const { queues } = wiringOf(graphs[stage]);
    const visibility = all(graphs[stage], "aws:sqs/queue:Queue", queue)
      .filter(({ is }) => is.redrivePolicy)
      .map(({ is }) => is.visibilityTimeoutSeconds);
    expect(visibility).toEqual(Object.values(queues).map(({ timeoutSeconds }) => 6 * timeoutSeconds));
  });

  test("every queue has a dead-letter queue of its own kind that keeps messages for 14 days, or is one", () => {
    const found = all(graphs[stage], "aws:sqs/queue:Queue", queue);
    const work = found.filter(({ is }) => is.redrivePolicy);
    const deadLetters = work.map(({ is }) =>
      only(found.filter((each) => is.redrivePolicy?.deadLetterTargetArn.endsWith(`:${each.is.name}`))),
    );
    expect(deadLetters.map(({ is }) => is.fifoQueue)).toEqual(work.map(({ is }) => is.fifoQueue));
    expect(new Set(deadLetters.map(({ name }) => name)).size).toBe(work.length);
    const rest = found.filter(({ is }) => !is.redrivePolicy);
    expect(rest.map(({ name }) => name).sort()).toEqual(
      [...deadLetters.map(({ name }) => name), "UndeliveredQueue", "UnscheduledQueue"].sort(),
    );
    for (const { is } of rest) expect(is.messageRetentionSeconds).toBe(14 * day);
  });

  test("Tableau is told of results one at a time: one group, in which nothing overtakes", () => {
    const found = wiringOf(graphs[stage]).rules.filter(({ messageGroup }) => messageGroup !== undefined);
    expect(found).toEqual([
      {
        bus: "Pipeline",
        pattern: { source: ["libinsight.pipeline"], "detail-type": ["results.published"] },
        queue: "tableau",
        messageGroup: "tableau",
      },
    ]);
  });

  test("every rule has a pattern and one queue, tries for a day and then keeps the event", () => {
    const known = nameIn(graphs[stage]);
    for (const { is } of all(graphs[stage], "aws:cloudwatch/eventRule:EventRule", rule)) {
      expect(is.state).toBe("ENABLED");
      expect(Object.keys(is.eventPattern)).toEqual(expect.arrayContaining(["source", "detail-type"]));
    }
    for (const { is } of all(graphs[stage], "aws:cloudwatch/eventTarget:EventTarget", target)) {
      expect(is.retryPolicy).toEqual({ maximumEventAgeInSeconds: day, maximumRetryAttempts: 185 });
      expect(known(is.deadLetterConfig.arn)).toBe("Undelivered");
    }
  });

  test("each dataset is collected by its schedule and its library's clock, once for each time", () => {
    const found = schedulesOf(graphs[stage], "run.requested", eventDetails["run.requested"]);
    expect(found.map(({ input }) => input.dataset)).toEqual(datasets.map(({ name }) => name));
    for (const { scheduleExpression, scheduleExpressionTimezone, state, input } of found) {
      const dataset = findDataset(input.dataset);
      expect([scheduleExpression, scheduleExpressionTimezone, state]).toEqual([
        dataset.schedule,
        dataset.timeZone,
        stage === "production" ? "ENABLED" : "DISABLED",
      ]);
      expect(input.requestId).toBe("schedule <aws.scheduler.scheduled-time>");
    }
  });

  test.each([
    ["instance.start.requested", -15],
    ["instance.stop.requested", 240],
  ] as const)("where there are instances, %s comes %i minutes from the hour of each run", (type, minutes) => {
    const filledIn = z
      .unknown()
      .transform((input): unknown =>
        JSON.parse(JSON.stringify(input).replace("<aws.scheduler.scheduled-time>", "2022-03-22T18:59:43Z")),
      );
    const wish = filledIn.pipe(eventDetails[type]);
    const found = schedulesOf(graphs[stage], type, wish).map(({ scheduleExpression, ...is }) => ({
      at: scheduleExpression,
      zone: is.scheduleExpressionTimezone,
      state: is.state,
      detail: is.input,
    }));
    const expected = datasets.map(({ name, schedule: cron, timeZone: zone }) => ({
      at: moved(cron, minutes),
      zone,
      state: "ENABLED",
      detail: { dataset: name, reason: "schedule", requestedAt: "2022-03-22T18:59:43Z" },
    }));
    expect(found).toEqual(stage === "production" ? expected : []);
  });

  test("once a day, after the hour of the runs, it is asked how old each dataset's published file is", () => {
    const type = "freshness.check.requested";
    const found = schedulesOf(graphs[stage], type, eventDetails[type]);
    expect(found.map(({ input }) => input)).toEqual(datasets.map(({ name }) => ({ dataset: name })));
    for (const { scheduleExpression, scheduleExpressionTimezone, state, input } of found) {
      expect([scheduleExpression, scheduleExpressionTimezone, state]).toEqual([
        "cron(0 9 * * ? *)",
        findDataset(input.dataset).timeZone,
        stage === "production" ? "ENABLED" : "DISABLED",
      ]);
    }
  });

  test("once a day it is asked how long the stage's instances have been running, where it has some", () => {
    const type = "instances.check.requested";
    const found = schedulesOf(graphs[stage], type, eventDetails[type]);
    expect(found.map(({ scheduleExpression, state }) => [scheduleExpression, state])).toEqual(
      stage === "production" ? [["cron(0 9 * * ? *)", "ENABLED"]] : [],
    );
  });

  test("every schedule fires at its minute, tries for a day to reach the bus, and then keeps its request", () => {
    const known = nameIn(graphs[stage]);
    const found = all(graphs[stage], "aws:scheduler/schedule:Schedule", schedule);
    expect(found).toHaveLength(stage === "production" ? 4 * datasets.length + 1 : 2 * datasets.length);
    for (const { flexibleTimeWindow, target } of found.map(({ is }) => is)) {
      expect(flexibleTimeWindow).toEqual({ mode: "OFF" });
      expect(target.eventbridgeParameters.source).toBe("libinsight.pipeline");
      expect(target.retryPolicy).toEqual({ maximumEventAgeInSeconds: day, maximumRetryAttempts: 185 });
      expect(known(target.arn)).toBe("Pipeline");
      expect(known(target.deadLetterConfig.arn)).toBe("Unscheduled");
    }
  });

  test("every function is told where its queues, buckets and bus are, and nothing that it does not use", () => {
    const known = nameIn(graphs[stage]);
    const told = all(graphs[stage], "aws:lambda/function:Function", lambda).map(({ name, is }) => [
      name.replace(/Function$/, ""),
      Object.fromEntries(
        Object.entries(is.environment.variables)
          // SST's own.
          .filter(([variable]) => !variable.startsWith("SST_"))
          .map(([variable, value]) => [variable, known(value)]),
      ),
    ]);
    expect(Object.fromEntries(told)).toEqual({
      Kickoff: {
        KICKOFF_QUEUE_URL: "KickoffQueue",
        KICKOFF_DEAD_LETTERS_URL: "KickoffDeadLetters",
        FETCHER_QUEUE_URL: "FetcherQueue",
        BUS_NAME: "Pipeline",
        WORK_BUCKET: "Work",
      },
      Fetcher: {
        FETCHER_QUEUE_URL: "FetcherQueue",
        FETCH_DEAD_LETTERS_URL: "FetcherDeadLetters",
        PAGES_QUEUE_URL: "TransformerQueue",
        WORK_BUCKET: "Work",
        LIBINSIGHT_BASE_URL: "https://vt.libinsight.com/v1.0",
        ...measuring(stage),
      },
      Transformer: {
        PAGES_QUEUE_URL: "TransformerQueue",
        PAGES_DEAD_LETTERS_URL: "TransformerDeadLetters",
        ASSEMBLE_QUEUE_URL: "AssemblerQueue",
        BUS_NAME: "Pipeline",
        WORK_BUCKET: "Work",
      },
      Assembler: {
        ASSEMBLE_QUEUE_URL: "AssemblerQueue",
        ASSEMBLE_DEAD_LETTERS_URL: "AssemblerDeadLetters",
        FETCHER_QUEUE_URL: "FetcherQueue",
        BUS_NAME: "Pipeline",
        WORK_BUCKET: "Work",
        DATA_BUCKET: "Data",
      },
      Athena: {
        ATHENA_QUEUE_URL: "AthenaQueue",
        ATHENA_DEAD_LETTERS_URL: "AthenaDeadLetters",
        BUS_NAME: "Pipeline",
        WORK_BUCKET: "Work",
        DATA_BUCKET: "Data",
        RESULTS_BUCKET: "Results",
        ATHENA_WORKGROUP: "Workgroup",
        ATHENA_DATABASE: stage === "production" ? "libinsightdatabase" : "libinsight_ada",
      },
      Tableau: {
        TABLEAU_QUEUE_URL: "TableauQueue",
        TABLEAU_DEAD_LETTERS_URL: "TableauDeadLetters",
        BUS_NAME: "Pipeline",
        // Of the two stages one has a Tableau.
        ...(stage === "production" && tableauEnvironment),
      },
      Reporter: {
        REPORT_QUEUE_URL: "ReporterQueue",
        REPORT_DEAD_LETTERS_URL: "ReporterDeadLetters",
        WORK_BUCKET: "Work",
        DATA_BUCKET: "Data",
        ALERTS_TOPIC_ARN: "Alerts",
        INSTANCES: stage === "production" ? "tagged" : "none",
        ...measuring(stage),
        ...(stage === "production" && tableauEnvironment),
      },
      Ec2: {
        INSTANCE_QUEUE_URL: "Ec2Queue",
        INSTANCE_DEAD_LETTERS_URL: "Ec2DeadLetters",
        BUS_NAME: "Pipeline",
        WORK_BUCKET: "Work",
        INSTANCES: stage === "production" ? "tagged" : "none",
      },
      Replay: {
        KICKOFF_QUEUE_URL: "KickoffQueue",
        KICKOFF_DEAD_LETTERS_URL: "KickoffDeadLetters",
        FETCHER_QUEUE_URL: "FetcherQueue",
        FETCH_DEAD_LETTERS_URL: "FetcherDeadLetters",
        PAGES_QUEUE_URL: "TransformerQueue",
        PAGES_DEAD_LETTERS_URL: "TransformerDeadLetters",
        ASSEMBLE_QUEUE_URL: "AssemblerQueue",
        ASSEMBLE_DEAD_LETTERS_URL: "AssemblerDeadLetters",
        ATHENA_QUEUE_URL: "AthenaQueue",
        ATHENA_DEAD_LETTERS_URL: "AthenaDeadLetters",
        TABLEAU_QUEUE_URL: "TableauQueue",
        TABLEAU_DEAD_LETTERS_URL: "TableauDeadLetters",
        REPORT_QUEUE_URL: "ReporterQueue",
        REPORT_DEAD_LETTERS_URL: "ReporterDeadLetters",
        INSTANCE_QUEUE_URL: "Ec2Queue",
        INSTANCE_DEAD_LETTERS_URL: "Ec2DeadLetters",
        REPLAY_QUEUE_URL: "ReplayQueue",
        REPLAY_DEAD_LETTERS_URL: "ReplayDeadLetters",
      },
    });
  });

  test("queries run in a workgroup whose settings hold, with a limit, a place and encryption", () => {
    const workgroups = created(graphs[stage], "aws:athena/workgroup:Workgroup");
    expect(workgroups.map(({ name }) => name)).toEqual(["Workgroup", "AnalystsWorkgroup"]);
    const [workgroup] = workgroups;
    const bucket =
      stage === "production"
        ? "lib-insight-serialized-data-created-in-east1-connect-to-athena"
        : expect.stringContaining("resultsbucket");
    expect(workgroup?.inputs).toMatchObject({
      configuration: {
        enforceWorkgroupConfiguration: true,
        bytesScannedCutoffPerQuery: 10 * 1024 ** 3,
        resultConfiguration: { encryptionConfiguration: { encryptionOption: "SSE_S3" } },
      },
    });
    const place = z.object({
      configuration: z.object({ resultConfiguration: z.object({ outputLocation: z.string() }) }),
    });
    const { outputLocation } = place.parse(workgroup?.inputs).configuration.resultConfiguration;
    const [, , host, folder] = outputLocation.split("/");
    expect([host, folder]).toEqual([bucket, "libinsightQueryOnS3csvTable"]);
  });
});

test("Virginia Tech's reference transactions are collected on Mondays at six", () => {
  const { schedule, timeZone } = findDataset("reference-transactions");
  expect([schedule, timeZone]).toEqual(["cron(0 6 ? * MON *)", "America/New_York"]);
});

test("a published file in an existing bucket arrives in the form of S3's own notifications", () => {
  const { production } = graphs;
  expect(created(production, "aws:s3/bucketNotification:BucketNotification")).toEqual([]);
  expect(wiringOf(production).rules).toContainEqual({
    bus: "default",
    pattern: {
      source: ["aws.s3"],
      "detail-type": ["Object Created"],
      detail: {
        bucket: { name: ["analytics-datapipeline"] },
        object: { key: datasets.map(({ publish }) => publish.csv) },
      },
    },
    queue: "athena",
  });
  const { inputTransformer } = only(
    all(production, "aws:cloudwatch/eventTarget:EventTarget", target).filter(({ is }) => is.inputTransformer),
  ).is;
  expect(inputTransformer?.inputPaths).toEqual({
    bucket: "$.detail.bucket.name",
    key: "$.detail.object.key",
  });
  // EventBridge puts a text in with its quotes.
  const message = inputTransformer?.inputTemplate
    .replace("<bucket>", '"a-bucket"')
    .replace("<key>", '"a/key.csv"');
  expect(objectCreated.parse(JSON.parse(message ?? "")).Records[0]?.s3).toEqual({
    bucket: { name: "a-bucket" },
    object: { key: "a/key.csv" },
  });
});

test.each([
  [{ TABLEAU_URL: "https://tableau.example.edu" }, "TABLEAU_TOKEN_NAME must be set too"],
  [{ INSTANCES: "all" }, "INSTANCES can't be used: it is `tagged`"],
  [{ TABLEAU_URL: "http://tableau.example.edu", TABLEAU_TOKEN_NAME: "refresh" }, "TABLEAU_URL can't be used"],
])("a deploy with %j fails, and says why", async (environment, told) => {
  const deploy = evaluateStage("ada", {
    secrets,
    environment: { ALERT_ADDRESS: alertAddress, ...environment },
  });
  await expect(deploy).rejects.toThrow(told);
});

test("a command on a stage is told every queue, the bus, the buckets and where analysts ask, and no secret", () => {
  const known = nameIn(graphs.ada);
  const link = z.object({ properties: z.object({ variables: z.record(z.string(), z.string()) }) });
  const found = created(graphs.ada, "sst:sst:LinkRef").filter(({ name }) => name === "SettingsLinkRef");
  const { variables } = link.parse(only(found).inputs).properties;
  const told = Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, known(value)]));
  const capitalized = (name: string) => name.charAt(0) + name.slice(1).toLowerCase();
  expect(told).toEqual({
    BUS_NAME: "Pipeline",
    WORK_BUCKET: "Work",
    DATA_BUCKET: "Data",
    ATHENA_REGION: "us-east-1",
    ATHENA_DATABASE: "libinsight_ada",
    ANALYSTS_WORKGROUP: "AnalystsWorkgroup",
    INSTANCES: "none",
    ANALYSTS_RESULTS: expect.stringMatching(/^s3:\/\/libinsight-ada-resultsbucket-\w+\/tableau\/$/),
    ...Object.fromEntries(
      queueNames.flatMap((name) => [
        [`${name}_QUEUE_URL`, `${capitalized(name)}Queue`],
        [`${name}_DEAD_LETTERS_URL`, `${capitalized(name)}DeadLetters`],
      ]),
    ),
  });
});

test("the wiring on one machine is the same", async () => {
  const here = await localWiring();
  expect(Object.keys(here.queues)).toHaveLength(9);
  expect(here.versioned).toEqual(["Data", "Results"]);
  expect(withoutNames(here)).toEqual(withoutNames(wiringOf(graphs.ada)));
});

/** Bus and workgroup have names of their own on every stage and machine, and rules have no order. */
function withoutNames({ queues, rules, notifications, versioned }: Wiring): unknown {
  const text = JSON.stringify(
    rules.map((each) => ({ ...each, bus: each.bus === "default" ? "default" : "ours" })),
  );
  const named = text.replace(/"workgroupName":\["[^"]+"\]/g, '"workgroupName":["ours"]');
  return { queues, rules: new Set(z.array(z.unknown()).parse(JSON.parse(named))), notifications, versioned };
}
