// Tests the generated records over HTTP.
import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import * as words from "../../../stacks/local/libinsight/vocabulary.ts";
import { type LibInsightRecord, startLibInsight } from "../../../stacks/local/libinsight.ts";
import { signIn, windows } from "./libinsight-client.ts";

const { personalData } = words;
const fields =
  `_id,_start_date,_entered_by,Question Type,Duration (in minutes),Comments/Notes,Location,who,mode,\
answeredBy,classroom,topic,research,walkins,employee,studio,affiliation,scans,reformat`.split(",");

let records: LibInsightRecord[];
let comments: string[];
beforeAll(async () => {
  await using server = await startLibInsight();
  const client = await signIn(server);
  records = (await Promise.all(windows.map((range) => client.all(range)))).flat();
  comments = records.flatMap(({ "Comments/Notes": comment }) =>
    typeof comment === "string" && comment.trim() !== "" ? [comment] : [],
  );
});

test("the records of seed 1 never change", () => {
  const digest = createHash("sha256").update(JSON.stringify(records)).digest("hex");
  expect(digest).toBe("49ae1ef0b9643d3ac69b9e4ccb4accc2ac9dc9951018e024170d4917557fc8d7");
});

test("records have the 19 known fields, in order, and no others", () => {
  expect(new Set(records.flatMap(Object.keys))).toEqual(new Set(fields));
  const whole = records.find((record) => Object.keys(record).length === fields.length);
  expect(Object.keys(whole ?? {})).toEqual(fields);
});

test("records have an added field from its first day on", async () => {
  const addedField = { name: "Wait Time", options: ["none"] satisfies [string], since: "2024-06-01" };
  await using server = await startLibInsight({ addedField });
  const client = await signIn(server);
  const has = (record: LibInsightRecord) => "Wait Time" in record;
  expect((await client.all({ to: "2024-05-31" })).some(has)).toBe(false);
  expect((await client.all({ from: "2024-06-01" })).filter(has).length).toBeGreaterThan(100);
});

test("a simulation of a million records serves its last page", async () => {
  await using server = await startLibInsight({ records: 1_000_000 });
  const client = await signIn(server);
  const { total_pages, total_records } = await client.page();
  expect(total_records).toBeGreaterThan(300_000);
  const last = await client.page({ page: total_pages });
  expect(last.records).toHaveLength(total_records - 100 * (total_pages - 1));
});

