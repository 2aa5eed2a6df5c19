// The alarms, and a dashboard of the last 12 weeks. Alarms watch what AWS itself counts, so that they fire even when a
// function can no longer report anything; a metric is ours only where no AWS service has it. Each alarm's text says what
// is affected and which command to run.
import { datasets } from "../shared/datasets.ts";
import type { MetricName } from "../shared/metrics.ts";
import type { QueueName } from "../shared/topology.ts";
import { alerts } from "./alerts.ts";
import { bus, queueOf, titleOf, undelivered, unscheduled } from "./messaging.ts";
import { ruleNames } from "./routes.ts";
import { functions, metricNamespace } from "./services.ts";
import { appRegion, currentStage } from "./stage.ts";

type Text = $util.Input<string>;

const { alertAddress, scheduled, instances } = currentStage();
const command = `npx sst shell --stage ${$app.stage} -- npm run`;
const logOf = (name: QueueName) => `aws logs tail /${$app.name}/${$app.stage}/${name} --since 1d`;

const minutes = 60;
const hours = 60 * minutes;
const days = 24 * hours;

type Watched = { namespace: string; metric: string; dimensions: Record<string, Text> };
type Alarm = Watched & {
  /** What is affected and what to do, in at most 1,024 characters. */
  text: string;
  statistic: "Maximum" | "Sum";
  /** The alarm fires above this. */
  threshold: number;
  /** Over how long the statistic is computed; default five minutes. */
  periodSeconds?: number;
  /** How many consecutive periods must be above the threshold; default one. */
  periods?: number;
  /** What a period without data means; default `notBreaching`. */
  missing?: "breaching" | "notBreaching";
};

const alarms: aws.cloudwatch.MetricAlarm[] = [];

for (const { name, handler } of functions) {
  const { queue, deadLetters } = queueOf(name);
  const title = titleOf(name);
  alarm(`${title}DeadLetters`, {
    ...ofQueue(deadLetters, "ApproximateNumberOfMessagesVisible"),
    text: `The ${name} service could not process some messages. The affected runs, reports or instances are blocked; the messages are kept for 14 days. Find the cause: ${command} replay -- list. Fix it, then replay the messages: ${command} replay -- send`,
    statistic: "Maximum",
    threshold: 0,
  });
  alarm(`${title}Waits`, {
    ...ofQueue(queue, "ApproximateAgeOfOldestMessage"),
    text: `A message has waited in ${title}Queue for an hour; runs normally take minutes. List the blocked runs: ${command} runs -- list. Read the service's log: ${logOf(name)}`,
    statistic: "Maximum",
    threshold: 1 * hours,
  });
  // The handler reports messages that fail, so they do not count as errors here. What counts are crashes, timeouts and
  // exhausted memory.
  alarm(`${title}Errors`, {
    ...ofFunction(handler, "Errors"),
    text: `The ${name} function crashed, timed out or ran out of memory. Its messages are retried automatically. Find the error in its log: ${logOf(name)}. Fix the code, or raise the function's limits in shared/topology.ts and deploy.`,
    statistic: "Sum",
    threshold: 0,
  });
  alarm(`${title}Throttles`, {
    ...ofFunction(handler, "Throttles"),
    text: `Lambda has rejected calls of the ${name} function for 15 minutes, because the account's concurrency is used up. Messages wait until it is free. Check the limit: aws lambda get-account-settings. Find the functions that use it in Lambda's dashboard; if all need it, request a higher quota from AWS.`,
    statistic: "Sum",
    threshold: 0,
    // Lambda retries automatically, so a single period needs no action.
    periods: 3,
  });
}

alarm("Undelivered", {
  ...ofQueue(undelivered, "ApproximateNumberOfMessagesVisible"),
  text: `EventBridge could not deliver an event to its queue within a day. A run, report or instance may be blocked. Show the event and the error: aws sqs receive-message --message-attribute-names All --queue-url QUEUE (the URL with Undelivered in "aws sqs list-queues"). List the blocked runs: ${command} runs -- list`,
  statistic: "Maximum",
  threshold: 0,
});
alarm("Unscheduled", {
  ...ofQueue(unscheduled, "ApproximateNumberOfMessagesVisible"),
  text: `A schedule could not deliver its request to the bus within a day. Check whether a run is missing: ${command} runs -- list. If so, request it: ${command} runs -- request`,
  statistic: "Maximum",
  threshold: 0,
});

/** By the name of the route whose events are counted. */
const failures = {
  RunHeld: `A run is held: nothing is published, and the earlier file stays. Show the guard violations: ${command} runs -- list, then runs -- show RUN. If the new file is right, publish it: ${command} runs -- publish RUN --force --reason TEXT`,
  RunFailed: `A run failed without publishing; the earlier file stays. Show the reason and what to do: ${command} runs -- list, then runs -- show RUN`,
  QueryFailed: `A file is published, but Athena's results are not updated: the query failed, the file lacks a required column, or its folder holds another object. The earlier results stay. The email sent in the same minute gives the reason. Read the log: ${logOf("athena")}. To restore an earlier file: ${command} runs -- rollback RUN`,
  RefreshFailed: `Tableau still shows the earlier results, because its refresh failed. Find the cause: ${command} replay -- list. Fix it, then refresh: ${command} replay -- send --queue tableau`,
  InstanceFailed: `An EC2 instance did not start or stop and may still incur cost. The email sent in the same minute gives the reason. Show the instances: ${command} instances -- status`,
};

