// The texts of the emails.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  countsText,
  forgottenRows,
  heldText,
  noteRows,
  notificationOf,
  publishedMail,
  publishedText,
  refreshRows,
  resultNotes,
} from "../../../services/reporter/message.ts";
import { type Dataset, outputColumns } from "../../../shared/dataset-schema.ts";
import type { ExpectationOutcome, FileChanges, RunResult } from "../../../shared/run.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { firstResultOf, resultOf } from "../../factories/results.ts";

const timeZone = "America/New_York";
const textOf = (result: RunResult) => publishedText(result, { timeZone });
/** The first month has the counts, and a second one has one added row. */
function changesOf(counts: Partial<FileChanges>, months: string[]): FileChanges {
  const all = { added: 0, edited: 0, deleted: 0, moved: 0, ...counts };
  const one = { added: 1, edited: 0, deleted: 0, moved: 0 };
  return {
    since: { runId: "earlier", requestedAt: "2026-11-16T11:00:00Z" },
    ...all,
    columns: {},
    months: months.map((month, index) => ({ month, ...(index === 0 ? all : one) })),
  };
}
const before = (rows: number, requestedAt = "2026-11-16T11:00:00Z") => ({ previous: { rows, requestedAt } });

test.each<[string, RunResult, string]>([
  [
    "has more rows than before",
    resultOf(),
    "10,412 rows (+132 since November 16), 3 rejected, 2 duplicates, in 41 s.",
  ],
  [
    "has fewer rows",
    resultOf(before(11_824)),
    "10,412 rows (-1,412 since November 16), 3 rejected, 2 duplicates, in 41 s.",
  ],
  [
    "has as many rows",
    resultOf(before(10_412)),
    "10,412 rows (+0 since November 16), 3 rejected, 2 duplicates, in 41 s.",
  ],
  [
    "has changes, most of them in one month",
    resultOf({
      changes: changesOf({ added: 140, edited: 14, deleted: 8, moved: 1 }, ["2026-10", "2026-11"]),
    }),
    "10,412 rows (+132 since November 16), 3 rejected, 2 duplicates, in 41 s. Changes: +140 rows, 14 edited, 8 deleted, 1 moved to another date, mostly in October.",
  ],
  [
    "has changes in a month of another year",
    resultOf({ changes: changesOf({ edited: 14 }, ["2025-10"]) }),
    "10,412 rows (+132 since November 16), 3 rejected, 2 duplicates, in 41 s. Changes: 14 edited, all in October 2025.",
  ],
  [
    "has no changes",
    resultOf({ ...before(10_412), changes: changesOf({}, []) }),
    "10,412 rows (+0 since November 16), 3 rejected, 2 duplicates, in 41 s. Changes: none.",
  ],
  [
    "follows a rollback",
    resultOf({
      changes: { ...changesOf({}, []), since: undefined, snapshot: "the file before was restored" },
    }),
    "10,412 rows (+132 since November 16), 3 rejected, 2 duplicates, in 41 s. Changes are unknown, because the file before was restored.",
  ],
  ["has no predecessor", firstResultOf(), "10,412 rows, 3 rejected, 2 duplicates, in 41 s."],
  [
    "has no rejects or duplicates",
    resultOf({ rejects: {}, duplicates: 0 }),
    "10,412 rows (+132 since November 16), nothing rejected, no duplicates, in 41 s.",
  ],
  [
    "has one of each",
    resultOf({ rows: 1, rejects: { "missing _start_date": 1 }, duplicates: 1 }),
    "1 row (-10,279 since November 16), 1 rejected, 1 duplicate, in 41 s.",
  ],
  [
    "has no rows",
    firstResultOf({ rows: 0, rejects: {}, duplicates: 0 }),
    "0 rows, nothing rejected, no duplicates, in 41 s.",
  ],
  [
    "was published by force, without the operator's reason",
    resultOf({
      rows: 9_000,
      violations: [{ kind: "comparison", text: "rows fell from 10280 to 9000" }],
      force: "Jane Doe asked for it",
    }),
    "9,000 rows (-1,280 since November 16), 3 rejected, 2 duplicates, in 41 s. Published despite guard violations: rows fell from 10280 to 9000.",
  ],
])("the text of a run that %s", (_, result, text) => {
  expect(textOf(result)).toBe(`Published ${text}`);
});

