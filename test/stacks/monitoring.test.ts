// The alarms and the dashboard of an evaluated stage: their metrics, thresholds and texts.
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { datasets } from "../../shared/datasets.ts";
import { createMeasure } from "../../shared/metrics.ts";
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
  type Stage,
  secrets,
  stages,
  titleOf,
} from "./stages.ts";
import { lambda, only, rule } from "./wiring.ts";

const graphs = await evaluateBoth();

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

const alarmsOf = (graph: Graph): Alarm[] =>
  all(graph, "aws:cloudwatch/metricAlarm:MetricAlarm", alarm).map(({ is }) => is);

/** Returns an alarm's metric and threshold as one line. */
function lineOf(is: Alarm, graph: Graph): string {
  const known = nameIn(graph);
  const dimensions = Object.values(is.dimensions).map(known).join(" ");
  const time = is.evaluationPeriods === 1 ? `${is.period} s` : `${is.evaluationPeriods} x ${is.period} s`;
  const missing = is.treatMissingData === "breaching" ? ", or nothing" : "";
  return `${dimensions}: ${is.statistic} of ${is.metricName} > ${is.threshold} in ${time}${missing}`;
}

test("production has alarms for queues, functions, undelivered events, failures and daily checks", () => {
  const lines = alarmsOf(graphs.production).map((is) => lineOf(is, graphs.production));
  const perService = [
    "DeadLetters: Maximum of ApproximateNumberOfMessagesVisible > 0 in 300 s",
    "Queue: Maximum of ApproximateAgeOfOldestMessage > 3600 in 300 s",
    ": Sum of Errors > 0 in 300 s",
    ": Sum of Throttles > 0 in 3 x 300 s",
  ];
  const titles = queueNames.map(titleOf);
  expect(lines.slice(0, 36)).toEqual(titles.flatMap((title) => perService.map((each) => title + each)));
  expect(ofAnyDatasets(lines.slice(36))).toMatchInlineSnapshot(`
    [
      "Undelivered: Maximum of ApproximateNumberOfMessagesVisible > 0 in 300 s",
      "Unscheduled: Maximum of ApproximateNumberOfMessagesVisible > 0 in 300 s",
      "Pipeline PipelineSubscriberRunHeld: Sum of MatchedEvents > 0 in 300 s",
      "Pipeline PipelineSubscriberRunFailed: Sum of MatchedEvents > 0 in 300 s",
      "Pipeline PipelineSubscriberQueryFailed: Sum of MatchedEvents > 0 in 300 s",
      "Pipeline PipelineSubscriberRefreshFailed: Sum of MatchedEvents > 0 in 300 s",
      "Pipeline PipelineSubscriberInstanceFailed: Sum of MatchedEvents > 0 in 300 s",
      "<dataset> reporter production: Maximum of PublishedFileAgeHours > 192 in 86400 s, or nothing",
      "<dataset> reporter production: Maximum of ResultsBehindHours > 2 in 86400 s",
      "<dataset> reporter production: Maximum of StrayObjects > 0 in 86400 s",
      "reporter production: Maximum of InstancesRunningHours > 24 in 86400 s",
    ]
  `);
});

test("a personal stage has the same alarms except those of the daily checks, and no dashboard", () => {
  const names = (stage: Stage) =>
    alarmsOf(graphs[stage]).map(({ name }) => name.replace(`libinsight-${stage}-`, ""));
  const ofFiles = datasets.flatMap(({ name }) => [`Stale-${name}`, `Behind-${name}`, `Stray-${name}`]);
  expect(names("production")).toEqual([...names("ada"), ...ofFiles, "InstancesLeftRunning"]);
  expect(created(graphs.ada, "aws:cloudwatch/dashboard:Dashboard")).toEqual([]);
});

test(
  "a stage without an alert address has no alarms",
  async () => {
    const graph = await evaluateStage("ada", { secrets, environment: {} });
    expect(alarmsOf(graph)).toEqual([]);
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

  test("every failure has an alarm, and its rule exists", () => {
    const rules = all(graphs[stage], "aws:cloudwatch/eventRule:EventRule", rule);
    const counting = alarmsOf(graphs[stage]).filter(({ namespace }) => namespace === "AWS/Events");
    const counted = counting.map(({ dimensions: { EventBusName, RuleName } }) => {
      const { is } = only(rules.filter((each) => each.is.name === RuleName));
      expect(is.eventBusName).toBe(EventBusName);
      return [is.eventPattern["detail-type"], is.eventPattern.detail];
    });
    expect(counted).toEqual([
      [["run.held"], undefined],
      [["run.failed"], undefined],
      [["query.failed", "file.refused"], undefined],
      [["tableau.failed"], undefined],
      [["instance.failed"], undefined],
    ]);
  });

  test("every log group that an alarm names exists", () => {
    const logs = created(graphs[stage], "aws:cloudwatch/logGroup:LogGroup").map(({ inputs }) => inputs.name);
    const named = alarmsOf(graphs[stage]).flatMap(({ alarmDescription }) =>
      [...alarmDescription.matchAll(/aws logs tail (\S+)/g)].map(([, group]) => group),
    );
    expect(logs).toEqual(expect.arrayContaining(named));
    expect(named.length).toBeGreaterThan(10);
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

test("production's dashboard shows 12 weeks of runs and the state of every alarm", () => {
  const [{ is } = only([])] = all(graphs.production, "aws:cloudwatch/dashboard:Dashboard", dashboard);
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
    alarmsOf(graphs.production).map(({ name }) => name),
  );
  const known = nameIn(graphs.production);
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
      "AWS/Events MatchedEvents EventBusName Pipeline RuleName PipelineSubscriberRunHeld",
      "AWS/Events MatchedEvents EventBusName Pipeline RuleName PipelineSubscriberRunFailed",
      "AWS/Events MatchedEvents EventBusName Pipeline RuleName PipelineSubscriberQueryFailed",
      "AWS/Events MatchedEvents EventBusName Pipeline RuleName PipelineSubscriberRefreshFailed",
      "AWS/Events MatchedEvents EventBusName Pipeline RuleName PipelineSubscriberInstanceFailed",
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