const failed = (rule: keyof typeof failures): Watched => {
  const RuleName = ruleNames.get(rule);
  if (RuleName === undefined) throw new Error(`shared/topology.ts has no route ${rule}, which has an alarm.`);
  return {
    namespace: "AWS/Events",
    metric: "MatchedEvents",
    // For a custom bus EventBridge reports both dimensions.
    // https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
    dimensions: { EventBusName: bus.name, RuleName },
  };
};
// EventBridge counts where the rule matches, whether or not the reporter then receives the event and can email it.
for (const rule of keysOf(failures)) {
  alarm(rule, { ...failed(rule), text: failures[rule], statistic: "Sum", threshold: 0 });
}

if (scheduled) {
  for (const { name, staleAfterDays } of datasets) {
    // One value a day. When no more values arrive, CloudWatch evaluates some earlier days before the alarm fires.
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    alarm(`Stale-${name}`, {
      ...ours("PublishedFileAgeHours", "reporter", name),
      text: `${name} is out of date: its file was last published more than ${staleAfterDays} days ago, or the daily check has stopped. Show its run outcomes: ${command} runs -- list. Request a run: ${command} runs -- request --dataset ${name}. If no run was scheduled: aws scheduler list-schedules. If the daily check stopped: ${logOf("reporter")}`,
      statistic: "Maximum",
      threshold: (staleAfterDays * days) / hours,
      periodSeconds: 1 * days,
      missing: "breaching",
    });
    alarm(`Behind-${name}`, {
      ...ours("ResultsBehindHours", "reporter", name),
      text: `Athena's results and Tableau show an earlier run of ${name} than its published file. Check for dead letters: ${command} replay -- list. Read the service's log: ${logOf("athena")}. If no file arrived there, request a run: ${command} runs -- request --dataset ${name}`,
      statistic: "Maximum",
      // The daily check is three hours after the schedule; the query's own checks end after two.
      threshold: 2,
      periodSeconds: 1 * days,
    });
    alarm(`Stray-${name}`, {
      ...ours("StrayObjects", "reporter", name),
      text: `Athena reads other objects as rows of ${name}, because they are in the folder of its published file. The log of the daily check names them: ${logOf("reporter")}. Move or delete them (aws s3 rm), then request a run: ${command} runs -- request --dataset ${name}`,
      statistic: "Maximum",
      threshold: 0,
      periodSeconds: 1 * days,
    });
  }
  if (instances !== "none") {
    alarm("InstancesLeftRunning", {
      ...ours("InstancesRunningHours", "reporter"),
      text: `An EC2 instance has been running for more than a day and incurs cost while it runs. Show which: ${command} instances -- status. If it is not needed: ${command} instances -- stop`,
      statistic: "Maximum",
      // The schedule and the end of each run stop instances within hours.
      threshold: 24,
      // One value a day.
      periodSeconds: 1 * days,
    });
  }
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
        graph(
          "Held and failed",
          keysOf(failures).map((rule) => line(failed(rule), { label: rule, stat: "Sum" })),
        ),
        graph("Hours an EC2 instance has been running", [
          line(ours("InstancesRunningHours", "reporter"), { label: "longest", period: 1 * days }),
        ]),
        graph(
          "Age of the published file in hours",
          datasets.map(({ name }) =>
            line(ours("PublishedFileAgeHours", "reporter", name), { label: name, period: 1 * days }),
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

/** Creates an alarm, unless the stage has no alert address: an alarm costs ten cents a month even if no one gets it. */
function alarm(name: string, options: Alarm): void {
  if (!alertAddress) return;
  const { text, namespace, metric, dimensions, statistic, threshold } = options;
  const { periodSeconds = 5 * minutes, periods = 1, missing = "notBreaching" } = options;
  alarms.push(
    new aws.cloudwatch.MetricAlarm(name, {
      name: `${$app.name}-${$app.stage}-${name}`,
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

function ofQueue(
  queue: sst.aws.Queue,
  metric: "ApproximateNumberOfMessagesVisible" | "ApproximateAgeOfOldestMessage",
): Watched {
  return { namespace: "AWS/SQS", metric, dimensions: { QueueName: queue.nodes.queue.name } };
}

function ofFunction(handler: sst.aws.Function, metric: "Errors" | "Throttles"): Watched {
  return { namespace: "AWS/Lambda", metric, dimensions: { FunctionName: handler.name } };
}

/** Returns a metric with the dimensions that shared/metrics.ts gives it. */
function ours(metric: MetricName, service: string, dataset?: string): Watched {
  const dimensions = { service, stage: $app.stage, ...(dataset !== undefined && { dataset }) };
  return { namespace: metricNamespace, metric, dimensions };
}

/** Returns a graph with a point a week, unless a line says otherwise. */
function graph(title: string, metrics: unknown[], options: object = {}): object {
  return {
    type: "metric",
    width: 12,
    height: 6,
    properties: {
      title,
      metrics,
      region: appRegion,
      view: "timeSeries",
      stat: "Maximum",
      period: 7 * days,
      ...options,
    },
  };
}

function runLines(metric: MetricName): unknown[] {
  return datasets.map(({ name }) => line(ours(metric, "reporter", name), { label: `${name}: ${metric}` }));
}

/** Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html */
function line({ namespace, metric, dimensions }: Watched, options: object): unknown[] {
  return [namespace, metric, ...Object.entries(dimensions).flat(), options];
}

function keysOf<T extends string>(record: Record<T, unknown>): T[] {
  return Object.keys(record).filter((key): key is T => key in record);
}
