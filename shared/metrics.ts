// CloudWatch metrics, written to stdout in the embedded metric format, which takes no call to AWS. If
// POWERTOOLS_METRICS_DISABLED is set, as on one machine, nothing is written.
import { Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";

/** The metrics with their units. CloudWatch bills each metric for the hours in which it is written. */
const units = {
  RowsPublished: MetricUnit.Count,
  /** Difference from the published file. */
  RowsChange: MetricUnit.Count,
  Rejects: MetricUnit.Count,
  Duplicates: MetricUnit.Count,
  /** Windows that were fetched again because their totals did not match. */
  RefetchedWindows: MetricUnit.Count,
  /** From the request until the last page is transformed. Pages are fetched and transformed at the same time. */
  CollectSeconds: MetricUnit.Seconds,
  /** From the last transformed page until the files are published. */
  AssembleSeconds: MetricUnit.Seconds,
  /** From the published file until the published query result. */
  QuerySeconds: MetricUnit.Seconds,
  /** With the error's name as a dimension. */
  LibInsightErrors: MetricUnit.Count,
  /** CloudWatch has no unit for hours. */
  PublishedFileAgeHours: MetricUnit.NoUnit,
  /** Hours since the file was published, if Athena's results are of another run; else 0. */
  ResultsBehindHours: MetricUnit.NoUnit,
  /** Objects in the folder of the published file that Athena would read as rows. */
  StrayObjects: MetricUnit.Count,
  /** The longest uptime of the stage's EC2 instances; 0 if none is running. */
  InstancesRunningHours: MetricUnit.NoUnit,
  /** Messages that were emailed and could not be posted to the webhook. */
  WebhookFailures: MetricUnit.Count,
} as const;

export type MetricName = keyof typeof units;
export type Numbers = Partial<Record<MetricName, number>>;
/** Names of datasets and errors, never text of a record. Every combination is a separate metric. */
export type Dimensions = { dataset?: string; error?: string };
export type Measure = (numbers: Numbers, dimensions: Dimensions) => void;

/** @param stage a dimension of every metric, which separates the stages of an account */
export function createMeasure(service: string, stage: string): Measure {
  const metrics = new Metrics({ serviceName: service, defaultDimensions: { stage } });
  return (numbers, dimensions) => {
    for (const [name, value] of Object.entries(dimensions)) metrics.addDimension(name, value);
    for (const [name, value] of Object.entries(numbers)) {
      if (isMetric(name)) metrics.addMetric(name, units[name], value);
    }
    metrics.publishStoredMetrics();
  };
}

function isMetric(name: string): name is MetricName {
  return Object.hasOwn(units, name);
}
