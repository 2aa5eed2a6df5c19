// The renderer queue: runs whose results are published, and held and failed runs, become reports.
import { reportWanted } from "../../shared/events.ts";
import { defineService } from "../../shared/message-loop.ts";
import { type RendererDeps, writeReport } from "./write-report.ts";

export const rendererService = defineService({
  name: "renderer",
  schema: reportWanted,
  handle: async ({ detail }, deps: RendererDeps) => {
    const { runId } = detail;
    return { run: runId, report: (await writeReport(detail, deps)) ?? "none" };
  },
});
