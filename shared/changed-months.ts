// Says in which month most of a publication's changes are, for messages and reports.
import type { FileChanges } from "./run.ts";

/** Returns ", mostly in October", ", all in October 2025" in another year than `today`, or an empty text. */
export function changedMonthText({ months }: Pick<FileChanges, "months">, today: string): string {
  const counted = months.map(({ month, added, edited, deleted, moved }) => ({
    month,
    changes: added + edited + deleted + moved,
  }));
  const all = counted.reduce((sum, { changes }) => sum + changes, 0);
  const most = counted.find(({ changes }) => changes > all / 2);
  if (!most?.month) return "";
  const isThisYear = most.month.slice(0, 4) === today.slice(0, 4);
  const name = new Date(`${most.month}-01T00:00:00Z`).toLocaleString("en-US", {
    month: "long",
    timeZone: "UTC",
    ...(!isThisYear && { year: "numeric" }),
  });
  return `, ${most.changes === all ? "all" : "mostly"} in ${name}`;
}
