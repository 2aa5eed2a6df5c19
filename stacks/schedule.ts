// The schedules of each dataset. They emit the same events on the bus as an operator does: `run.requested`; on a stage
// with EC2 instances, requests to start them before the run and to stop them some hours later; and daily checks of the
// published file's age and of the instances' running time.
import { datasets, defaultDataset } from "../shared/datasets.ts";
import { type EventDetail, type EventType, eventSource } from "../shared/events.ts";
import { shiftSchedule } from "./eventbridge-cron.ts";
import { bus, unscheduled } from "./messaging.ts";
import { currentStage } from "./stage.ts";

const { scheduled, instances, instanceMinutes } = currentStage();

/**
 * The scheduler replaces this with the scheduled time, so that services recognize a duplicate or late request.
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
 */
const scheduledTime = "<aws.scheduler.scheduled-time>";

/** 9:00 is hours after the end of a run that starts at 6:00. */
const dailyCheck = "cron(0 9 * * ? *)";

for (const { name, schedule, timeZone } of datasets) {
  emitOnSchedule(`Collect-${name}`, {
    schedule,
    timeZone,
    type: "run.requested",
    detail: { dataset: name, reason: "schedule", requestId: `schedule ${scheduledTime}` },
  });
  if (instances !== "none") {
    const detail = { dataset: name, reason: "schedule", requestedAt: scheduledTime };
    emitOnSchedule(`Start-for-${name}`, {
      schedule: shiftSchedule(schedule, -instanceMinutes.beforeRun),
      timeZone,
      type: "instance.start.requested",
      detail,
    });
    emitOnSchedule(`Stop-after-${name}`, {
      schedule: shiftSchedule(schedule, instanceMinutes.afterRun),
      timeZone,
      type: "instance.stop.requested",
      detail,
    });
  }
  emitOnSchedule(`Freshness-${name}`, {
    schedule: dailyCheck,
    timeZone,
    type: "freshness.check.requested",
    detail: { dataset: name },
  });
}

if (instances !== "none") {
  emitOnSchedule("InstancesRunning", {
    schedule: dailyCheck,
    timeZone: defaultDataset.timeZone,
    type: "instances.check.requested",
    detail: {},
  });
}

function emitOnSchedule<T extends EventType>(
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
    // CronV2 names this property `function` but accepts any ARN. The transforms below set what a bus needs in addition.
    function: bus.arn,
    transform: {
      schedule: (args) => {
        args.target = $output(args.target).apply((target) => ({
          ...target,
          eventbridgeParameters: { source: eventSource, detailType: type },
          // The scheduler retries for 24 hours, its maximum, and then moves the request to the queue Unscheduled.
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
