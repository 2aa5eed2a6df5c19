// Captures the metrics that a function writes for CloudWatch.
import { onTestFinished, vi } from "vitest";
import { z } from "zod";

type Line = Record<string, unknown>;

/** Enables metrics, as on a stage. */
export function enableMetrics(): void {
  vi.stubEnv("POWERTOOLS_METRICS_DISABLED", "false");
  vi.stubEnv("POWERTOOLS_METRICS_NAMESPACE", "LibInsight");
}

/** Captures stdout until the test has finished. @returns the lines that contain metrics */
export function metricLines(): Line[] {
  const lines: Line[] = [];
  const spy = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    // Other lines are logs.
    const line = z.record(z.string(), z.unknown()).parse(JSON.parse(String(text)));
    if ("_aws" in line) lines.push(line);
    return true;
  });
  onTestFinished(() => spy.mockRestore());
  return lines;
}
