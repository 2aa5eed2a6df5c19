// The alarms and the dashboard of an evaluated stage: their metrics, thresholds and texts.
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { datasets } from "../../shared/datasets.ts";
import { defineService, processBatch } from "../../shared/message-loop.ts";
import { createMeasure } from "../../shared/metrics.ts";
import { createLogger } from "../../shared/powertools-logger.ts";
import { queueNames } from "../../shared/topology.ts";
import { line as instances } from "../../stacks/commands/instances/instances-args.ts";
import { line as replay } from "../../stacks/commands/replay/replay-args.ts";
import { line as runs } from "../../stacks/commands/runs/runs-args.ts";
import { metricLines } from "../support/metric-lines.ts";
import type { Graph } from "./evaluate/graph.ts";
import { evaluateStage } from "./evaluate.ts";
import { withDatasetPlaceholders } from "./readable.ts";
import {
  alertAddress,
  all,
  created,
  evaluateBoth,
  evaluationTimeout,
  json,
  nameIn,
  secrets,
  stages,
  tableauEnvironment,
  tableauSecret,
} from "./stages.ts";
import { lambda, only, rule, wiringOf } from "./wiring.ts";

const graphs = await evaluateBoth();
const withDashboard = await evaluateStage("production", {
  secrets: { ...secrets, ...tableauSecret },
  environment: { ALERT_ADDRESS: alertAddress, ...tableauEnvironment, DASHBOARD: "true" },
});

const alarm = z.object({
  name: z.string(),
  alarmDescription: z.string(),
  namespace: z.string(),
  metricName: z.string(),
  dimensions: z.record(z.string(), z.string()),
  statistic: z.enum(["Sum", "Maximum"]),
  threshold: z.number(),
  comparisonOperator: z.literal("GreaterThanThreshold"),
  period: z.number(),
  evaluationPeriods: z.number(),
  treatMissingData: z.enum(["breaching", "notBreaching"]),
  alarmActions: z.tuple([z.string()]),
});
type Alarm = z.infer<typeof alarm>;

const alarmRule = z.object({
  bus: z.literal("default"),
  pattern: z.strictObject({
    source: z.tuple([z.literal("aws.cloudwatch")]),
    "detail-type": z.tuple([z.literal("CloudWatch Alarm State Change")]),
    detail: z.strictObject({
      alarmName: z.array(z.strictObject({ prefix: z.string() })),
      state: z.strictObject({ value: z.tuple([z.literal("ALARM")]) }),
    }),
  }),
  queue: z.literal("reporter"),
});

const alarmsOf = (graph: Graph): Alarm[] =>
  all(graph, "aws:cloudwatch/metricAlarm:MetricAlarm", alarm).map(({ is }) => is);

const metricFilter = z.object({
  logGroupName: z.string(),
  pattern: z.string(),
  metricTransformation: z.object({ name: z.string(), namespace: z.string(), value: z.string() }),
});

/** Lambda's report of an invocation, by its status. */
const platformReports = ["success", "error", "failure", "timeout"].map((status) => ({
  time: "2026-11-23T11:00:00.000Z",
  type: "platform.report",
  record: { requestId: "1", metrics: { durationMs: 1 }, status },
}));

const lineSchema = z.object({
  message: z.string().optional(),
  record: z.object({ status: z.string() }).optional(),
});
const eventOf = (line: object) => {
  const { message, record } = lineSchema.parse(line);
  return message ?? record?.status;
};

/** Returns the lines that a function logs for a success, a dead letter, and a dead letter that cannot be moved. */
async function loggedLines(): Promise<object[]> {
  const lines: object[] = [];
  for (const stream of [process.stdout, process.stderr])
    vi.spyOn(stream, "write").mockImplementation((line) => lines.push(JSON.parse(String(line))) > 0);
  const service = defineService({
    name: "kickoff",
    schema: z.object({ n: z.int() }),
    handle: async () => ({}),
  });
  const message = { receipt: "", receives: 1, sentAt: new Date(), attributes: {} };
  const sends = [async () => {}, async () => Promise.reject(new Error("unavailable"))];
  for (const send of sends) {
    const messages = [
      { ...message, id: "1", body: '{"n":1}' },
      { ...message, id: "2", body: "{}" },
    ];
    await processBatch(service, messages, undefined, {
      source: { retryAfter: async () => {} },
      deadLetters: { send },
      log: createLogger("kickoff"),
      retryBaseSeconds: 1,
    });
  }
  vi.restoreAllMocks();
  return lines;
}

