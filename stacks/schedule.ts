// Each dataset's schedules. They put an event on the bus, as an operator does: `run.requested`; where the stage has EC2
// instances, the wish that they start before the run, and stop at a latest hour after it; and once a day the request to
// look how old the dataset's published file is.
import { datasets } from "../shared/datasets.ts";
import { type EventDetail, type EventType, eventSource } from "../shared/events.ts";
import { moved } from "./cron.ts";
import { bus, unscheduled } from "./messaging.ts";
import { currentStage } from "./stage.ts";

const { scheduled, instances, instanceMinutes } = currentStage();

/**
 * The scheduler fills in the time for which it fires: what comes twice is known by it, and so is what comes late.
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
 */
const scheduledTime = "<aws.scheduler.scheduled-time>";

for (const { name, schedule, timeZone } of datasets) {
  onSchedule(`Collect-${name}`, "run.requested", {
    schedule,
    timeZone,
    detail: { dataset: name, reason: "schedule", requestId: `schedule ${scheduledTime}` },
  });
  if (instances !== "none") {
    const detail = { dataset: name, reason: "schedule", requestedAt: scheduledTime };
    const starts = moved(schedule, -instanceMinutes.beforeRun);
    onSchedule(`Start-for-${name}`, "instance.start.requested", { schedule: starts, timeZone, detail });
    const stops = moved(schedule, instanceMinutes.afterRun);
    onSchedule(`Stop-after-${name}`, "instance.stop.requested", { schedule: stops, timeZone, detail });
  }
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
    enabled: scheduled,
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
