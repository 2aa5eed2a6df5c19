// The metrics that a handler tells, as CloudWatch would read them from its log.
import { onTestFinished, vi } from "vitest";
import { z } from "zod";

type Line = Record<string, unknown>;

/** Lets metrics be written, as on a stage. After `startLocalAws`, which sets the environment of one machine. */
export function enableMetrics(): void {
  Object.assign(process.env, {
    POWERTOOLS_METRICS_DISABLED: "false",
    POWERTOOLS_METRICS_NAMESPACE: "LibInsight",
  });
}

/** The lines from which CloudWatch takes metrics, collected until the test has finished. */
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

/** A line without what is the same on all lines of a service. */
export function withoutService({ _aws, service: _service, stage: _stage, ...numbers }: Line): Line {
  return numbers;
}