/** Whether CloudWatch Logs' filter pattern matches a line. Each operand of && and || must be in parentheses. */
function matches(pattern: string, line: object): boolean {
  let text = pattern.slice(1, -1).replace(/\$\.([\w.]+) (!?=) "([^"]*)"/g, (_, path, operator, value) => {
    const found = String(path)
      .split(".")
      .reduce<unknown>(
        (at, name) => (typeof at === "object" && at ? Reflect.get(at, name) : undefined),
        line,
      );
    return String(found !== undefined && (found === value) === (operator === "="));
  });
  for (let before = ""; text !== before; ) {
    before = text;
    text = text
      .replace(/\((true|false)\)/g, "$1")
      .replace(/(true|false) (&&|\|\|) (true|false)/, (_, a, operator, b) =>
        String(operator === "&&" ? a === b && a === "true" : a === "true" || b === "true"),
      );
  }
  expect(text.trim()).toMatch(/^(true|false)$/);
  return text.trim() === "true";
}

/** Returns an alarm's metric and threshold as one line. */
function lineOf(is: Alarm, graph: Graph): string {
  const known = nameIn(graph);
  const dimensions = Object.values(is.dimensions).map(known).join(" ") || is.namespace;
  const time = is.evaluationPeriods === 1 ? `${is.period} s` : `${is.evaluationPeriods} x ${is.period} s`;
  const missing = is.treatMissingData === "breaching" ? ", or nothing" : "";
  return `${dimensions}: ${is.statistic} of ${is.metricName} > ${is.threshold} in ${time}${missing}`;
}

test("production has an alarm for each kind of problem, on one metric each", () => {
  const lines = alarmsOf(graphs.production).map((is) => lineOf(is, graphs.production));
  expect(ofAnyDatasets(lines)).toMatchInlineSnapshot(`
    [
      "LibInsight/production: Sum of DeadLetters > 0 in 300 s",
      "LibInsight/production: Sum of FunctionErrors > 0 in 300 s",
      "Pipeline PipelineSubscriberFailed: Sum of MatchedEvents > 0 in 300 s",
      "Undelivered: Maximum of ApproximateNumberOfMessagesVisible > 0 in 300 s",
      "Unscheduled: Maximum of ApproximateNumberOfMessagesVisible > 0 in 300 s",
      "AWS/Lambda: Sum of Throttles > 0 in 3 x 300 s",
      "TableauQueue: Maximum of ApproximateAgeOfOldestMessage > 3600 in 300 s",
      "ReporterQueue: Maximum of ApproximateAgeOfOldestMessage > 3600 in 300 s",
      "<dataset> reporter production: Maximum of PublishedFileAgeHours > 192 in 86400 s, or nothing",
      "<dataset> reporter production: Maximum of ResultsBehindHours > 2 in 86400 s",
      "<dataset> reporter production: Maximum of StrayObjects > 0 in 86400 s",
      "reporter production: Maximum of InstancesRunningHours > 24 in 86400 s",
    ]
  `);
});

test("a personal stage has the alarms that need no schedule", () => {
  const names = alarmsOf(graphs.ada).map(({ name }) => name.replace("libinsight-ada-", ""));
  expect(names).toEqual(["DeadLetters", "FunctionErrors", "Failed", "Undelivered"]);
});

test("a stage has a dashboard only if its settings ask for it", async () => {
  for (const stage of stages)
    expect(created(graphs[stage], "aws:cloudwatch/dashboard:Dashboard")).toEqual([]);
  expect(created(withDashboard, "aws:cloudwatch/dashboard:Dashboard")).toHaveLength(1);
  const deploy = evaluateStage("ada", { secrets, environment: { DASHBOARD: "yes" } });
  await expect(deploy).rejects.toThrow("DASHBOARD is invalid. Set it to `true` or `false`.");
});

test(
  "a stage without an alert address has no alarms",
  async () => {
    const graph = await evaluateStage("ada", { secrets, environment: {} });
    expect(alarmsOf(graph)).toEqual([]);
    expect(created(graph, "aws:cloudwatch/logMetricFilter:LogMetricFilter")).toEqual([]);
    expect(created(graph, "aws:sns/topicSubscription:TopicSubscription")).toEqual([]);
  },
  evaluationTimeout,
);

