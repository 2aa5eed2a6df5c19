// Numbers for CloudWatch, as lines of its embedded metric format on stdout: they cost no call and no waiting. Where
// POWERTOOLS_METRICS_DISABLED is set, as on one machine, nothing is written.
import { Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";

/** Every metric that there is, with its unit. CloudWatch bills each one for the hours in which it is reported. */
const units = {
  RowsPublished: MetricUnit.Count,
  /** Against what was published before. */
  RowsChange: MetricUnit.Count,
  Rejects: MetricUnit.Count,
  Duplicates: MetricUnit.Count,
  /** Whose numbers did not agree at first. */
  RefetchedWindows: MetricUnit.Count,
  /** From the request until the last page is transformed: pages are transformed while others are fetched. */
  CollectSeconds: MetricUnit.Seconds,
  /** From then until the files are in place. */
  AssembleSeconds: MetricUnit.Seconds,
  /** From then until Athena's result is. */
  QuerySeconds: MetricUnit.Seconds,
  /** By the error's name. */
  LibInsightErrors: MetricUnit.Count,
  /** CloudWatch knows no hours. */
  PublishedFileAgeHours: MetricUnit.NoUnit,
  /** Since the published file was put in its place, where Athena's results are not of its run; else 0. */
  ResultsBehindHours: MetricUnit.NoUnit,
  /** In the folder of the published file, where Athena reads them as rows. */
  StrayObjects: MetricUnit.Count,
  /** Of the stage's EC2 instance that has run longest; 0 where none runs. */
  InstancesRunningHours: MetricUnit.NoUnit,
} as const;

export type MetricName = keyof typeof units;
export type Numbers = Partial<Record<MetricName, number>>;
/** Names of ours only, and few of each: every combination is a metric of its own. Never a record's text. */
export type Dimensions = { dataset?: string; error?: string };
export type Measure = (numbers: Numbers, dimensions: Dimensions) => void;

/** @param stage distinguishes several stages in one account */
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
