// The wiring of an evaluated stage: queues, functions, rules, schedules and variables.
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { objectCreated } from "../../shared/aws-events.ts";
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
import { lambda, mapping, only, queue, rule, target, wiringOf } from "./wiring.ts";

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

/** Returns the schedules of an event, each with its detail as the service parses it. */
function schedulesOf<T extends z.core.$ZodType>(graph: Graph, type: EventType, detail: T) {
  return all(graph, "aws:scheduler/schedule:Schedule", schedule)
    .filter(({ is }) => is.target.eventbridgeParameters.detailType === type)
    .map(({ is }) => ({ ...is, input: z.parse(detail, is.target.input) }));
}

const pipelinePattern = z.strictObject({
  source: z.tuple([z.literal("libinsight.pipeline")]),
  "detail-type": z.array(z.string()),
});

/** The variables of a function that has metrics. */
const measuring = (stage: Stage) => ({ STAGE: stage, POWERTOOLS_METRICS_NAMESPACE: "LibInsight" });

describe.each(stages)("on the stage %s", (stage) => {
  test("each queue feeds the function of its name", () => {
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

  test("every function reports failures by message and has a limit of calls at once", () => {
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

  test("every work queue hides a message six times as long as its function's timeout", () => {
    const { queues } = wiringOf(graphs[stage]);
    const visibility = all(graphs[stage], "aws:sqs/queue:Queue", queue)
      .filter(({ is }) => is.redrivePolicy)
      .map(({ is }) => is.visibilityTimeoutSeconds);
    expect(visibility).toEqual(Object.values(queues).map(({ timeoutSeconds }) => 6 * timeoutSeconds));
  });

  test("every queue is a dead-letter queue that keeps messages for 14 days, or has one of its own type", () => {
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

  test("each event goes to the queues of its consumers", () => {
    const fromRules = wiringOf(graphs[stage]).rules.filter(({ bus }) => bus === "Pipeline");
    const queuesOf = Map.groupBy(
      fromRules.flatMap(({ pattern, ...rule }) =>
        pipelinePattern.parse(pattern)["detail-type"].map((type) => ({ type, ...rule })),
      ),
      ({ type }) => type,
    );
    const found = [...queuesOf].map(([type, rules]) => [
      type,
      rules.map(({ queue: to, messageGroup }) => (messageGroup ? `${to} (${messageGroup})` : to)).sort(),
    ]);
    expect(Object.fromEntries(found)).toEqual({
      "run.requested": ["kickoff"],
      "run.published": ["ec2", "reporter"],
      "run.held": ["ec2", "reporter"],
      "run.failed": ["ec2", "reporter"],
      "run.superseded": ["ec2", "reporter"],
      // One message group, so that Tableau gets one refresh at a time.
      "results.published": ["reporter", "tableau (tableau)"],
      "file.refused": ["reporter"],
      "query.failed": ["reporter"],
      "tableau.failed": ["reporter"],
      "deadletter.replay.requested": ["replay"],
      "freshness.check.requested": ["reporter"],
      "instances.check.requested": ["reporter"],
      "instance.start.requested": ["ec2"],
      "instance.stop.requested": ["ec2"],
      "instance.failed": ["reporter"],
    });
  });

  test("events of Athena and EC2 go to the queues of their services", () => {
    const { rules } = wiringOf(graphs[stage]);
    expect(rules.filter(({ bus }) => bus === "default")).toEqual(
      expect.arrayContaining([
        {
          bus: "default",
          pattern: {
            source: ["aws.athena"],
            "detail-type": ["Athena Query State Change"],
            detail: {
              workgroupName: [`libinsight-${stage}`],
              currentState: ["SUCCEEDED", "FAILED", "CANCELLED"],
            },
          },
          queue: "athena",
        },
        {
          bus: "default",
          pattern: {
            source: ["aws.ec2"],
            "detail-type": ["EC2 Instance State-change Notification"],
            detail: { state: ["running", "stopped", "terminated"] },
          },
          queue: "ec2",
        },
      ]),
    );
  });

  test("every rule has a pattern, retries for a day and then keeps the event", () => {
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

  test("each dataset is collected by its schedule and time zone, once for each scheduled time", () => {
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
  ] as const)(
    "on a stage with instances, %s is scheduled %i minutes from the time of each run",
    (type, minutes) => {
      const filledIn = z
        .unknown()
        .transform((input): unknown =>
          JSON.parse(JSON.stringify(input).replace("<aws.scheduler.scheduled-time>", "2022-03-22T18:59:43Z")),
        );
      const detail = filledIn.pipe(eventDetails[type]);
      const found = schedulesOf(graphs[stage], type, detail).map(({ scheduleExpression, ...is }) => ({
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
    },
  );

  test("the age of each dataset's published file is checked daily, after the time of the runs", () => {
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

  test("the running time of the stage's instances is checked daily, if it has any", () => {
    const type = "instances.check.requested";
    const found = schedulesOf(graphs[stage], type, eventDetails[type]);
    expect(found.map(({ scheduleExpression, state }) => [scheduleExpression, state])).toEqual(
      stage === "production" ? [["cron(0 9 * * ? *)", "ENABLED"]] : [],
    );
  });

  test("every schedule fires at its minute, retries for a day to reach the bus, and then keeps its request", () => {
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

  test("every function has the variables that it uses and no others", () => {
    const known = nameIn(graphs[stage]);
    const found = all(graphs[stage], "aws:lambda/function:Function", lambda).map(({ name, is }) => [
      name.replace(/Function$/, ""),
      Object.fromEntries(
        Object.entries(is.environment.variables)
          // SST's own.
          .filter(([variable]) => !variable.startsWith("SST_"))
          .map(([variable, value]) => [variable, known(value)]),
      ),
    ]);
    expect(Object.fromEntries(found)).toEqual({
      Kickoff: {
        KICKOFF_QUEUE_URL: "KickoffQueue",
        KICKOFF_DEAD_LETTERS_URL: "KickoffDeadLetters",
        FETCHER_QUEUE_URL: "FetcherQueue",
        BUS_NAME: "Pipeline",
        WORK_BUCKET: "Work",
      },
      Fetcher: {
        FETCHER_QUEUE_URL: "FetcherQueue",
        FETCHER_DEAD_LETTERS_URL: "FetcherDeadLetters",
        TRANSFORMER_QUEUE_URL: "TransformerQueue",
        WORK_BUCKET: "Work",
        LIBINSIGHT_BASE_URL: "https://vt.libinsight.com/v1.0",
        ...measuring(stage),
      },
      Transformer: {
        TRANSFORMER_QUEUE_URL: "TransformerQueue",
        TRANSFORMER_DEAD_LETTERS_URL: "TransformerDeadLetters",
        ASSEMBLER_QUEUE_URL: "AssemblerQueue",
        BUS_NAME: "Pipeline",
        WORK_BUCKET: "Work",
      },
      Assembler: {
        ASSEMBLER_QUEUE_URL: "AssemblerQueue",
        ASSEMBLER_DEAD_LETTERS_URL: "AssemblerDeadLetters",
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
        // Only production has a Tableau here.
        ...(stage === "production" && tableauEnvironment),
      },
      Reporter: {
        REPORTER_QUEUE_URL: "ReporterQueue",
        REPORTER_DEAD_LETTERS_URL: "ReporterDeadLetters",
        WORK_BUCKET: "Work",
        DATA_BUCKET: "Data",
        ALERTS_TOPIC_ARN: "Alerts",
        INSTANCES: stage === "production" ? "tagged" : "none",
        ...measuring(stage),
        ...(stage === "production" && tableauEnvironment),
      },
      Ec2: {
        EC2_QUEUE_URL: "Ec2Queue",
        EC2_DEAD_LETTERS_URL: "Ec2DeadLetters",
        BUS_NAME: "Pipeline",
        WORK_BUCKET: "Work",
        INSTANCES: stage === "production" ? "tagged" : "none",
      },
      Replay: {
        KICKOFF_QUEUE_URL: "KickoffQueue",
        KICKOFF_DEAD_LETTERS_URL: "KickoffDeadLetters",
        FETCHER_QUEUE_URL: "FetcherQueue",
        FETCHER_DEAD_LETTERS_URL: "FetcherDeadLetters",
        TRANSFORMER_QUEUE_URL: "TransformerQueue",
        TRANSFORMER_DEAD_LETTERS_URL: "TransformerDeadLetters",
        ASSEMBLER_QUEUE_URL: "AssemblerQueue",
        ASSEMBLER_DEAD_LETTERS_URL: "AssemblerDeadLetters",
        ATHENA_QUEUE_URL: "AthenaQueue",
        ATHENA_DEAD_LETTERS_URL: "AthenaDeadLetters",
        TABLEAU_QUEUE_URL: "TableauQueue",
        TABLEAU_DEAD_LETTERS_URL: "TableauDeadLetters",
        REPORTER_QUEUE_URL: "ReporterQueue",
        REPORTER_DEAD_LETTERS_URL: "ReporterDeadLetters",
        EC2_QUEUE_URL: "Ec2Queue",
        EC2_DEAD_LETTERS_URL: "Ec2DeadLetters",
        REPLAY_QUEUE_URL: "ReplayQueue",
        REPLAY_DEAD_LETTERS_URL: "ReplayDeadLetters",
      },
    });
  });

  test("queries run in a workgroup whose enforced settings limit the scan, set the output location and encrypt", () => {
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
    const location = z.object({
      configuration: z.object({ resultConfiguration: z.object({ outputLocation: z.string() }) }),
    });
    const { outputLocation } = location.parse(workgroup?.inputs).configuration.resultConfiguration;
    const [, , host, folder] = outputLocation.split("/");
    expect([host, folder]).toEqual([bucket, "libinsightQueryOnS3csvTable"]);
  });
});

test("Virginia Tech's reference transactions are collected on Mondays at six o'clock", () => {
  const { schedule, timeZone } = findDataset("reference-transactions");
  expect([schedule, timeZone]).toEqual(["cron(0 6 ? * MON *)", "America/New_York"]);
});

test("S3 notifies the athena queue of each dataset's CSV in a bucket of the stage's own", () => {
  expect(wiringOf(graphs.ada).notifications).toEqual(
    datasets.map(({ publish }) => ({ prefix: publish.csv, events: ["s3:ObjectCreated:*"], queue: "athena" })),
  );
});

test("a published file in an existing bucket is announced with the schema of S3's own notifications", () => {
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
  // EventBridge inserts a string with its quotes.
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
  [{ INSTANCES: "all" }, "INSTANCES is invalid. Set it to `tagged`"],
  [{ TABLEAU_URL: "http://tableau.example.edu", TABLEAU_TOKEN_NAME: "refresh" }, "TABLEAU_URL can't be used"],
])("a deploy with %j fails and gives the reason", async (environment, reason) => {
  const deploy = evaluateStage("ada", {
    secrets,
    environment: { ALERT_ADDRESS: alertAddress, ...environment },
  });
  await expect(deploy).rejects.toThrow(reason);
});

test("a command on a stage gets every queue, the bus, the buckets and the analysts' workgroup, and no secret", () => {
  const known = nameIn(graphs.ada);
  const link = z.object({ properties: z.object({ variables: z.record(z.string(), z.string()) }) });
  const found = created(graphs.ada, "sst:sst:LinkRef").filter(({ name }) => name === "SettingsLinkRef");
  const { variables } = link.parse(only(found).inputs).properties;
  const names = Object.keys(wiringOf(graphs.ada).queues);
  expect(names).toHaveLength(9);
  const title = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);
  expect(Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, known(value)]))).toEqual({
    BUS_NAME: "Pipeline",
    WORK_BUCKET: "Work",
    DATA_BUCKET: "Data",
    ATHENA_REGION: "us-east-1",
    ATHENA_DATABASE: "libinsight_ada",
    ANALYSTS_WORKGROUP: "AnalystsWorkgroup",
    INSTANCES: "none",
    ANALYSTS_RESULTS: expect.stringMatching(/^s3:\/\/libinsight-ada-resultsbucket-\w+\/tableau\/$/),
    ...Object.fromEntries(
      names.flatMap((name) => [
        [`${name.toUpperCase()}_QUEUE_URL`, `${title(name)}Queue`],
        [`${name.toUpperCase()}_DEAD_LETTERS_URL`, `${title(name)}DeadLetters`],
      ]),
    ),
  });
});