describe.each(stages)("on the stage %s", (stage) => {
  test("every alarm goes to the stage's alert address", () => {
    const known = nameIn(graphs[stage]);
    for (const { alarmActions } of alarmsOf(graphs[stage])) expect(known(alarmActions[0])).toBe("Alerts");
    const [subscription] = created(graphs[stage], "aws:sns/topicSubscription:TopicSubscription");
    expect(subscription?.inputs).toMatchObject({ protocol: "email", endpoint: alertAddress });
  });

  test("every alarm's text names existing commands for its stage within CloudWatch's limit", () => {
    const usages: Record<string, string> = {
      runs: runs.usage(),
      instances: instances.usage(),
      replay: replay.usage(),
    };
    for (const { name, alarmDescription: text } of alarmsOf(graphs[stage])) {
      expect([name, text]).toEqual([name, expect.stringMatching(/^.{20,1024}$/)]);
      const commands = [...text.matchAll(/npx sst shell --stage (\S+) -- npm run (\w+) -- (\w+)/g)];
      for (const [, of, program = "", verb = ""] of commands) {
        expect([of, usages[program]]).toEqual([stage, expect.stringContaining(`\n  ${verb} `)]);
      }
      const others = text.match(/\baws (sqs|lambda|logs tail|scheduler) /g) ?? [];
      expect([name, commands.length + others.length]).not.toEqual([name, 0]);
    }
  });

  test("every alarm of the stage that fires goes to the reporter queue, and no alarm of another stage", () => {
    const found = wiringOf(graphs[stage]).rules.flatMap((each) => alarmRule.safeParse(each).data ?? []);
    const { detail } = only(found).pattern;
    const isMatched = (name: string) => detail.alarmName.some(({ prefix }) => name.startsWith(prefix));
    const names = alarmsOf(graphs[stage]).map(({ name }) => name);
    expect(names.filter((name) => !isMatched(name))).toEqual([]);
    const ofOtherStage = names.map((name) => name.replace(stage, `${stage}-2`));
    expect(ofOtherStage.filter(isMatched)).toEqual([]);
    // EventBridge's limit is 2,048 characters.
    expect(JSON.stringify(detail).length).toBeLessThan(1_500);
  });

  test("the alarm on failures counts every failure, by a rule that exists", () => {
    const rules = all(graphs[stage], "aws:cloudwatch/eventRule:EventRule", rule);
    const counting = alarmsOf(graphs[stage]).filter(({ namespace }) => namespace === "AWS/Events");
    const counted = counting.map(({ dimensions: { EventBusName, RuleName } }) => {
      const { is } = only(rules.filter((each) => each.is.name === RuleName));
      expect(is.eventBusName).toBe(EventBusName);
      return [is.eventPattern["detail-type"], is.eventPattern.detail];
    });
    // The ends of a run are a subset of these.
    const failures = [
      "run.held",
      "run.failed",
      "query.failed",
      "file.refused",
      "tableau.failed",
      "instance.failed",
    ];
    expect(counted).toEqual([[failures, undefined]]);
  });

  test("every log group that an alarm names exists", () => {
    const logs = created(graphs[stage], "aws:cloudwatch/logGroup:LogGroup").map(({ inputs }) => inputs.name);
    const named = alarmsOf(graphs[stage]).flatMap(({ alarmDescription }) =>
      [...alarmDescription.matchAll(/aws logs tail (\S+)/g)].map(([, group = ""]) => group),
    );
    const groups = named.flatMap((group) => queueNames.map((name) => group.replace("SERVICE", name)));
    expect(logs).toEqual(expect.arrayContaining(groups));
    expect(named.length).toBeGreaterThan(1);
  });

  test("dead letters and crashes are counted in the log of every function", async () => {
    const filters = all(graphs[stage], "aws:cloudwatch/logMetricFilter:LogMetricFilter", metricFilter);
    const logs = created(graphs[stage], "aws:cloudwatch/logGroup:LogGroup").map(({ inputs }) => inputs.name);
    const byMetric = Map.groupBy(filters, ({ is }) => is.metricTransformation.name);
    const lines = [...(await loggedLines()), ...platformReports];
    const counted = [...byMetric].map(([metric, ofMetric]) => {
      expect(ofMetric.map(({ is }) => is.logGroupName).sort()).toEqual(logs.sort());
      const [pattern, ...otherPatterns] = new Set(ofMetric.map(({ is }) => is.pattern));
      expect(otherPatterns).toEqual([]);
      return [metric, lines.filter((line) => matches(pattern ?? "", line)).map(eventOf)];
    });
    expect(Object.fromEntries(counted)).toEqual({
      // Twice, because the second one is logged before the queue refuses it.
      DeadLetters: ["dead letter", "dead letter"],
      FunctionErrors: ["a failed message could not be moved", "error", "failure", "timeout"],
    });
    for (const { is } of filters) {
      const watched = alarmsOf(graphs[stage]).find(
        ({ metricName }) => metricName === is.metricTransformation.name,
      );
      expect(watched?.namespace).toBe(is.metricTransformation.namespace);
      expect(is.metricTransformation).toEqual({
        name: watched?.metricName,
        namespace: `LibInsight/${stage}`,
        value: "1",
      });
    }
  });
});