test("dates are in the library's time zone, and have the year if it is not the current one", () => {
  expect(textOf(resultOf(before(10_280, "2025-11-17T03:00:00Z")))).toContain(
    "(+132 since November 16, 2025)",
  );
  const newYear = { ...before(10_280, "2026-12-28T11:00:00Z"), finishedAt: "2027-01-01T04:59:00Z" };
  expect(textOf(resultOf(newYear))).toContain("(+132 since December 28)");
});

test.each([
  [0, "0 s"],
  [59.4, "59 s"],
  [60, "1 min 0 s"],
  [3_599, "59 min 59 s"],
  [3_725, "1 h 2 min"],
  [90_000, "1 d 1 h"],
])("a run of %s seconds took %s", (seconds, expected) => {
  const { requestedAt } = resultOf();
  const finishedAt = new Date(Date.parse(requestedAt) + seconds * 1000).toISOString();
  expect(textOf(resultOf({ finishedAt }))).toContain(`, in ${expected}.`);
});

test("the email about a published run names rejects and what updates next", () => {
  const { columns } = datasetOf([]);
  const tableau: Dataset["tableau"] = { dataSources: [{ name: "Reference" }], workbooks: [] };
  const complete = resultOf({ rejects: {} });
  expect(publishedMail(resultOf(), { timeZone, columns, tableau }, true).split("\n").slice(1)).toEqual([
    "Athena and Tableau update next. You receive another email only if that fails.",
    "",
    "Rejected records: invalid _start_date: 1, missing _start_date: 2.",
  ]);
  for (const mail of [
    publishedMail(complete, { timeZone, columns, tableau }, false),
    publishedMail(complete, { timeZone, columns }, true),
  ]) {
    expect(mail).toMatch(/\.\nAthena updates next\. You receive another email only if that fails\.$/);
  }
});

test("the counts name what LibInsight announced and sent, and why records were rejected", () => {
  const windows = resultOf().windows.map((window) => ({ ...window, totalRecords: 1_225 }));
  const result = resultOf({ windows, records: 1_100, rows: 1_000, rejects: { "missing _id": 97, "a b": 1 } });
  expect(countsText(result)).toBe(
    "LibInsight announced 2,450 records and sent 1,100: 1,000 rows, 2 duplicates, 98 rejected (a b: 1, missing _id: 97).",
  );
  expect(countsText({ ...result, rejects: {}, forgotten: 98 })).toMatch(
    /2 duplicates, 0 rejected, 98 forgotten\.$/,
  );
  expect([forgottenRows(result), forgottenRows({ forgotten: 1_200 })]).toEqual([
    [],
    [["forgotten", "1,200"]],
  ]);
  expect(countsText({ ...result, windows: [], records: 0, rows: 0, duplicates: 0, rejects: {} })).toBe(
    "LibInsight announced 0 records and sent 0: 0 rows, 0 duplicates, 0 rejected.",
  );
});

