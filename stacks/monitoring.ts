// The alarms, and a dashboard of the last 12 weeks. Each alarm costs 10 cents a month per metric that it evaluates, also
// within metric math, so alarms watch metrics of the whole stage or account, and each text names the command that lists the
// details. Each alarm's text says what is affected, why, and which command to run.
//
// Within minutes, because a run can still finish the same day: dead letters, crashes, throttling, failures and undelivered
// requests. Within a day, by the daily check: files that are out of date, behind or beside stray objects, and instances left
// running. Stalled queues are noticed that way too, except those of `waits`. The daily check also emails every dead letter
// that is left (services/reporter/dead-letters.ts), so an alarm that is on does not hide another dead letter.
import { library } from "#library";
import { datasets } from "../shared/datasets.ts";
import type { MetricName } from "../shared/metrics.ts";
import { awsRoutes, type QueueName, queueNames, receiveLimit, services } from "../shared/topology.ts";
import { alerts } from "./alerts.ts";
import { bus, queueOf, titleOf, undelivered, unscheduled } from "./messaging.ts";
import { ruleNames, toQueue } from "./routes.ts";
import { functions, metricNamespace } from "./services.ts";
import { currentStage } from "./stage.ts";

type Text = $util.Input<string>;

const { alertAddress, scheduled, dashboard, instances, tableau } = currentStage();
const command = `npx sst shell --stage ${$app.stage} -- npm run`;
const logOf = (name: QueueName) => `aws logs tail /${$app.name}/${$app.stage}/${name} --since 1d`;

const minutes = 60;
const hours = 60 * minutes;
const days = 24 * hours;

type Metric = { namespace: string; metric: string; dimensions: Record<string, Text> };
type Alarm = Metric & {
  /** What is affected, why, and what to do, in at most 1,024 characters. */
  text: string;
  statistic: "Maximum" | "Sum";
  /** The alarm fires above this. */
  threshold: number;
  /** The statistic's period; default five minutes. */
  periodSeconds?: number;
  /** How many consecutive periods must be above the threshold; default one. */
  periods?: number;
  /** What a period without data means; default `notBreaching`. */
  missing?: "breaching" | "notBreaching";
};

const alarms: aws.cloudwatch.MetricAlarm[] = [];
/** The beginning of each alarm's name, without a dataset. */
const prefixes = new Set<string>();

/**
 * The queues whose stall the daily check would not notice: nothing else depends on `tableau`, and `reporter` runs the check.
 */
const waits: readonly QueueName[] = tableau ? ["tableau", "reporter"] : ["reporter"];

const failures = matchedEvents("Failed");

/** Counts lines in the logs of all functions as one metric of the stage. CloudWatch does not charge for the filters. */
function logMetric(metric: string, pattern: string): Metric {
  const namespace = `${metricNamespace}/${$app.stage}`;
  if (alertAddress) {
    for (const { name, logs } of functions) {
      new aws.cloudwatch.LogMetricFilter(`${titleOf(name)}${metric}`, {
        name: metric,
        logGroupName: logs.name,
        pattern,
        metricTransformation: { name: metric, namespace, value: "1" },
      });
    }
  }
  return { namespace, metric, dimensions: {} };
}

// The message is logged by shared/message-loop.ts.
alarm("DeadLetters", {
  ...logMetric("DeadLetters", '{ $.message = "dead letter" }'),
  text: `Some work is blocked: a service could not process a message, which is kept for 14 days. List the services, runs and errors: ${command} replay -- list. Fix the cause, then replay the messages: ${command} replay -- send. The daily check emails every dead letter that is left.`,
  statistic: "Sum",
  threshold: 0,
});
// Lambda logs the first kind of line: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
// The second kind is of shared/message-loop.ts. After either one, SQS may move the message to the dead-letter queue, which
// no log shows.
alarm("FunctionErrors", {
  ...logMetric(
    "FunctionErrors",
    '{ (($.type = "platform.report") && ($.record.status != "success")) || ($.message = "a failed message could not be moved") }',
  ),
  text: `Possibly delayed: a function crashed, timed out or ran out of memory. Its messages are retried automatically, and become dead letters after ${receiveLimit} receives. Find the function and the error: aws logs tail /${$app.name}/${$app.stage}/SERVICE --since 1d (SERVICE: ${queueNames.join(", ")}). Fix the code or raise the function's limits in shared/topology.ts, then deploy: npx sst deploy --stage ${$app.stage}. List the dead letters: ${command} replay -- list`,
  statistic: "Sum",
  threshold: 0,
});
// EventBridge counts matched events even if the reporter does not receive them or cannot send the email.
alarm("Failed", {
  ...failures,
  text: `New data is not published (a run is held or failed), Athena or Tableau is not updated, or an EC2 instance did not start or stop and may still incur cost. The email sent in the same minute says which, why and what to do. Without that email, show the runs: ${command} runs -- list, then runs -- show RUN. Show Tableau's dead letters: ${command} replay -- show --queue tableau. Show the instances: ${command} instances -- status. Read the query's log: ${logOf("athena")}`,
  statistic: "Sum",
  threshold: 0,
});
// The daily check may be among the events that these two queues hold, so they have alarms of their own.
alarm("Undelivered", {
  ...queueMetric(undelivered, "ApproximateNumberOfMessagesVisible"),
  text: `A run, an email or an EC2 instance may be blocked: EventBridge could not deliver an event to its queue within a day. Show the event and the error: aws sqs receive-message --message-attribute-names All --queue-url QUEUE (the URL with Undelivered in "aws sqs list-queues"). List the blocked runs: ${command} runs -- list`,
  statistic: "Maximum",
  threshold: 0,
});

