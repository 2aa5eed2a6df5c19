// The publish guard: why a complete run is held until a person has reviewed it. Pure.
import type { Dataset } from "../../shared/dataset.ts";
import type { RunResult } from "../../shared/run.ts";

export type Account = Pick<RunResult, "records" | "rows" | "duplicates" | "rejects" | "filled">;

/** What is published now, as far as it is known. */
export type Baseline = {
  rows?: number | undefined;
  /** Columns that had values; unknown where the work bucket no longer has that run. */
  filled?: RunResult["filled"] | undefined;
};

/** Returns a sentence for each violation, with its numbers; none where the run may be published. */
export function violations(account: Account, { guard, columns }: Dataset, baseline: Baseline): string[] {
  const { records, rows, duplicates, filled } = account;
  const found: string[] = [];
  const rejected = Object.values(account.rejects).reduce((sum, count) => sum + count, 0);
  if (records !== rows + duplicates + rejected) {
    found.push(
      `the sums do not close: ${records} records are not ${rows} rows, ${duplicates} duplicates and ${rejected} rejects`,
    );
  }
  const before = baseline.rows ?? 0;
  const lost = before === 0 ? 0 : ((before - rows) / before) * 100;
  if (lost > guard.maxShrinkPercent) {
    found.push(
      `rows fell from ${before} to ${rows} (by ${percent(lost)}; the limit is ${percent(guard.maxShrinkPercent)})`,
    );
  }
  const rejectedShare = records === 0 ? 0 : (rejected / records) * 100;
  if (rejectedShare > guard.maxRejectPercent) {
    found.push(
      `${rejected} of ${records} records were rejected (${percent(rejectedShare)}; the limit is ${percent(guard.maxRejectPercent)})`,
    );
  }
  if (rows > 0 && baseline.filled) {
    for (const column of columns) {
      if ("drop" in column || filled[column.name] || !baseline.filled[column.name]) continue;
      found.push(
        `the column "${column.name}" vanished: ${baseline.filled[column.name]} rows had a value, now none has`,
      );
    }
  }
  return found;
}

function percent(value: number): string {
  return `${Math.round(value * 10) / 10} %`;
}
