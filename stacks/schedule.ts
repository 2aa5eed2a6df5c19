// Each dataset's schedules. They put an event on the bus, as an operator does: `run.requested`; where the stage has EC2
// instances, the wish that they start before the run, and stop at a latest hour after it; and once a day the requests to
// look how old the dataset's published file is, and how long the instances have been running.
import { datasets, defaultDataset } from "../shared/datasets.ts";
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

/** Hours after a run at six has ended, well or not. */
const dailyLook = "cron(0 9 * * ? *)";

for (const { name, schedule, timeZone } of datasets) {
  tellBus(`Collect-${name}`, {
    schedule,
    timeZone,
    type: "run.requested",
    detail: { dataset: name, reason: "schedule", requestId: `schedule ${scheduledTime}` },
  });
  if (instances !== "none") {
    const detail = { dataset: name, reason: "schedule", requestedAt: scheduledTime };
    const starts = moved(schedule, -instanceMinutes.beforeRun);
    tellBus(`Start-for-${name}`, { schedule: starts, timeZone, type: "instance.start.requested", detail });
    const stops = moved(schedule, instanceMinutes.afterRun);
    tellBus(`Stop-after-${name}`, { schedule: stops, timeZone, type: "instance.stop.requested", detail });
  }
  tellBus(`Freshness-${name}`, {
    schedule: dailyLook,
    timeZone,
    type: "freshness.check.requested",
    detail: { dataset: name },
  });
}

if (instances !== "none") {
  tellBus("InstancesRunning", {
    schedule: dailyLook,
    timeZone: defaultDataset.timeZone,
    type: "instances.check.requested",
    detail: {},
  });
}

function tellBus<T extends EventType>(
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
    // CronV2 calls it a function and takes any ARN. The transforms below say what a bus needs in place of a function.
    function: bus.arn,
    transform: {
      schedule: (args) => {
        args.target = $output(args.target).apply((target) => ({
          ...target,
          eventbridgeParameters: { source: eventSource, detailType: type },
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