if (scheduled) {
  alarm("Unscheduled", {
    ...queueMetric(unscheduled, "ApproximateNumberOfMessagesVisible"),
    text: `A scheduled run, daily check or instance start may be missing: a schedule could not deliver its request to the bus within a day. Check whether a run is missing: ${command} runs -- list. If so, request it: ${command} runs -- request`,
    statistic: "Maximum",
    threshold: 0,
  });
  // Without dimensions it counts all functions of the account, which share one limit.
  // https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
  alarm("Throttles", {
    namespace: "AWS/Lambda",
    metric: "Throttles",
    dimensions: {},
    text: `Possibly delayed: every service. Lambda has rejected calls of functions in this account for 15 minutes, because the account's concurrency is used up or another function has a limit of its own. Messages wait until it is free. Check the limit: aws lambda get-account-settings. Find the functions that use it in Lambda's dashboard. If all of them need it, request a higher quota: aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value NUMBER`,
    statistic: "Sum",
    threshold: 0,
    // Lambda retries automatically, so one throttled period needs no action.
    periods: 3,
  });
  for (const name of waits) {
    alarm(`${titleOf(name)}Waits`, {
      ...queueMetric(queueOf(name).queue, "ApproximateAgeOfOldestMessage"),
      text: `Delayed: ${services[name].purpose}. A message has waited in ${titleOf(name)}Queue for an hour; it normally takes minutes. Find the cause in the service's log: ${logOf(name)}. List the affected runs: ${command} runs -- list`,
      statistic: "Maximum",
      threshold: 1 * hours,
    });
  }
  for (const { name, staleAfterDays } of datasets) {
    // One value per day. If values stop, the alarm fires some days later, because CloudWatch evaluates earlier days first.
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    alarm(`Stale-${name}`, {
      ...pipelineMetric("PublishedFileAgeHours", "reporter", name),
      text: `${name} is out of date: its file was last published more than ${staleAfterDays} days ago, or the daily check has stopped. Show its run outcomes: ${command} runs -- list. Request a run: ${command} runs -- request --dataset ${name}. If no run was scheduled, check the schedules: aws scheduler list-schedules. If the daily check stopped, read its log: ${logOf("reporter")}`,
      statistic: "Maximum",
      threshold: (staleAfterDays * days) / hours,
      periodSeconds: 1 * days,
      missing: "breaching",
    });
    alarm(`Behind-${name}`, {
      ...pipelineMetric("ResultsBehindHours", "reporter", name),
      text: `Athena's results and Tableau show older data of ${name} than its published file. The query has not finished, or the athena service received no message about the file. Check for dead letters: ${command} replay -- list. Read the service's log: ${logOf("athena")}. If it does not mention the file, request a run: ${command} runs -- request --dataset ${name}`,
      statistic: "Maximum",
      // The daily check runs three hours after the schedule, and the query's own checks end after two.
      threshold: 2,
      periodSeconds: 1 * days,
    });
    alarm(`Stray-${name}`, {
      ...pipelineMetric("StrayObjects", "reporter", name),
      text: `Queries of ${name} return wrong rows: the folder of its published file contains other objects, which Athena reads as rows. The log of the daily check names them: ${logOf("reporter")}. Move or delete them (aws s3 rm), then request a run: ${command} runs -- request --dataset ${name}`,
      statistic: "Maximum",
      threshold: 0,
      periodSeconds: 1 * days,
    });
  }
  if (instances !== "none") {
    alarm("InstancesLeftRunning", {
      ...pipelineMetric("InstancesRunningHours", "reporter"),
      text: `An EC2 instance has been running for more than a day and incurs cost while it runs. Show which: ${command} instances -- status. If it is not needed: ${command} instances -- stop`,
      statistic: "Maximum",
      // The schedules and the end of each run stop instances within hours.
      threshold: 24,
      // One value per day.
      periodSeconds: 1 * days,
    });
  }
}

