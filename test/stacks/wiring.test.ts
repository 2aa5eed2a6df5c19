// Tests how an evaluated stage connects queues, functions, rules and schedules, and the variables of its functions.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { objectCreated } from "../../shared/aws-events.ts";
import { datasets, defaultDataset, findDataset } from "../../shared/datasets.ts";
import { eventDetails } from "../../shared/events.ts";
import { type QueueName, queueNames, routes, services } from "../../shared/topology.ts";
import { shiftSchedule } from "../../stacks/eventbridge-cron.ts";
import { evaluateStage } from "./evaluate.ts";
import { bucketArn } from "./readable.ts";
import {
  alertAddress,
  all,
  created,
  evaluateBoth,
  json,
  nameIn,
  secrets,
  stages,
  tableauEnvironment,
  titleOf,
} from "./stages.ts";
import { lambda, mapping, only, type QueueWiring, queue, rule, target, wiringOf } from "./wiring.ts";

const graphs = await evaluateBoth();

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

const pipelinePattern = z.strictObject({
  source: z.tuple([z.literal("libinsight.pipeline")]),
  "detail-type": z.array(z.string()),
});

const queueVariables = (names: readonly QueueName[]) =>
  Object.fromEntries(names.map((name) => [`${name.toUpperCase()}_QUEUE_URL`, `${titleOf(name)}Queue`]));
const deadLetterVariables = (names: readonly QueueName[]) =>
  Object.fromEntries(
    names.map((name) => [`${name.toUpperCase()}_DEAD_LETTERS_URL`, `${titleOf(name)}DeadLetters`]),
  );

