// A run's end in numbers, for the metrics. Pure.
import type { Numbers } from "../../shared/metrics.ts";
import { type RunResult, rejectedCount } from "../../shared/run.ts";

/** @param transformedAt when the run's last page was transformed, by the second */
export function numbersOf(result: RunResult, transformedAt: Date | undefined): Numbers {
  const { state, rows, previous, duplicates, windows } = result;
  return {
    ...(state === "published" && {
      RowsPublished: rows,
      ...(previous && { RowsChange: rows - previous.rows }),
    }),
    Rejects: rejectedCount(result),
    Duplicates: duplicates,
    RefetchedWindows: windows.filter(({ attempt }) => attempt > 1).length,
    ...(transformedAt && secondsOf(result, transformedAt)),
  };
}

/** A run that was published by force may have waited for days until a person decided; that is no stage's time. */
function secondsOf({ force, requestedAt, finishedAt }: RunResult, transformedAt: Date): Numbers {
  if (force !== undefined) return {};
  return {
    CollectSeconds: secondsBetween(new Date(requestedAt), transformedAt),
    AssembleSeconds: secondsBetween(transformedAt, new Date(finishedAt)),
  };
}

/** Not below zero: S3 and EventBridge tell times by the second, and a page that was delivered twice is written twice. */
export function secondsBetween(from: Date, to: Date): number {
  return Math.max((to.getTime() - from.getTime()) / 1000, 0);
}