test("statistics come without an announcement, and a message says which windows have no second total", () => {
  const [first, second] = resultOf().windows;
  if (!first || !second) throw new Error("The result has two windows.");
  const dataset = { ...datasetOf([]), kind: "gate-count" as const };
  const one = resultOf({ windows: [first, { ...second, unreconciled: true }] });
  const some =
    "LibInsight gives no second total for 1 of 2 windows, so nothing outside their pages proves that they are complete.";
  expect(heldText(one, "It is held.", dataset).split("\n").slice(0, 4)).toEqual([
    "It is held.",
    "",
    "LibInsight sent 10,417 hourly counts: 10,412 rows, 2 duplicates, 3 rejected (invalid _start_date: 1, missing _start_date: 2).",
    some,
  ]);
  expect(publishedMail(one, dataset, false)).toContain(some);
  expect(noteRows(one, dataset.columns)).toContainEqual(["unreconciled", some]);
  const all = resultOf({ windows: [{ ...first, unreconciled: true }] });
  expect(publishedMail(all, dataset, false)).toContain(
    "LibInsight gives no second total for these dates, so",
  );
  expect(publishedMail(resultOf(), dataset, false)).not.toContain("second total");
});

describe("the message about a dataset that is not always collected in full", () => {
  const { windows } = resultOf();
  const dataset = datasetOf([]);
  const oldest = "2026-11-03T02:00:00Z";
  const mailOf = (refresh: RunResult["refresh"]) =>
    publishedMail(resultOf({ refresh, windows }), dataset, false);
  const rowsOf = (refresh: RunResult["refresh"]) => refreshRows(resultOf({ refresh, windows }), dataset);

  test("says how many windows were reused, and how old they are", () => {
    const refresh = {
      full: false,
      reason: "a run of this month has collected everything",
      reused: 1,
      oldest,
    };
    const text =
      "1 of 2 windows were not fetched: their rows are those of earlier runs, the oldest of 2026-11-02, because LibInsight counts the same.";
    expect(mailOf(refresh)).toContain(text);
    expect(rowsOf(refresh)).toEqual([["refresh", text]]);
  });

  test("says what a full run found in reused windows, and which lookback would have", () => {
    const missed = { changes: 14, since: oldest, adviceDays: 61 };
    const refresh = { full: true, reason: "it is the first run of the month", reused: 0, missed };
    const text =
      "This run found 14 changes in windows that had been reused since 2026-11-02. To find such changes earlier, set refresh.lookbackDays to at least 61 in shared/library.ts.";
    expect(mailOf(refresh)).toContain(text);
    expect(mailOf(refresh)).not.toContain("first run of the month");
    expect(rowsOf(refresh)).toEqual([
      ["refresh", "everything was collected, because it is the first run of the month"],
      ["refresh", text],
    ]);
    expect(mailOf({ ...refresh, missed: { ...missed, changes: 1, adviceDays: 367 } })).toContain(
      "This run found 1 change in windows that had been reused since 2026-11-02. Only a full run finds changes that old. To find them earlier, shorten refresh.full in shared/library.ts.",
    );
  });

  test("says nothing of a run that found no change", () => {
    const full = { full: true, reason: "it is the first run of the month", reused: 0 };
    expect(mailOf(full)).toBe(mailOf(undefined));
    expect(rowsOf(undefined)).toEqual([]);
  });
});

