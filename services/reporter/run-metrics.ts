// The metrics of a run's outcome. Pure functions.
import type { Numbers } from "../../shared/metrics.ts";
import { type RunResult, rejectedCount } from "../../shared/run.ts";

/** @param transformedAt when the run's last page was transformed, to the second */
export function runMetrics(result: RunResult, transformedAt: Date | undefined): Numbers {
  const { state, rows, previous, duplicates, windows } = result;
  return {
    ...(state === "published" && {
      RowsPublished: rows,
      ...(previous && { RowsChange: rows - previous.rows }),
    }),
    Rejects: rejectedCount(result),
    Duplicates: duplicates,
    RefetchedWindows: windows.filter(({ attempt }) => attempt > 1).length,
    ...(transformedAt && stageSeconds(result, transformedAt)),
  };
}

/** Returns nothing for a run published by force, whose time includes days of waiting for a decision. */
function stageSeconds({ force, requestedAt, finishedAt }: RunResult, transformedAt: Date): Numbers {
  if (force !== undefined) return {};
  return {
    CollectSeconds: secondsBetween(new Date(requestedAt), transformedAt),
    AssembleSeconds: secondsBetween(transformedAt, new Date(finishedAt)),
  };
}

/** Never negative: times of S3 and EventBridge are whole seconds, and a repeated page is written again. */
export function secondsBetween(from: Date, to: Date): number {
  return Math.max((to.getTime() - from.getTime()) / 1000, 0);
}
