// Each dataset's schedules. They publish events on the bus, as an operator does: `run.requested`; where the stage has EC2
// instances, the requests to start them before the run and to stop them some hours after it at the latest; and once a
// day the checks of the published file's age and of the instances' running time.
import { datasets, defaultDataset } from "../shared/datasets.ts";
import { type EventDetail, type EventType, eventSource } from "../shared/events.ts";
import { moved } from "./eventbridge-cron.ts";
import { bus, unscheduled } from "./messaging.ts";
import { currentStage } from "./stage.ts";

const { scheduled, instances, instanceMinutes } = currentStage();

/**
 * The scheduler fills in the time for which it fires. By it a service recognizes a request that comes twice or late.
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
 */
const scheduledTime = "<aws.scheduler.scheduled-time>";

/** Hours after the end of a run that starts at six. */
const dailyCheck = "cron(0 9 * * ? *)";

for (const { name, schedule, timeZone } of datasets) {
  publishOn(`Collect-${name}`, {
    schedule,
    timeZone,
    type: "run.requested",
    detail: { dataset: name, reason: "schedule", requestId: `schedule ${scheduledTime}` },
  });
  if (instances !== "none") {
    const detail = { dataset: name, reason: "schedule", requestedAt: scheduledTime };
    const starts = moved(schedule, -instanceMinutes.beforeRun);
    publishOn(`Start-for-${name}`, { schedule: starts, timeZone, type: "instance.start.requested", detail });
    const stops = moved(schedule, instanceMinutes.afterRun);
    publishOn(`Stop-after-${name}`, { schedule: stops, timeZone, type: "instance.stop.requested", detail });
  }
  publishOn(`Freshness-${name}`, {
    schedule: dailyCheck,
    timeZone,
    type: "freshness.check.requested",
    detail: { dataset: name },
  });
}

if (instances !== "none") {
  publishOn("InstancesRunning", {
    schedule: dailyCheck,
    timeZone: defaultDataset.timeZone,
    type: "instances.check.requested",
    detail: {},
  });
}

function publishOn<T extends EventType>(
  name: string,
  {
    schedule,
    timeZone,
    type,
    detail,
  }: { schedule: `cron(${string})`; timeZone: string; type: T; detail: EventDetail<T> },
): void {
  new sst.aws.CronV2(name, {
    schedule,
    timezone: timeZone,
    enabled: scheduled,
    event: detail,
    dlq: unscheduled.arn,
    // CronV2 calls it a function and accepts any ARN. The transforms below set what a bus needs and a function does not.
    function: bus.arn,
    transform: {
      schedule: (args) => {
        args.target = $output(args.target).apply((target) => ({
          ...target,
          eventbridgeParameters: { source: eventSource, detailType: type },
          // The scheduler's maximum: it retries for a day, and then moves the request to the queue Unscheduled.
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
