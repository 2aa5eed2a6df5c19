// Plans a run from its request: its id, dates, periods and windows. A repeated request gives the same run, unless another
// file was published meanwhile.
import type { Dataset } from "../../shared/dataset-schema.ts";
import { addDays, yesterday } from "../../shared/dates.ts";
import { PipelineError } from "../../shared/errors.ts";
import type { RunRequested } from "../../shared/events.ts";
import { kinds } from "../../shared/kinds/kinds.ts";
import type { Profile } from "../../shared/profile.ts";
import { densityOf, windowsOf } from "../../shared/ranges.ts";
import { type Run, runIdOf } from "../../shared/run.ts";
import { dayIn } from "../../shared/time-zone.ts";
import { type Kept, planRefresh } from "./refresh.ts";

/**
 * Returns the requested run. "Yesterday" is relative to the event's time, so a late delivery plans the same dates.
 * @param published the profile of the published file, if it is known: windows are planned to fit one page each. Without it
 * a period is one window, which is split if it does not fit.
 * @param kept what a run of a dataset with `refresh` may reuse
 * @throws PipelineError `RangeImpossible`
 */
export function planRun(
  request: RunRequested,
  dataset: Dataset,
  published: Profile | undefined,
  kept: Kept = { file: undefined, index: undefined },
): Run {
  const requestId = request.detail.requestId ?? request.id;
  const from = request.detail.from ?? dataset.firstDate;
  const time = new Date(request.time);
  const to = request.detail.to ?? yesterday(time, dataset.timeZone);
  if (from > to) {
    throw new PipelineError("RangeImpossible", {
      message: `The date range ${from} to ${to} is empty.`,
      advice: "Request a range whose `from` is not after its `to`. Without `to` it ends yesterday.",
      ids: { dataset: dataset.name },
    });
  }
  if (to > dayIn(dataset.timeZone, time)) {
    throw new PipelineError("RangeImpossible", {
      message: `The date range ends on ${to}, which was in the future when the run was requested.`,
      advice: "Request a range that ends today or earlier. Without `to` it ends yesterday.",
      ids: { dataset: dataset.name },
    });
  }
  const kind = kinds[dataset.kind];
  const periods = kind.periods({ from, to });
  const [first, last] = [periods[0], periods.at(-1)];
  if (!first || !last) {
    throw new PipelineError("RangeImpossible", {
      message: `The date range ${from} to ${to} is too short for a dataset of the kind ${dataset.kind}.`,
      advice: "Request a range that has at least one whole month.",
      ids: { dataset: dataset.name },
    });
  }
  const density = kind.isPaged && published ? densityOf(published) : undefined;
  const planned = { from: first.from, to: last.to, requestedAt: request.time };
  const { refresh, reused } = planRefresh(planned, request.detail.full === true, dataset, kept);
  const lastReused = reused.at(-1);
  const start = lastReused ? addDays(lastReused.to, 1) : planned.from;
  const fetched = periods
    .filter(({ to }) => to >= start)
    .map((period) => (period.from < start ? { ...period, from: start } : period))
    .flatMap((range) => (density ? windowsOf(range, density) : [range]));
  return {
    runId: runIdOf(dataset.name, requestId),
    dataset: dataset.name,
    requestId,
    reason: request.detail.reason,
    ...(request.detail.skipComparison !== undefined && {
      skipComparison: request.detail.skipComparison,
    }),
    // The periods of whole months begin and end elsewhere than the requested range.
    ...planned,
    periods: numbered(periods),
    windows: numbered([...reused.map(({ from, to, ...reused }) => ({ from, to, reused })), ...fetched]),
    ...(refresh && { refresh }),
  };
}

function numbered<T>(ranges: readonly T[]): (T & { number: number })[] {
  return ranges.map((range, index) => ({ number: index + 1, ...range }));
}
