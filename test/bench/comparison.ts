// Formats the runs of compare-tools.ts as table rows: medians, and whether the target is reached.
import type { Outcome } from "./command.ts";
import { median } from "./statistics.ts";
import { type Table, yesOrNo } from "./table.ts";

export type Tool = "ours" | "dlt" | "airbyte";

export type Target = { seconds: number; peakMb?: number };

export type Compared = {
  case: string;
  /** Empty for a skipped peer. */
  outcomes: Record<Tool, readonly Outcome[]>;
  target: Target;
};

/** Returns a row for each comparison: wall time and peak memory of the largest process. */
export function peerTable(compared: readonly Compared[]): Table {
  return {
    headers: ["Case", "`npm start`", "dlt", "Airbyte CDK", "Target", "Reached"],
    rows: compared.map(({ case: name, outcomes, target }) => [
      name,
      cellOf(outcomes.ours),
      cellOf(outcomes.dlt),
      cellOf(outcomes.airbyte),
      textOf(target),
      yesOrNo(isReached(outcomes, target)),
    ]),
  };
}

/** Requires `npm start` to succeed every time, within the target, and faster than each peer that was not skipped. */
export function isReached({ ours, dlt, airbyte }: Compared["outcomes"], target: Target): boolean {
  const measured = summaryOf(ours);
  if (!measured || "failure" in measured) return false;
  if (measured.seconds > target.seconds) return false;
  // A peak that could not be measured is not within the target.
  if (target.peakMb !== undefined && !(measured.peakMb <= target.peakMb)) return false;
  return [dlt, airbyte].every((outcomes) => {
    const peer = summaryOf(outcomes);
    return !peer || "failure" in peer || measured.seconds < peer.seconds;
  });
}

/** Returns the median time and the median peak; the failure if one run failed; undefined if there was none. */
function summaryOf(outcomes: readonly Outcome[]): Outcome | undefined {
  const failed = outcomes.find((outcome) => "failure" in outcome);
  if (failed || outcomes.length === 0) return failed;
  const measured = outcomes.filter((outcome) => "seconds" in outcome);
  return {
    seconds: median(measured.map(({ seconds }) => seconds)),
    peakMb: median(measured.map(({ peakMb }) => peakMb)),
  };
}

function cellOf(outcomes: readonly Outcome[]): string {
  const summary = summaryOf(outcomes);
  if (!summary) return "skipped";
  if ("failure" in summary) return summary.failure;
  const { seconds, peakMb } = summary;
  return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s / ${Number.isNaN(peakMb) ? "?" : Math.round(peakMb)} MB`;
}

function textOf({ seconds, peakMb }: Target): string {
  const memory = peakMb === undefined ? "" : ` / ${peakMb} MB`;
  return `<= ${Number(seconds.toFixed(2))} s${memory}, fastest`;
}