if (alarms.length > 0) {
  const { alarmRaised } = awsRoutes;
  toQueue(alarmRaised, {
    // Not the whole names, because a pattern has at most 2,048 characters.
    alarmName: [...prefixes].map((prefix) => ({ prefix })),
    state: { value: [...alarmRaised.states] },
  });
}

if (dashboard) {
  new aws.cloudwatch.Dashboard("Dashboard", {
    dashboardName: `${$app.name}-${$app.stage}`,
    dashboardBody: $jsonStringify({
      start: "-P12W",
      periodOverride: "inherit",
      widgets: [
        {
          type: "alarm",
          width: 24,
          height: 6,
          properties: { title: "Alarms", alarms: alarms.map(({ arn }) => arn) },
        },
        graph("Rows published", runLines("RowsPublished")),
        graph("Change in rows since the previous run", runLines("RowsChange")),
        graph(
          "Rejects, duplicates and refetched windows",
          (["Rejects", "Duplicates", "RefetchedWindows"] as const).flatMap(runLines),
        ),
        graph(
          "Seconds: collecting, assembling, querying",
          (["CollectSeconds", "AssembleSeconds", "QuerySeconds"] as const).flatMap(runLines),
          { stacked: true },
        ),
        graph("LibInsight errors by kind", [
          [
            {
              expression: `SEARCH('{${metricNamespace},service,stage,dataset,error} MetricName="LibInsightErrors" stage="${$app.stage}"', 'Sum', ${7 * days})`,
            },
          ],
        ]),
        graph("Held and failed", [line(failures, { label: "events", stat: "Sum" })]),
        graph("Hours an EC2 instance has been running", [
          line(pipelineMetric("InstancesRunningHours", "reporter"), { label: "longest", period: 1 * days }),
        ]),
        graph(
          "Age of the published file in hours",
          datasets.map(({ name }) =>
            line(pipelineMetric("PublishedFileAgeHours", "reporter", name), {
              label: name,
              period: 1 * days,
            }),
          ),
          {
            annotations: {
              horizontal: datasets.map(({ name, staleAfterDays }) => ({
                label: `${name} is out of date`,
                value: (staleAfterDays * days) / hours,
              })),
            },
          },
        ),
      ],
    }),
  });
}

/** Creates an alarm if the stage has an alert address. Without one it would cost ten cents a month and reach no one. */
function alarm(name: string, options: Alarm): void {
  if (!alertAddress) return;
  const { text, namespace, metric, dimensions, statistic, threshold } = options;
  const { periodSeconds = 5 * minutes, periods = 1, missing = "notBreaching" } = options;
  const stagePrefix = `${$app.name}-${$app.stage}-`;
  prefixes.add(stagePrefix + name.replace(/-.*/, ""));
  alarms.push(
    new aws.cloudwatch.MetricAlarm(name, {
      name: stagePrefix + name,
      alarmDescription: text,
      namespace,
      metricName: metric,
      dimensions,
      statistic,
      comparisonOperator: "GreaterThanThreshold",
      threshold,
      period: periodSeconds,
      evaluationPeriods: periods,
      treatMissingData: missing,
      alarmActions: [alerts.arn],
    }),
  );
}

function queueMetric(
  queue: sst.aws.Queue,
  metric: "ApproximateNumberOfMessagesVisible" | "ApproximateAgeOfOldestMessage",
): Metric {
  return { namespace: "AWS/SQS", metric, dimensions: { QueueName: queue.nodes.queue.name } };
}

/** For a custom bus EventBridge reports both dimensions: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html */
function matchedEvents(route: string): Metric {
  const RuleName = ruleNames.get(route);
  if (RuleName === undefined)
    throw new Error(`shared/topology.ts has no route ${route}, which has an alarm.`);
  return {
    namespace: "AWS/Events",
    metric: "MatchedEvents",
    dimensions: { EventBusName: bus.name, RuleName },
  };
}

/** Returns a metric of shared/metrics.ts with its dimensions. */
function pipelineMetric(metric: MetricName, service: string, dataset?: string): Metric {
  const dimensions = { service, stage: $app.stage, ...(dataset !== undefined && { dataset }) };
  return { namespace: metricNamespace, metric, dimensions };
}

/** Returns a graph with one point per week, unless a line sets another period. */
function graph(title: string, metrics: unknown[], options: object = {}): object {
  return {
    type: "metric",
    width: 12,
    height: 6,
    properties: {
      title,
      metrics,
      region: library.region,
      view: "timeSeries",
      stat: "Maximum",
      period: 7 * days,
      ...options,
    },
  };
}

function runLines(metric: MetricName): unknown[] {
  return datasets.map(({ name }) =>
    line(pipelineMetric(metric, "reporter", name), { label: `${name}: ${metric}` }),
  );
}

/** Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html */
function line({ namespace, metric, dimensions }: Metric, options: object): unknown[] {
  return [namespace, metric, ...Object.entries(dimensions).flat(), options];
}
