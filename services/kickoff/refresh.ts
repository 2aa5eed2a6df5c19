// Plans which windows of a run come from earlier runs (`refresh` of the dataset's entry).
import type { Dataset } from "../../shared/dataset-schema.ts";
import { addDays, mondayOf } from "../../shared/dates.ts";
import { fingerprintOf } from "../../shared/fingerprint.ts";
import type { KeptIndex, KeptWindow, RunRefresh } from "../../shared/kept.ts";
import type { ObjectInfo } from "../../shared/ports.ts";
import type { Run } from "../../shared/run.ts";
import { dayIn } from "../../shared/time-zone.ts";

type Refresh = NonNullable<Dataset["refresh"]>;
/** `reused` are the windows that are not fetched, in order: all from the run's first day on, or none. */
export type RefreshPlan = { refresh?: RunRefresh; reused: KeptWindow[] };
type PlannedRun = Pick<Run, "from" | "to" | "requestedAt">;
/** What is known of earlier runs: the published CSV, and the index of the dataset's kept parts. */
export type Kept = { file: Pick<ObjectInfo, "metadata"> | undefined; index: KeptIndex | undefined };

const periodNames = { weekly: "week", monthly: "month", quarterly: "quarter" } as const;

/**
 * Returns which windows the run reuses, and why. All of them are older than the lookback.
 * @param isFullRequested whether the request asks for everything
 * @returns no `refresh` if the dataset is always collected in full
 */
export function planRefresh(
  run: PlannedRun,
  isFullRequested: boolean,
  dataset: Dataset,
  { file, index }: Kept,
): RefreshPlan {
  const { refresh, timeZone } = dataset;
  if (!refresh) return { reused: [] };
  const full = (reason: string): RefreshPlan => ({ refresh: { reason }, reused: [] });
  if (isFullRequested) return full("it was requested");
  if (!file) return full("no file is published yet");
  if (!index) return full("no parts of the published file are kept");
  const { "run-id": runId, "requested-at": requestedAt } = file.metadata;
  if (runId !== index.runId || requestedAt !== index.requestedAt)
    return full("the kept parts are not those of the published file");
  if (index.entry !== fingerprintOf(dataset)) return full("the dataset's entry has changed");
  if (index.from !== run.from || run.to < index.to) return full("the dates differ from the published file's");
  const period = (time: string) => firstDayOf(refresh.full, dayIn(timeZone, new Date(time)));
  const name = periodNames[refresh.full];
  if (period(index.full.requestedAt) !== period(run.requestedAt))
    return full(`it is the first run of the ${name}`);
  const firstFetched = addDays(run.to, -refresh.lookbackDays);
  const reused = index.windows.filter(({ to }) => to < firstFetched);
  if (reused.length === 0) return full("every window lies in the lookback");
  return {
    refresh: { reason: `a run of this ${name} has collected everything`, lastFull: index.full },
    reused,
  };
}

/** Returns the first day of the week, month or quarter of a day. */
function firstDayOf(full: Refresh["full"], day: string): string {
  if (full === "weekly") return mondayOf(day);
  const [year, month] = [day.slice(0, 4), Number(day.slice(5, 7))];
  const first = full === "monthly" ? month : month - ((month - 1) % 3);
  return `${year}-${String(first).padStart(2, "0")}-01`;
}
