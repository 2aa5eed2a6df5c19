// Tests what the report says about the rows that changed.
import { expect, test } from "vitest";
import { rowChanges } from "../../../services/renderer/changes.ts";
import type { FileChanges } from "../../../shared/run.ts";

const month = { added: 0, edited: 0, deleted: 0, moved: 0 };
const textsOf = (changes: FileChanges) =>
  rowChanges({ changes, finishedAt: "2026-11-23T11:00:41.321Z" }).map(({ source }) =>
    source.replace(/<[^>]*>/g, "").replaceAll("&lt;", "<"),
  );
const changesOf = (counts: Partial<FileChanges>): FileChanges => ({
  ...{ since: { runId: "earlier", requestedAt: "2026-11-16T11:00:00Z" }, ...month, columns: {} },
  months: [{ month: "2026-10", ...month, added: 1 }],
  ...counts,
});

test("large counts are shown, small ones are hidden, and columns have no counts", () => {
  const columns = { Location: 14, mode: 1 };
  expect(textsOf(changesOf({ added: 132, edited: 14, deleted: 8, moved: 3, columns }))).toEqual([
    "Rows: 132 added, 8 deleted, 14 edited, <5 moved to another date, all in October.",
    "Columns with other values: Location and mode.",
  ]);
});

test("few deleted rows do not follow from the added ones and the exact difference", () => {
  expect(textsOf(changesOf({ added: 132, edited: 14, deleted: 2 }))).toEqual([
    "Rows: 14 edited, 0 moved to another date, all in October. There are too few added or deleted rows to count them apart.",
  ]);
});

test("rows that were not compared are not counted, with the reason", () => {
  const { since: _, ...changes } = changesOf({
    snapshot: "the file before was restored by a rollback",
    months: [],
  });
  expect(textsOf(changes)).toEqual([
    "The rows were not compared, because the file before was restored by a rollback.",
  ]);
});
