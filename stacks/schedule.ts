// Each dataset's schedule. It puts `run.requested` on the bus, as an operator does.
import { datasets } from "../shared/datasets.ts";
import { eventSource } from "../shared/events.ts";
import { bus, unscheduled } from "./messaging.ts";
import { currentStage } from "./stage.ts";

for (const { name, schedule, timeZone } of datasets) {
  new sst.aws.CronV2(`Collect-${name}`, {
    schedule,
    timezone: timeZone,
    enabled: currentStage().scheduled,
    // The scheduler fills in the time, so a schedule that fires twice for one time requests one run.
    // https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    event: { dataset: name, reason: "schedule", requestId: "schedule <aws.scheduler.scheduled-time>" },
    dlq: unscheduled.arn,
    // CronV2 calls it a function and takes any ARN. The transforms below say what a bus needs in place of a function.
    function: bus.arn,
    transform: {
      schedule: (args) => {
        args.target = $output(args.target).apply((target) => ({
          ...target,
          eventbridgeParameters: { source: eventSource, detailType: "run.requested" },
          // The scheduler's longest: it tries for a day, and then leaves the request among the unscheduled.
          retryPolicy: { maximumEventAgeInSeconds: 24 * 3600, maximumRetryAttempts: 185 },
        }));
      },
      role: (args) => {
        args.inlinePolicies = [
          {
            name: "inline",
            policy: aws.iam.getPolicyDocumentOutput({
              statements: [
                { actions: ["events:PutEvents"], resources: [bus.arn] },
                { actions: ["sqs:SendMessage"], resources: [unscheduled.arn] },
              ],
            }).json,
          },
        ];
      },
    },
  });
}
