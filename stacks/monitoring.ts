// What people are told of by alarms, and the last 12 weeks at a glance. Alarms watch what AWS itself counts, so that they
// go off where a function can say nothing any more; only what no AWS service knows is a metric of ours. Each says what it
// means and what to do.
import { datasets } from "../shared/datasets.ts";
import type { MetricName } from "../shared/metrics.ts";
import { alerts } from "./alerts.ts";
import { bus, queues, undelivered, unscheduled } from "./messaging.ts";
import { failureRules } from "./routes.ts";
import { functions, metricNamespace } from "./services.ts";
import { appRegion, currentStage } from "./stage.ts";

type Text = $util.Input<string>;

const { alertAddress, scheduled, instances } = currentStage();
const command = `npx sst shell --stage ${$app.stage} -- npm run`;
const logOf = (folder: string) => `aws logs tail /${$app.name}/${$app.stage}/${folder} --since 1d`;

const minutes = 60;
const hours = 60 * minutes;
const days = 24 * hours;

type Watched = { namespace: string; metric: string; dimensions: Record<string, Text> };
type Alarm = Watched & {
  /** What it means and what to do, within 1,024 characters. */
  text: string;
  statistic: "Maximum" | "Sum";
  /** It goes off above this. */
  threshold: number;
  /** Over how long the numbers are put together; five minutes where nothing is said. */
  periodSeconds?: number;
  /** How many periods in a row have to be above; one where nothing is said. */
  periods?: number;
  /** What no number means. Where nothing is said, what sends no numbers is well. */
  missing?: "breaching" | "notBreaching";
};

const alarms: aws.cloudwatch.MetricAlarm[] = [];

for (const { folder, queue: name, handler } of functions) {
  const { queue, deadLetters } = queues[name];
  const title = capitalized(name.toLowerCase());
  alarm(`${title}DeadLetters`, {
    ...ofQueue(deadLetters, "ApproximateNumberOfMessagesVisible"),
    text: `The service ${folder} gave messages up; what they are about stands still, and they are kept for 14 days. See why: ${command} replay -- list. Mend that, then send them back: ${command} replay -- send`,
    statistic: "Maximum",
    threshold: 0,
  });
  alarm(`${title}Waits`, {
    ...ofQueue(queue, "ApproximateAgeOfOldestMessage"),
    text: `A message has been in ${title}Queue for an hour, where runs take minutes. See which runs stand still: ${command} runs -- list. See what the service says: ${logOf(folder)}`,
    statistic: "Maximum",
    threshold: 1 * hours,
  });
  // A message that could not be handled is no error here: the handler reports it. What is left are crashes, and calls that
  // ran out of time or memory.
  alarm(`${capitalized(folder)}Errors`, {
    ...ofFunction(handler, "Errors"),
    text: `The function of ${folder} crashed, or ran out of time or memory; its messages come back by themselves. See where: ${logOf(folder)}. Raise its limits in stacks/services.ts and stacks/messaging.ts, or mend the code.`,
    statistic: "Sum",
    threshold: 0,
  });
  alarm(`${capitalized(folder)}Throttles`, {
    ...ofFunction(handler, "Throttles"),
    text: `Lambda has refused calls of ${folder} for a quarter of an hour: the account's concurrency is used up. See the limit: aws lambda get-account-settings. See who uses it in the dashboard of Lambda, and ask AWS for more if it is all needed.`,
    statistic: "Sum",
    threshold: 0,
    // Lambda tries again by itself; once is nobody's matter.
    periods: 3,
  });
}

alarm("Undelivered", {
  ...ofQueue(undelivered, "ApproximateNumberOfMessagesVisible"),
  text: `EventBridge could not bring an event to its queue within a day. See which, and why: aws sqs receive-message --message-attribute-names All --queue-url QUEUE (the one with Undelivered in "aws sqs list-queues"). See what it left standing: ${command} runs -- list`,
  statistic: "Maximum",
  threshold: 0,
});
alarm("Unscheduled", {
  ...ofQueue(unscheduled, "ApproximateNumberOfMessagesVisible"),
  text: `A schedule could not bring its request to the bus within a day. If a run is missing (${command} runs -- list), ask for it: ${command} runs -- request`,
  statistic: "Maximum",
  threshold: 0,
});