describe.each(stages)("on the stage %s", (stage) => {
  test("each queue invokes the function of its name, within the limits of the topology", () => {
    const expected = queueNames.map((name): [string, QueueWiring] => {
      const { queue, batchSize, timeoutSeconds, memoryMb, concurrency } = services[name];
      const wiring = {
        handler: `services/${name}/handler.handler`,
        batchSize,
        timeoutSeconds,
        memoryMb,
        concurrency,
        // AWS recommends this: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        visibilitySeconds: 6 * timeoutSeconds,
        fifo: queue.fifo !== undefined,
        contentBasedDeduplication: queue.fifo === "by-content",
        receiveLimit: 5,
      };
      return [name, wiring];
    });
    expect(wiringOf(graphs[stage]).queues).toEqual(Object.fromEntries(expected));
    for (const { is } of all(graphs[stage], "aws:lambda/eventSourceMapping:EventSourceMapping", mapping))
      expect(is.functionResponseTypes).toEqual(["ReportBatchItemFailures"]);
  });

  test("every queue keeps messages for 14 days, and has a dead-letter queue of its type", () => {
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
    for (const { is } of found) expect(is.messageRetentionSeconds).toBe(14 * day);
  });

  test("Lambda limits only the requests to LibInsight, so that it polls idle queues less often", () => {
    const limited = Object.entries(wiringOf(graphs[stage]).queues).filter(
      ([, { concurrency }]) => concurrency,
    );
    expect(limited.map(([name, { concurrency }]) => [name, concurrency])).toEqual([["fetcher", 8]]);
  });

  test("Lambda allows long chains of messages only to athena and the fetcher, whose chains are bounded", () => {
    const configs = all(
      graphs[stage],
      "aws:lambda/functionRecursionConfig:FunctionRecursionConfig",
      z.object({ functionName: z.string(), recursiveLoop: z.string() }),
    );
    const known = nameIn(graphs[stage]);
    expect(configs.map(({ is }) => [known(is.functionName), is.recursiveLoop])).toEqual([
      ["Fetcher", "Allow"],
      ["Athena", "Allow"],
    ]);
  });

  test("each event goes to the queues of its routes", () => {
    const rules = wiringOf(graphs[stage]).rules.filter(({ bus }) => bus === "Pipeline");
    const found = rules.map(({ pattern, queue: to, messageGroup: group }) => {
      const { "detail-type": events } = pipelinePattern.parse(pattern);
      return { events, to, ...(group !== undefined && { group }) };
    });
    const expected = routes.map(({ name: _, ...route }) => route);
    expect(new Set(found)).toEqual(new Set(expected));
    expect(found).toHaveLength(expected.length);
  });

  test("Athena's events go to the athena queue", () => {
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
      ]),
    );
  });

  test("every rule has a pattern, retries for a day and then moves the event to a dead-letter queue", () => {
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

  test("the schedules request runs, the start and stop of instances, and daily checks", () => {
    const isProduction = stage === "production";
    const found = all(graphs[stage], "aws:scheduler/schedule:Schedule", schedule).map(({ is }) => ({
      type: is.target.eventbridgeParameters.detailType,
      at: is.scheduleExpression,
      zone: is.scheduleExpressionTimezone,
      state: is.state,
      detail: is.target.input,
    }));
    // The scheduler replaces this placeholder.
    const time = "<aws.scheduler.scheduled-time>";
    const daily = "cron(0 9 * * ? *)";
    const state = isProduction ? "ENABLED" : "DISABLED";
    const expected: { type: string; at: string; zone: string; state: string; detail: object }[] = [];
    for (const { name: dataset, schedule: at, timeZone: zone } of datasets) {
      const detail = { dataset, reason: "schedule" };
      const instanceDetail = { ...detail, requestedAt: time };
      expected.push(
        { type: "run.requested", at, zone, state, detail: { ...detail, requestId: `schedule ${time}` } },
        { type: "freshness.check.requested", at: daily, zone, state, detail: { dataset } },
      );
      if (!isProduction) continue;
      expected.push(
        { type: "instance.start.requested", at: shiftSchedule(at, -15), zone, state, detail: instanceDetail },
        { type: "instance.stop.requested", at: shiftSchedule(at, 240), zone, state, detail: instanceDetail },
      );
    }
    // A stage without instances does not check them.
    const zone = expect.any(String);
    if (isProduction)
      expected.push({ type: "instances.check.requested", at: daily, zone, state, detail: {} });
    expect(found).toHaveLength(expected.length);
    expect(found).toEqual(expect.arrayContaining(expected));
    for (const { type, detail } of found) {
      const sent: unknown = JSON.parse(JSON.stringify(detail).replace(time, "2022-03-22T18:59:43Z"));
      const schema = new Map<string, z.core.$ZodType>(Object.entries(eventDetails)).get(type);
      expect([type, schema && z.safeParse(schema, sent).success]).toEqual([type, true]);
    }
  });

  test("every schedule fires at its minute, retries for a day and then moves its request to a dead-letter queue", () => {
    const known = nameIn(graphs[stage]);
    const found = all(graphs[stage], "aws:scheduler/schedule:Schedule", schedule);
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
          // SST sets variables of its own.
          .filter(([variable]) => !variable.startsWith("SST_"))
          .map(([variable, value]) => [variable, known(value)]),
      ),
    ]);
    const undelivered = {
      UNDELIVERED_DEAD_LETTERS_URL: "Undelivered",
      UNSCHEDULED_DEAD_LETTERS_URL: "Unscheduled",
    };
    const work = { WORK_BUCKET: "Work" };
    const onBus = { ...work, BUS_NAME: "Pipeline" };
    const measuring = { STAGE: stage, POWERTOOLS_METRICS_NAMESPACE: "LibInsight" };
    const isProduction = stage === "production";
    const database = isProduction ? "libinsightdatabase" : "libinsight_ada";
    const instances = { INSTANCES: isProduction ? "tagged" : "none" };
    // Only production has Tableau settings here.
    const tableau = isProduction ? tableauEnvironment : {};
    const audience = { AUDIENCE: isProduction ? "full" : "deidentified" };
    const others: Record<QueueName, Record<string, string>> = {
      kickoff: { ...onBus, DATA_BUCKET: "Data" },
      fetcher: { ...work, ...measuring, LIBINSIGHT_BASE_URL: "https://library.libinsight.com/v1.0" },
      transformer: onBus,
      assembler: { ...onBus, DATA_BUCKET: "Data", RESULTS_BUCKET: "Results", ATHENA_DATABASE: database },
      deidentifier: { ...onBus, DATA_BUCKET: "Data", RESULTS_BUCKET: "Results", ATHENA_DATABASE: database },
      athena: {
        ...onBus,
        DATA_BUCKET: "Data",
        RESULTS_BUCKET: "Results",
        ATHENA_WORKGROUP: "Workgroup",
        ATHENA_DATABASE: database,
      },
      tableau: { BUS_NAME: "Pipeline", ...audience, ...tableau },
      reporter: {
        ...work,
        ...measuring,
        ...instances,
        ...tableau,
        ...deadLetterVariables(queueNames),
        ...undelivered,
        DATA_BUCKET: "Data",
        RESULTS_BUCKET: "Results",
        ALERTS_TOPIC_ARN: "Alerts",
      },
      renderer: {
        ...work,
        DATA_BUCKET: "Data",
        RESULTS_BUCKET: "Results",
        ...audience,
        SCHEDULED: String(isProduction),
      },
      ec2: { ...onBus, ...instances },
      replay: deadLetterVariables(queueNames),
    };
    const expected = queueNames.map((name) => [
      titleOf(name),
      {
        ...others[name],
        ...queueVariables([name, ...services[name].sendsTo]),
        ...deadLetterVariables([name]),
      },
    ]);
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
  });

  test("the pipeline and each audience have a workgroup that limits the scan, and sets location and encryption", () => {
    const results = bucketArn(graphs[stage], "Results").replace("arn:aws:s3:::", "s3://");
    const workgroups = all(graphs[stage], "aws:athena/workgroup:Workgroup", z.looseObject({}));
    const expected = [
      ["Workgroup", `libinsight-${stage}`, `${results}/${defaultDataset.publish.queryResults}/`],
      ["AnalystsWorkgroup", `libinsight-${stage}-analysts`, `${results}/tableau/`],
      ["DeidentifiedWorkgroup", `libinsight-${stage}-deidentified`, `${results}/deidentified/`],
    ].map(([component, name, outputLocation]) => ({
      name: component,
      is: {
        name,
        configuration: {
          enforceWorkgroupConfiguration: true,
          bytesScannedCutoffPerQuery: 10 * 1024 ** 3,
          resultConfiguration: { outputLocation, encryptionConfiguration: { encryptionOption: "SSE_S3" } },
        },
      },
    }));
    expect(workgroups).toMatchObject(expected);
    expect(workgroups).toHaveLength(3);
  });
});

