// The reporter queue: run outcomes and failures become emails and metrics.
import { reportable } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import { type ReporterDeps, report } from "./report.ts";

export const reporterService = defineService({
  name: "reporter",
  schema: reportable,
  handle: (event, deps: ReporterDeps) => report(event, deps),
});