describe("the notes on a result", () => {
  const { columns } = datasetOf([
    { name: "Start Time", type: "timestamp" },
    { name: "Duration", type: "number" },
    { name: "constructor", type: "text" },
    { name: "left out", drop: true },
  ]);
  const filled = { _id: 10_412, "Start Time": 714, Duration: 10_412, constructor: 1 };

  test("name the run whose file another program replaced, and what to do", () => {
    const foreignFile = { at: "2026-11-20T09:30:12Z", replaced: "reference-transactions-25ec5c4c58cb" };
    const text = (state: "published" | "held") =>
      resultNotes(resultOf({ state, filled, foreignFile }), columns);
    const another =
      "Another program replaced the file of reference-transactions-25ec5c4c58cb at 2026-11-20 09:30 UTC.";
    const stopIt = "Find the program and stop it, or it will replace the file again (docs/cutover.md).";
    expect(text("published")).toEqual([`${another} This run replaced that file. ${stopIt}`]);
    expect(text("held")).toEqual([`${another} That file is still the published one. ${stopIt}`]);
  });

  const outcome = (state: "met" | "unmet" | "unknown", text: string): ExpectationOutcome => {
    return { title: "", state, holds: true, found: "", limit: "", text };
  };
  const expectations = [
    outcome("met", ""),
    outcome("unmet", "the newest record is old"),
    outcome("unmet", "rows changed"),
    outcome("unknown", "no file was published before"),
    outcome("unknown", "no file was published before"),
  ];

  test("name each unmet expectation that is not a violation", () => {
    const violations: RunResult["violations"] = [{ kind: "expectation", text: "rows changed" }];
    const result = resultOf({ filled, expectations });
    expect(resultNotes({ ...result, violations }, columns)).toEqual([
      "Expectation not met: the newest record is old.",
    ]);
    expect(resultNotes(result, columns)).toEqual([
      "Expectation not met: the newest record is old.",
      "Expectation not met: rows changed.",
    ]);
  });

  test("count the expectations in a table", () => {
    const rows = (given: ExpectationOutcome[]) =>
      noteRows(resultOf({ filled, expectations: given }), columns);
    expect(rows(expectations)).toEqual([
      ["expectations", "1 met, 2 not met, 2 unknown: no file was published before"],
      ["not met", "the newest record is old"],
      ["not met", "rows changed"],
    ]);
    expect(rows([outcome("met", "")])).toEqual([["expectations", "1 met"]]);
    expect(rows([])).toEqual([]);
  });

  test("count the mistyped values of each column", () => {
    const result = resultOf({ filled, mistyped: { "Start Time": 714, Duration: 3 } });
    expect(resultNotes(result, columns)).toEqual([
      "Kept as text, because the values do not match the column's type: Duration: 3 of 10,412, Start Time: 714 of 714.",
    ]);
  });

  test("name the declared columns without any value, unless the file has no rows", () => {
    const result = resultOf({ filled: { _id: 10_412, Duration: 5 } });
    expect(resultNotes(result, columns)).toEqual([
      'No row has a value in "Start Time", "constructor". Check the labels in shared/library.ts.',
    ]);
    expect(resultNotes(resultOf({ rows: 0, filled: {} }), columns)).toEqual([]);
  });

  test("name exactly the columns that need a note for any counts", () => {
    const names = outputColumns(columns);
    fc.assert(
      fc.property(fc.uniqueArray(fc.constantFrom(...names)), fc.subarray(names), (withValues, mistyped) => {
        const counts = Object.fromEntries(withValues.map((name) => [name, 7]));
        const wrong = mistyped.filter((name) => withValues.includes(name));
        const given = { filled: counts, mistyped: Object.fromEntries(wrong.map((name) => [name, 7])) };
        const notes = resultNotes(resultOf(given), columns).join("\n");
        for (const name of names) {
          expect(notes.includes(`"${name}"`)).toBe(!withValues.includes(name));
          expect(notes.includes(`${name}: 7 of 7`)).toBe(wrong.includes(name));
        }
      }),
    );
  });
});

describe("the email", () => {
  test("has the stage in its subject and in each command", () => {
    const about = "reference-transactions run held for review";
    const text =
      "Compare; if the new one is right, publish it: npm run runs -- publish ID --force --reason TEXT";
    const details = "npm run runs -- show ID";
    const { subject, body } = notificationOf({ subject: about, text, details }, "production");
    expect(subject).toBe("LibInsight production: reference-transactions run held for review");
    expect(body).toBe(
      "Compare; if the new one is right, publish it: npx sst shell --stage production -- npm run runs -- publish ID --force --reason TEXT\n\n" +
        "Details: npx sst shell --stage production -- npm run runs -- show ID\n",
    );
  });

  test("has a subject that SNS accepts", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200, size: "max" }), (subject) => {
        const mail = { subject, text: "", details: "" };
        expect(notificationOf(mail, "dev").subject).toMatch(/^[!-~][ -~]{0,98}$/);
      }),
      { numRuns: 30 },
    );
  });
});
