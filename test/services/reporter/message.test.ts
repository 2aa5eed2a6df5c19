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

describe("a published run", () => {
  test("says how many rows, how many more than last time, what is left out, and how long it took", () => {
    expect(textOf(resultOf())).toMatchInlineSnapshot(
      `"Published 10,412 rows (+132 since 16 November), 3 rejected, 2 duplicates, in 41 s. Athena and Tableau follow."`,
    );
  });

  test("that has lost rows", () => {
    const text = textOf(resultOf({ previous: { rows: 11_824, requestedAt: "2026-11-16T11:00:00Z" } }));
    expect(text).toMatchInlineSnapshot(
      `"Published 10,412 rows (-1,412 since 16 November), 3 rejected, 2 duplicates, in 41 s. Athena and Tableau follow."`,
    );
  });

  test("that has as many rows as before", () => {
    const text = textOf(resultOf({ previous: { rows: 10_412, requestedAt: "2026-11-16T11:00:00Z" } }));
    expect(text).toMatchInlineSnapshot(
      `"Published 10,412 rows (as many as on 16 November), 3 rejected, 2 duplicates, in 41 s. Athena and Tableau follow."`,
    );
  });

  test("before which nothing is known to have been published", () => {
    expect(textOf(firstResultOf())).toMatchInlineSnapshot(
      `"Published 10,412 rows, 3 rejected, 2 duplicates, in 41 s. Athena and Tableau follow."`,
    );
  });

  test("of which nothing is left out", () => {
    expect(textOf(resultOf({ rejects: {}, duplicates: 0 }))).toMatchInlineSnapshot(
      `"Published 10,412 rows (+132 since 16 November), nothing rejected, no duplicates, in 41 s. Athena and Tableau follow."`,
    );
  });

  test("of one of each", () => {
    const text = textOf(resultOf({ rows: 1, rejects: { "no _start_date": 1 }, duplicates: 1 }));
    expect(text).toMatchInlineSnapshot(
      `"Published 1 row (-10,279 since 16 November), 1 rejected, 1 duplicate, in 41 s. Athena and Tableau follow."`,
    );
  });

  test("of nothing at all", () => {
    expect(textOf(firstResultOf({ rows: 0, rejects: {}, duplicates: 0 }))).toMatchInlineSnapshot(
      `"Published 0 rows, nothing rejected, no duplicates, in 41 s. Athena and Tableau follow."`,
    );
  });

  test("that was published by force says what the guard held it for, and not whose words forced it", () => {
    const forced = resultOf({
      rows: 9_000,
      violations: ["rows fell from 10280 to 9000 (by 12.5 %; the limit is 10 %)"],
      force: "Jane Doe asked for it",
    });
    expect(textOf(forced)).toMatchInlineSnapshot(
      `"Published 9,000 rows (-1,280 since 16 November), 3 rejected, 2 duplicates, in 41 s. By force: rows fell from 10280 to 9000 (by 12.5 %; the limit is 10 %). Athena and Tableau follow."`,
    );
  });

  test("tells dates by the library's clock, and the year where it is another one", () => {
    const lateAtHome = resultOf({ previous: { rows: 10_280, requestedAt: "2025-11-17T03:00:00Z" } });
    expect(textOf(lateAtHome)).toContain("(+132 since 16 November 2025)");
    const newYear = resultOf({
      previous: { rows: 10_280, requestedAt: "2026-12-28T11:00:00Z" },
      finishedAt: "2027-01-01T04:59:00Z",
    });
    expect(textOf(newYear)).toContain("(+132 since 28 December)");
  });

  test.each([
    [0, "0 s"],
    [59.4, "59 s"],
    [60, "1 min 0 s"],
    [3_599, "59 min 59 s"],
    [3_725, "1 h 2 min"],
    [90_000, "1 d 1 h"],
  ])("that took %s seconds took %s", (seconds, expected) => {
    const { requestedAt } = resultOf();
    const finishedAt = new Date(Date.parse(requestedAt) + seconds * 1000).toISOString();
    expect(textOf(resultOf({ finishedAt }))).toContain(`, in ${expected}.`);
  });

  test("is followed by Tableau only where there is one and the dataset names what it refreshes", () => {
    const end = /\. Athena follows\.$/;
    expect(publishedText(resultOf(), { timeZone, tableau }, false)).toMatch(end);
    expect(publishedText(resultOf(), { timeZone }, true)).toMatch(end);
  });
});

describe("the mail", () => {
  const stage = "production";
  const runId = "reference-transactions-93d95e4fb5a2";
  const more = `npm run runs -- show ${runId}`;

  test("of a published run", () => {
    const what = "reference-transactions published 10,412 rows";
    expect(mailOf({ what, text: textOf(resultOf()), more }, stage)).toMatchInlineSnapshot(`
      {
        "body": "Published 10,412 rows (+132 since 16 November), 3 rejected, 2 duplicates, in 41 s. Athena and Tableau follow.

      More about it: npx sst shell --stage production -- npm run runs -- show reference-transactions-93d95e4fb5a2
      ",
        "subject": "LibInsight production: reference-transactions published 10,412 rows",
      }
    `);
  });

  test("of a held run has its commands as they are given on the stage", () => {
    const text =
      "The run is held and nothing is published: rows fell from 10280 to 9000 (by 12.5 %; the limit is 10 %). " +
      "The earlier file stays. Compare; if the new one is right, publish it: " +
      `npm run runs -- publish ${runId} --force --reason TEXT`;
    const what = "reference-transactions run held";
    expect(mailOf({ what, text, more }, stage)).toMatchInlineSnapshot(`
      {
        "body": "The run is held and nothing is published: rows fell from 10280 to 9000 (by 12.5 %; the limit is 10 %). The earlier file stays. Compare; if the new one is right, publish it: npx sst shell --stage production -- npm run runs -- publish reference-transactions-93d95e4fb5a2 --force --reason TEXT

      More about it: npx sst shell --stage production -- npm run runs -- show reference-transactions-93d95e4fb5a2
      ",
        "subject": "LibInsight production: reference-transactions run held",
      }
    `);
  });

  test("has a subject that SNS takes, whatever it is about", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200, size: "max" }), (what) => {
        expect(mailOf({ what, text: "", more: "" }, stage).subject).toMatch(/^[!-~][ -~]{0,98}$/);
      }),
    );
  });
});