describe("the records have the known quirks of the real API:", () => {
  const dropDowns = "Location who mode answeredBy classroom research employee affiliation".split(" ");
  const numbers = ["Duration (in minutes)", "walkins", "scans", "reformat"];
  const some = (field: string, holds: (value: unknown) => boolean) => {
    expect(
      records.some((record) => field in record && holds(record[field])),
      field,
    ).toBe(true);
  };

  test("a drop-down is a one-element array, or empty text", () => {
    for (const field of dropDowns) {
      some(field, (value) => Array.isArray(value) && value.length === 1);
      some(field, (value) => value === "");
      const several = records.filter((record) => {
        const value = record[field];
        return Array.isArray(value) && value.length !== 1;
      });
      expect(several, field).toEqual([]);
    }
  });

  test.each(["Question Type", "topic", "studio"])("%s sometimes has several answers", (field) => {
    some(field, (value) => Array.isArray(value) && value.length > 1);
    some(field, (value) => Array.isArray(value) && value.length === 1);
  });

  test("a number is a number, a string, or blank", () => {
    for (const field of numbers) {
      some(field, (value) => typeof value === "number");
      some(field, (value) => typeof value === "string" && /^\d+(\.\d+)?$/.test(value));
      some(field, (value) => value === "");
    }
  });

  test.each([
    ["line feeds", /[^\r]\n/],
    ["carriage returns with line feeds", /\r\n/],
    ["carriage returns alone", /\r(?!\n)/],
    ["quotes", /"/],
    ["backslashes", /\\./],
    ["a backslash at the end", /\\$/],
    ["tabs", /\t/],
    ["emoji", /\p{Extended_Pictographic}/u],
    ["apostrophes", /n't/],
    ["apostrophes damaged by an earlier encoding", /n\u00e2\u20ac\u2122t/],
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the test is about them
    ["control characters", /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/],
    ["a whole e-mail", /^.{1500,}$/s],
    ["nothing", /^$/],
  ])("comments hold %s", (_, pattern) => {
    some("Comments/Notes", (value) => typeof value === "string" && pattern.test(value));
  });

  test.each(Object.entries(personalData))("about one comment in 100 holds an invented %s", (_, pattern) => {
    const found = comments.filter((comment) => pattern.test(comment));
    expect(found.length).toBeGreaterThan(comments.length / 200);
    expect(found.length).toBeLessThan(comments.length / 50);
  });

  test("the patterns of personal data find every address and phone number, and nothing in the other sentences", () => {
    const of = (pattern: RegExp) => comments.filter((comment) => pattern.test(comment));
    expect(of(/\w@\w/)).toEqual(of(personalData.email));
    expect(of(/\d{3}[-.]\d{4}/)).toEqual(of(personalData.phone));
    const sentences = [...words.comments, ...words.awkwardComments].join("\n");
    for (const pattern of Object.values(personalData)) expect(sentences).not.toMatch(pattern);
  });

  test("every field except _id is missing from some records and null in others", () => {
    for (const field of fields.filter((field) => field !== "_id")) {
      some(field, (value) => value === null);
      expect(
        records.some((record) => !(field in record)),
        field,
      ).toBe(true);
    }
    expect(records.every(({ _id }) => Number.isInteger(_id))).toBe(true);
  });

  test("a few records have no start date and are counted", () => {
    const without = records.filter(({ _start_date: at }) => typeof at !== "string" || at === "");
    expect(without.length).toBeGreaterThanOrEqual(3);
    expect(without.length).toBeLessThan(30);
    expect(records).toHaveLength(10_300);
  });

  test("some records are entered late, so ids do not follow the start dates", () => {
    const ids = records.map(({ _id }) => Number(_id));
    const late = ids.filter((id, n) => id < (ids[n - 1] ?? 0));
    expect(late.length).toBeGreaterThan(100);
    expect(late.length).toBeLessThan(records.length / 2);
  });
});

describe("questions have the times of a library's:", () => {
  const count = (matches: (at: Date) => boolean) => {
    return records.filter(
      ({ _start_date: at }) => typeof at === "string" && at && matches(new Date(`${at}Z`)),
    ).length;
  };
  const month = (text: string) => count((at) => at.toISOString().startsWith(text));

  test("dates run from the first day to the last", () => {
    const days = records.flatMap(({ _start_date: at }) =>
      typeof at === "string" && at ? [at.slice(0, 10)] : [],
    );
    expect(days.toSorted()[0]).toBe("2021-12-02");
    expect(days.toSorted().at(-1)).toBe("2024-12-01");
  });

  test("weekdays are busier than weekends, afternoons than mornings, and nights are empty", () => {
    expect(count((at) => at.getUTCDay() === 2)).toBeGreaterThan(3 * count((at) => at.getUTCDay() === 6));
    expect(count((at) => at.getUTCHours() === 14)).toBeGreaterThan(2 * count((at) => at.getUTCHours() === 9));
    expect(count((at) => at.getUTCHours() < 8)).toBe(0);
  });

  test("terms are busier than summers, and there are no questions on closed days", () => {
    expect(month("2023-10")).toBeGreaterThan(2 * month("2023-07"));
    expect(month("2023-04")).toBeGreaterThan(month("2023-03"));
    expect(month("2022-12-25") + month("2023-07-04") + month("2023-11-23")).toBe(0);
  });
});