const failures = {
  RunHeld: `A run is complete but doubtful: nothing is published, and the earlier file stays. See why: ${command} runs -- list, then runs -- show RUN. If it is right: ${command} runs -- publish RUN --force --reason TEXT`,
  RunFailed: `A run has ended without publishing; the earlier file stays. See why and what to do: ${command} runs -- list, then runs -- show RUN`,
  QueryFailed: `A file was published, but Athena's query over it failed, or the file lacks a required column: the earlier result stays. The mail of the same minute says which. See also: ${logOf("athena")}. To put an earlier file back: ${command} runs -- rollback RUN`,
  RefreshFailed: `New results are there, but Tableau still shows the earlier ones. See why: ${command} replay -- list. Mend that, then refresh: ${command} replay -- send --queue tableau`,
  InstanceFailed: `An EC2 instance did not start or stop as it was asked to. The mail of the same minute says why. See how they are: ${command} instances -- status`,
} satisfies Record<keyof typeof failureRules, string>;

const failed = (rule: keyof typeof failureRules): Watched => ({
  namespace: "AWS/Events",
  metric: "MatchedEvents",
  // Of a bus that is not the default one both are told.
  // https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
  dimensions: { EventBusName: bus.name, RuleName: failureRules[rule] },
});
// Counted by EventBridge where the rule matches, whether or not the reporter then gets the event and can mail it.
for (const rule of keysOf(failures)) {
  alarm(rule, { ...failed(rule), text: failures[rule], statistic: "Sum", threshold: 0 });
}

if (scheduled) {
  for (const { name, staleAfterDays } of datasets) {
    // One number a day. Where none comes any more, CloudWatch looks some days back before it counts that as bad.
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    alarm(`Stale-${name}`, {
      ...ours("PublishedFileAgeHours", "reporter", name),
      text: `Nothing of ${name} was published for ${staleAfterDays} days, or nobody has looked for days. See what became of its runs: ${command} runs -- list. Ask for one: ${command} runs -- request --dataset ${name}. If there was no schedule: aws scheduler list-schedules. If nobody looked: ${logOf("reporter")}`,
      statistic: "Maximum",
      threshold: (staleAfterDays * days) / hours,
      periodSeconds: 1 * days,
      missing: "breaching",
    });
  }
  if (instances !== "none") {
    alarm("InstancesLeftRunning", {
      ...ours("InstancesRunningHours", "reporter"),
      text: `An EC2 instance of the team's has been running for more than a day; it costs as long as it does. See which: ${command} instances -- status. If nobody needs it: ${command} instances -- stop`,
      statistic: "Maximum",
      // The schedule and each run's end stop them after hours.
      threshold: 24,
      // One number a day.
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
        graph("Rows more or fewer than the time before", runLines("RowsChange")),
        graph(
          "Left out or fetched again",
          (["Rejects", "Duplicates", "RefetchedWindows"] as const).flatMap(runLines),
        ),
        graph(
          "Seconds: collecting, assembling, querying",
          (["CollectSeconds", "AssembleSeconds", "QuerySeconds"] as const).flatMap(runLines),
          { stacked: true },
        ),
        graph("LibInsight's errors, by kind", [
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
        graph("Hours that EC2 instances have been running", [
          line(ours("InstancesRunningHours", "reporter"), { label: "the longest", period: 1 * days }),
        ]),
        graph(
          "Age of the published file, in hours",
          datasets.map(({ name }) =>
            line(ours("PublishedFileAgeHours", "reporter", name), { label: name, period: 1 * days }),
          ),
          {
            annotations: {
              horizontal: datasets.map(({ name, staleAfterDays }) => ({
                label: `${name} is stale`,
                value: (staleAfterDays * days) / hours,
              })),
            },
          },
        ),
      ],
    }),
  });
}

/** An alarm that tells nobody would cost ten cents a month all the same. */
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

/** As shared/metrics.ts tells it. */
function ours(metric: MetricName, service: string, dataset?: string): Watched {
  const dimensions = { service, stage: $app.stage, ...(dataset !== undefined && { dataset }) };
  return { namespace: metricNamespace, metric, dimensions };
}

/** A graph with a point a week, unless a line says otherwise. */
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

/** https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html */
function line({ namespace, metric, dimensions }: Watched, options: object): unknown[] {
  return [namespace, metric, ...Object.entries(dimensions).flat(), options];
}

function keysOf<T extends string>(record: Record<T, unknown>): T[] {
  return Object.keys(record).filter((key): key is T => key in record);
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
