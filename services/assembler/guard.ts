// The publish guard: what makes a complete run doubtful, so that a person looks at it before readers do. Pure.
import type { Dataset } from "../../shared/dataset.ts";
import type { RunResult } from "../../shared/run.ts";

export type Account = Pick<RunResult, "records" | "rows" | "duplicates" | "rejects" | "filled">;

/** What is published now, as far as it is known. */
export type Baseline = {
  rows?: number | undefined;
  /** Columns that had values; unknown where that run is no longer remembered. */
  filled?: RunResult["filled"] | undefined;
};

/** One sentence for each doubt, saying by how much; none where the run may be published. */
export function doubts(account: Account, { guard, columns }: Dataset, baseline: Baseline): string[] {
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
