// The metrics that a function writes, as CloudWatch reads them from its log.
import { onTestFinished, vi } from "vitest";
import { z } from "zod";

type Line = Record<string, unknown>;

/** Lets metrics be written, as on a stage. */
export function enableMetrics(): void {
  vi.stubEnv("POWERTOOLS_METRICS_DISABLED", "false");
  vi.stubEnv("POWERTOOLS_METRICS_NAMESPACE", "LibInsight");
}

/** Returns the lines from which CloudWatch takes metrics, until the test has finished. */
export function metricLines(): Line[] {
  const lines: Line[] = [];
  const spy = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    // The others are the log's.
    const line = z.record(z.string(), z.unknown()).parse(JSON.parse(String(text)));
    if ("_aws" in line) lines.push(line);
    return true;
  });
  onTestFinished(() => spy.mockRestore());
  return lines;
}