test("Virginia Tech's reference transactions are collected on Mondays at 6:00", () => {
  const { schedule, timeZone } = findDataset("reference-transactions");
  expect([schedule, timeZone]).toEqual(["cron(0 6 ? * MON *)", "America/New_York"]);
});

test("S3 notifies the athena queue of each dataset's CSV in a bucket that the stage creates", () => {
  const [notification, ...others] = created(graphs.ada, "aws:s3/bucketNotification:BucketNotification");
  expect(others).toEqual([]);
  const queueArn = expect.stringMatching(/:libinsight-ada-athenaqueue/i);
  expect(notification?.inputs.queues).toMatchObject(
    datasets.map(({ publish }) => ({ queueArn, events: ["s3:ObjectCreated:*"], filterPrefix: publish.csv })),
  );
});

test("a rule announces a published file in an existing bucket with the schema of S3's own notifications", () => {
  const { production } = graphs;
  expect(created(production, "aws:s3/bucketNotification:BucketNotification")).toEqual([]);
  expect(wiringOf(production).rules).toContainEqual({
    bus: "default",
    pattern: {
      source: ["aws.s3"],
      "detail-type": ["Object Created"],
      detail: {
        bucket: { name: ["library-data"] },
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
  [{ TABLEAU_URL: "https://tableau.example.edu" }, "Set TABLEAU_TOKEN_NAME too"],
  [{ AUDIENCE: "staff" }, "AUDIENCE is invalid. Set it to `full` or `deidentified`."],
  [{ INSTANCES: "all" }, "INSTANCES is invalid. Set it to `tagged`"],
  [{ TABLEAU_URL: "http://tableau.example.edu", TABLEAU_TOKEN_NAME: "refresh" }, "TABLEAU_URL is invalid"],
])("a deploy with %j fails and gives the reason", async (environment, reason) => {
  const deploy = evaluateStage("ada", {
    secrets,
    environment: { ALERT_ADDRESS: alertAddress, ...environment },
  });
  await expect(deploy).rejects.toThrow(reason);
});

test("a command on a stage gets every queue, the bus, the topic, the buckets, the audience and the analysts' workgroups, and no secret", () => {
  const known = nameIn(graphs.ada);
  const link = z.object({ properties: z.object({ variables: z.record(z.string(), z.string()) }) });
  const found = created(graphs.ada, "sst:sst:LinkRef").filter(({ name }) => name === "SettingsLinkRef");
  const { variables } = link.parse(only(found).inputs).properties;
  expect(Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, known(value)]))).toEqual({
    BUS_NAME: "Pipeline",
    ALERTS_TOPIC_ARN: "Alerts",
    UNDELIVERED_DEAD_LETTERS_URL: "Undelivered",
    UNSCHEDULED_DEAD_LETTERS_URL: "Unscheduled",
    WORK_BUCKET: "Work",
    DATA_BUCKET: "Data",
    RESULTS_BUCKET: "Results",
    ATHENA_REGION: "us-east-1",
    ATHENA_DATABASE: "libinsight_ada",
    ANALYSTS_WORKGROUP: "AnalystsWorkgroup",
    DEIDENTIFIED_WORKGROUP: "DeidentifiedWorkgroup",
    AUDIENCE: "deidentified",
    INSTANCES: "none",
    ...queueVariables(queueNames),
    ...deadLetterVariables(queueNames),
  });
});
