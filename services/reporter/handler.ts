// Lambda handler of ReportQueue: what happened to runs is told to people and to CloudWatch.
import { s3, sns } from "../../shared/aws/clients.ts";
import { ec2, Instances } from "../../shared/aws/instances.ts";
import { Store } from "../../shared/aws/store.ts";
import { topicNotifier } from "../../shared/aws/topic.ts";
import { config } from "../../shared/config.ts";
import { reportable } from "../../shared/events.ts";
import { createMeasure } from "../../shared/metrics.ts";
import { sqsHandler } from "../../shared/sqs-handler.ts";
import { report } from "./report.ts";

export const handler = sqsHandler({
  service: "reporter",
  queue: "REPORT",
  schema: reportable,
  handle: (event) =>
    report(event, {
      work: new Store(s3(), config.workBucket()),
      data: new Store(s3(), config.dataBucket()),
      notify: topicNotifier(sns(), config.alertsTopic()),
      measure: createMeasure("reporter", config.stage()),
      stage: config.stage(),
      instances: async () => new Instances(ec2()),
      team: config.instances(),
      hasTableau: config.tableau() !== undefined,
      now: () => new Date(),
    }),
});
