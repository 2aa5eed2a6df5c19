// Says which windows of a run are those of earlier runs, and what a full run found in such windows.
import { maxLookbackDays } from "./kept.ts";
import { count, quantity } from "./quantity.ts";
import type { RunResult } from "./run.ts";
import { dayIn } from "./time-zone.ts";

/**
 * Returns the sentences, or none if the dataset is always collected in full.
 * @param changed returns a number of changes in words
 */
export function refreshTexts(
  { refresh, windows }: Pick<RunResult, "refresh" | "windows">,
  timeZone: string,
  changed = (changes: number) => quantity(changes, "change"),
): string[] {
  if (!refresh) return [];
  const { reused, oldest, missed } = refresh;
  const on = (time: string) => dayIn(timeZone, new Date(time));
  const texts: string[] = [];
  if (oldest !== undefined) {
    texts.push(
      `${count(reused)} of ${quantity(windows.length, "window")} were not fetched: their rows are those of earlier runs, the oldest of ${on(oldest)}, because LibInsight counts the same.`,
    );
  }
  if (missed) {
    const { changes, since, adviceDays } = missed;
    const advice =
      adviceDays <= maxLookbackDays
        ? `To find such changes earlier, set refresh.lookbackDays to at least ${adviceDays} in shared/library.ts.`
        : "Only a full run finds changes that old. To find them earlier, shorten refresh.full in shared/library.ts.";
    texts.push(
      `This run found ${changed(changes)} in windows that had been reused since ${on(since)}. ${advice}`,
    );
  }
  return texts;
}
