// The messages, word for word.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mailOf, publishedText } from "../../../services/reporter/message.ts";
import type { Dataset } from "../../../shared/dataset.ts";
import type { RunResult } from "../../../shared/run.ts";
import { firstResultOf, resultOf } from "../../factories/results.ts";

const timeZone = "America/New_York";
const tableau: Dataset["tableau"] = { dataSources: [{ name: "Reference" }], workbooks: [] };
const textOf = (result: RunResult) => publishedText(result, { timeZone, tableau }, true);
const before = (rows: number, requestedAt = "2026-11-16T11:00:00Z") => ({ previous: { rows, requestedAt } });

test.each<[string, RunResult, string]>([
  [
    "has more rows than the last one",
    resultOf(),
    "10,412 rows (+132 since 16 November), 3 rejected, 2 duplicates, in 41 s.",
  ],
  [
    "has fewer rows",
    resultOf(before(11_824)),
    "10,412 rows (-1,412 since 16 November), 3 rejected, 2 duplicates, in 41 s.",
  ],
  [
    "has as many rows",
    resultOf(before(10_412)),
    "10,412 rows (as many as on 16 November), 3 rejected, 2 duplicates, in 41 s.",
  ],
  ["is the first one", firstResultOf(), "10,412 rows, 3 rejected, 2 duplicates, in 41 s."],
  [
    "leaves nothing out",
    resultOf({ rejects: {}, duplicates: 0 }),
    "10,412 rows (+132 since 16 November), nothing rejected, no duplicates, in 41 s.",
  ],
  [
    "has one of each",
    resultOf({ rows: 1, rejects: { "no _start_date": 1 }, duplicates: 1 }),
    "1 row (-10,279 since 16 November), 1 rejected, 1 duplicate, in 41 s.",
  ],
  [
    "is empty",
    firstResultOf({ rows: 0, rejects: {}, duplicates: 0 }),
    "0 rows, nothing rejected, no duplicates, in 41 s.",
  ],
  [
    "was published by force, without the reason that was given",
    resultOf({
      rows: 9_000,
      violations: [{ kind: "comparison", text: "rows fell from 10280 to 9000" }],
      force: "Jane Doe asked for it",
    }),
    "9,000 rows (-1,280 since 16 November), 3 rejected, 2 duplicates, in 41 s. By force: rows fell from 10280 to 9000.",
  ],
])("the text of a run that %s", (_, result, text) => {
  expect(textOf(result)).toBe(`Published ${text} Athena and Tableau follow.`);
});

test("dates are in the library's time zone, with the year where it is another one", () => {
  expect(textOf(resultOf(before(10_280, "2025-11-17T03:00:00Z")))).toContain("(+132 since 16 November 2025)");
  const newYear = { ...before(10_280, "2026-12-28T11:00:00Z"), finishedAt: "2027-01-01T04:59:00Z" };
  expect(textOf(resultOf(newYear))).toContain("(+132 since 28 December)");
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

test("Tableau follows only where there is one and the dataset names what it refreshes", () => {
  const end = /\. Athena follows\.$/;
  expect(publishedText(resultOf(), { timeZone, tableau }, false)).toMatch(end);
  expect(publishedText(resultOf(), { timeZone }, true)).toMatch(end);
});

describe("the email", () => {
  test("has the stage in its subject and in each command", () => {
    const what = "reference-transactions run held";
    const text =
      "Compare; if the new one is right, publish it: npm run runs -- publish ID --force --reason TEXT";
    const { subject, body } = mailOf({ what, text, more: "npm run runs -- show ID" }, "production");
    expect(subject).toBe("LibInsight production: reference-transactions run held");
    expect(body).toBe(
      "Compare; if the new one is right, publish it: npx sst shell --stage production -- npm run runs -- publish ID --force --reason TEXT\n\n" +
        "More about it: npx sst shell --stage production -- npm run runs -- show ID\n",
    );
  });

  test("has a subject that SNS accepts, whatever it is about", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200, size: "max" }), (what) => {
        expect(mailOf({ what, text: "", more: "" }, "dev").subject).toMatch(/^[!-~][ -~]{0,98}$/);
      }),
      { numRuns: 30 },
    );
  });
});
