// The reporter queue: run outcomes and failures become emails and metrics, and the stage's alarms are posted to a webhook.
import * as z from "zod/mini";
import { alarmStateChange } from "../../shared/aws-events.ts";
import { reportable } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import { type ReporterDeps, report } from "./report.ts";

export const reporterService = defineService({
  name: "reporter",
  schema: z.union([reportable, alarmStateChange]),
  handle: (event, deps: ReporterDeps) => report(event, deps),
});
