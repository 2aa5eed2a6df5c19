// Who is told of runs and that something needs a person, and the alarm that tells them.
import { currentStage } from "./stage.ts";

export const alerts = new sst.aws.SnsTopic("Alerts");

const { alertAddress } = currentStage();
if (alertAddress) {
  // Takes effect when the mail that AWS sends to the address is answered.
  new aws.sns.TopicSubscription("AlertsByMail", {
    topic: alerts.arn,
    protocol: "email",
    endpoint: alertAddress,
  });
}

export type QueueAlarm = {
  metric: "ApproximateNumberOfMessagesVisible" | "ApproximateAgeOfOldestMessage";
  /** The alarm goes off above it. */
  threshold: number;
  description: string;
};

/** An alarm on the worst value of each five minutes. A queue without messages has no values and is well. */
export function alarm(
  name: string,
  queue: sst.aws.Queue,
  { metric, threshold, description }: QueueAlarm,
): void {
  new aws.cloudwatch.MetricAlarm(name, {
    name: `${$app.name}-${$app.stage}-${name}`,
    alarmDescription: description,
    namespace: "AWS/SQS",
    metricName: metric,
    dimensions: { QueueName: queue.nodes.queue.name },
    statistic: "Maximum",
    comparisonOperator: "GreaterThanThreshold",
    threshold,
    period: 300,
    evaluationPeriods: 1,
    treatMissingData: "notBreaching",
    alarmActions: [alerts.arn],
  });
}
