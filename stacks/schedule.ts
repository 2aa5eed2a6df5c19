// Each dataset's schedules. They put an event on the bus, as an operator does: `run.requested`, and once a day the request
// to look how old its published file is.
import { datasets } from "../shared/datasets.ts";
import { type EventDetail, type EventType, eventSource } from "../shared/events.ts";
import { bus, unscheduled } from "./messaging.ts";
import { currentStage } from "./stage.ts";

for (const { name, schedule, timeZone } of datasets) {
  onSchedule(`Collect-${name}`, "run.requested", {
    schedule,
    timeZone,
    // The scheduler fills in the time, so a schedule that fires twice for one time requests one run.
    // https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    detail: { dataset: name, reason: "schedule", requestId: "schedule <aws.scheduler.scheduled-time>" },
  });
  onSchedule(`Freshness-${name}`, "freshness.check.requested", {
    // Hours after a run at six has ended, well or not.
    schedule: "cron(0 9 * * ? *)",
    timeZone,
    detail: { dataset: name },
  });
}

function onSchedule<T extends EventType>(
  name: string,
  detailType: T,
  { schedule, timeZone, detail }: { schedule: `cron(${string})`; timeZone: string; detail: EventDetail<T> },
): void {
  new sst.aws.CronV2(name, {
    schedule,
    timezone: timeZone,
    enabled: currentStage().scheduled,
    event: detail,
    dlq: unscheduled.arn,
    // CronV2 calls it a function and takes any ARN. The transforms below say what a bus needs in place of a function.
    function: bus.arn,
    transform: {
      schedule: (args) => {
        args.target = $output(args.target).apply((target) => ({
          ...target,
          eventbridgeParameters: { source: eventSource, detailType },
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