test("the metrics of the daily checks have the names that their alarms watch", () => {
  const functions = all(graphs.production, "aws:lambda/function:Function", lambda);
  const { variables } = only(functions.filter(({ name }) => name === "ReporterFunction")).is.environment;
  vi.stubEnv("POWERTOOLS_METRICS_NAMESPACE", variables.POWERTOOLS_METRICS_NAMESPACE);
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const lines = metricLines();
  const measure = createMeasure("reporter", variables.STAGE ?? "");
  for (const { name: dataset } of datasets) {
    measure({ PublishedFileAgeHours: 1 }, { dataset });
    measure({ ResultsBehindHours: 1 }, { dataset });
    measure({ StrayObjects: 1 }, { dataset });
  }
  measure({ InstancesRunningHours: 1 }, {});

  const custom = alarmsOf(graphs.production).filter(({ namespace }) => namespace === "LibInsight");
  expect(
    custom.map(({ namespace, metricName, dimensions }) => ({ namespace, metricName, dimensions })),
  ).toEqual(
    lines.map(({ _aws, ...fields }) => {
      const [{ Namespace: namespace, Metrics }] = emf.parse(_aws).CloudWatchMetrics;
      const { [Metrics[0].Name]: _value, ...dimensions } = fields;
      return { namespace, metricName: Metrics[0].Name, dimensions };
    }),
  );
});

const emf = z.object({
  CloudWatchMetrics: z.tuple([
    z.object({ Namespace: z.string(), Metrics: z.tuple([z.object({ Name: z.string() })]) }),
  ]),
});

const dashboard = z.object({
  dashboardBody: json(
    z.object({
      start: z.string(),
      widgets: z.array(
        z.object({
          type: z.enum(["alarm", "metric"]),
          properties: z.looseObject({
            title: z.string(),
            alarms: z.array(z.string()).optional(),
            metrics: z.array(z.array(z.unknown())).optional(),
          }),
        }),
      ),
    }),
  ),
});

test("the dashboard shows 12 weeks of runs and the state of every alarm", () => {
  const [{ is } = only([])] = all(withDashboard, "aws:cloudwatch/dashboard:Dashboard", dashboard);
  const { start, widgets } = is.dashboardBody;
  expect(start).toBe("-P12W");
  expect(widgets.map(({ type, properties }) => `${type}: ${properties.title}`)).toMatchInlineSnapshot(`
    [
      "alarm: Alarms",
      "metric: Rows published",
      "metric: Change in rows since the previous run",
      "metric: Rejects, duplicates and refetched windows",
      "metric: Seconds: collecting, assembling, querying",
      "metric: LibInsight errors by kind",
      "metric: Held and failed",
      "metric: Hours an EC2 instance has been running",
      "metric: Age of the published file in hours",
    ]
  `);
  const shown = widgets.flatMap(({ properties }) => properties.alarms ?? []);
  expect(shown.map((arn) => arn.split(":alarm:")[1])).toEqual(
    alarmsOf(withDashboard).map(({ name }) => name),
  );
  const known = nameIn(withDashboard);
  const metrics = widgets.flatMap(({ properties }) => properties.metrics ?? []);
  const lines = metrics.map((line) =>
    line.map((part) => (typeof part === "string" ? known(part) : (expression.parse(part).expression ?? ""))),
  );
  expect(ofAnyDatasets(lines.map((line) => line.join(" ").trim()))).toMatchInlineSnapshot(`
    [
      "LibInsight RowsPublished service reporter stage production dataset <dataset>",
      "LibInsight RowsChange service reporter stage production dataset <dataset>",
      "LibInsight Rejects service reporter stage production dataset <dataset>",
      "LibInsight Duplicates service reporter stage production dataset <dataset>",
      "LibInsight RefetchedWindows service reporter stage production dataset <dataset>",
      "LibInsight CollectSeconds service reporter stage production dataset <dataset>",
      "LibInsight AssembleSeconds service reporter stage production dataset <dataset>",
      "LibInsight QuerySeconds service reporter stage production dataset <dataset>",
      "SEARCH('{LibInsight,service,stage,dataset,error} MetricName="LibInsightErrors" stage="production"', 'Sum', 604800)",
      "AWS/Events MatchedEvents EventBusName Pipeline RuleName PipelineSubscriberFailed",
      "LibInsight InstancesRunningHours service reporter stage production",
      "LibInsight PublishedFileAgeHours service reporter stage production dataset <dataset>",
    ]
  `);
});

const expression = z.looseObject({ expression: z.string().optional() });

/** Replaces dataset names, so that the lines are the same for any number of datasets. */
function ofAnyDatasets(lines: string[]): string[] {
  return [...new Set(lines.map(withDatasetPlaceholders))];
}
