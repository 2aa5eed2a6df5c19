import { describe, expect, test } from "vitest";
import type { Cell } from "../../../shared/csv.ts";
import type { DatasetInput } from "../../../shared/dataset-schema.ts";
import { pseudonymKey, pseudonymOf } from "../../../shared/privacy/pseudonym.ts";
import { type RuleOptions, rowRules } from "../../../shared/privacy/rules.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";

const digits = "ab".repeat(32);
const hashed = (value: string) => pseudonymOf(value, pseudonymKey(digits));
const given: RuleOptions = { pseudonymKey: digits, names: ["Maya Okafor"], today: "2026-11-28" };

/** Returns the rules of columns in a file with `_id` and these columns. */
function rulesOf(columns: DatasetInput["columns"], options: Partial<RuleOptions> = {}, headers?: string[]) {
  const all = ["_id", ...columns.filter((column) => !("drop" in column)).map(({ name }) => name)];
  return rowRules(datasetOf(columns), headers ?? all, { ...given, ...options });
}

/** Returns a value after the rules of its column, for a record of a date. */
function cellOf(
  column: Partial<DatasetInput["columns"][number]>,
  cell: Cell,
  date: Cell = "2026-11-01 10:00:00",
) {
  const columns = [
    { name: "when", type: "timestamp" },
    { name: "value", type: "text", ...column } as DatasetInput["columns"][number],
  ] satisfies DatasetInput["columns"];
  const rules = rulesOf(columns);
  return { cell: rules.row([1, date, cell])[2], counts: rules.counts.value };
}

const none = { email: 0, phone: 0, id: 0, url: 0, name: 0 };
const zero = { dropped: 0, hashed: 0, generalized: 0, expired: 0, redacted: none };

test("applies the rule of each column, and leaves out dropped ones", () => {
  const rules = rulesOf([
    { name: "when", type: "timestamp", privacy: "generalise", generalise: "week" },
    { name: "patron", type: "text", personal: true },
    { name: "minutes", type: "integer", privacy: "generalise", generalise: { bands: [0, 15, 60] } },
    { name: "staff", type: "text", privacy: "hash" },
    { name: "comment", type: "text", privacy: "redact" },
    { name: "old", drop: true },
    { name: "scans", type: "integer" },
  ]);
  expect(rules.headers).toEqual(["_id", "when", "minutes", "staff", "comment", "scans"]);
  const comment = "Maya Okafor called 540-231-6170";
  expect(rules.row([1, "2026-11-28 10:00:00", "Jane", 20, "Ash; Bea", comment, 6])).toEqual([
    1,
    "2026-11-23",
    15,
    `${hashed("Ash")}; ${hashed("Bea")}`,
    "[name] called [phone]",
    6,
  ]);
  expect(rules.row([2, null, null, "", null, "", 7])).toEqual([2, null, "", null, "", 7]);
  expect(rules.counts).toEqual({
    _id: zero,
    when: { ...zero, generalized: 1 },
    patron: { ...zero, dropped: 1 },
    minutes: { ...zero, generalized: 1 },
    staff: { ...zero, hashed: 1 },
    comment: { ...zero, redacted: { ...none, phone: 1, name: 1 } },
    scans: zero,
  });
});

test("finds columns by their names, and leaves a missing one empty", () => {
  const rules = rulesOf(
    [
      { name: "a", type: "integer" },
      { name: "b", type: "integer" },
      { name: "c", type: "integer" },
    ],
    {},
    ["_id", "undeclared", "c", "a"],
  );
  expect(rules.row([1, "Jane", 3, 2])).toEqual([1, 2, null, 3]);
});

describe("a kept column", () => {
  test("has any text", () => {
    expect(cellOf({ privacy: "keep" }, "Jane")).toEqual({ cell: "Jane", counts: zero });
  });

  test("of another type has no other text", () => {
    expect(cellOf({ type: "integer" }, 7)).toEqual({ cell: 7, counts: zero });
    expect(cellOf({ type: "date" }, "2026-01-02")).toEqual({ cell: "2026-01-02", counts: zero });
    expect(cellOf({ type: "integer" }, "Jane")).toEqual({ cell: null, counts: { ...zero, dropped: 1 } });
  });
});

describe("a hashed column", () => {
  test("of one answer is one pseudonym", () => {
    expect(cellOf({ privacy: "hash", answers: "first" }, "Doe; Jane").cell).toBe(hashed("Doe; Jane"));
  });

  test("needs a key, and no other column does", () => {
    const withoutKey = { pseudonymKey: undefined };
    expect(() => rulesOf([{ name: "a", type: "text", privacy: "hash" }], withoutKey)).toThrow(
      expect.objectContaining({ name: "PseudonymKeyMissing" }),
    );
    expect(() => rulesOf([{ name: "a", type: "text", privacy: "redact" }], withoutKey)).not.toThrow();
  });
});

test("redaction finds the ids of the dataset", () => {
  const columns = datasetOf([{ name: "a", type: "text", privacy: "redact" }]);
  const dataset = { ...columns, redaction: { nameColumns: [], ids: ["\\bHK\\d{5}\\b"] } };
  expect(rowRules(dataset, ["_id", "a"], given).row([1, "HK12345"])).toEqual([1, "[id]"]);
});

describe("after some months", () => {
  const after = { months: 12, then: "drop" } as const;

  test.each([
    ["2025-11-29 00:00:00", "Jane"],
    ["2025-11-28 23:59:59", null],
    ["2001-01-01 00:00:00", null],
    ["no date", null],
    ["2025-02-30 00:00:00", null],
    [null, null],
  ])("the value of a record of %s is %s", (date, cell) => {
    const expired = cell === null ? 1 : 0;
    expect(cellOf({ privacy: "keep", after }, "Jane", date)).toEqual({
      cell,
      counts: { ...zero, dropped: expired, expired },
    });
  });

  test("every value has expired in a file without the date", () => {
    const columns = [
      { name: "when", type: "date" },
      { name: "a", type: "text", privacy: "keep", after },
    ] satisfies DatasetInput["columns"];
    expect(rulesOf(columns, {}, ["_id", "a"]).row([1, "Jane"])).toEqual([1, null, null]);
    expect(rulesOf(columns).row([1, "2026-11-28", "Jane"])).toEqual([1, "2026-11-28", "Jane"]);
  });

  test("the last day of a shorter month counts", () => {
    const columns = [
      { name: "when", type: "date" },
      { name: "a", type: "text", privacy: "keep", after: { months: 1, then: "drop" } },
    ] satisfies DatasetInput["columns"];
    const { row } = rulesOf(columns, { today: "2026-03-31" });
    expect(row([1, "2026-02-28", "Jane"])[2]).toBeNull();
    expect(row([1, "2026-03-01", "Jane"])[2]).toBe("Jane");
  });

  const old = "2020-01-01 00:00:00";

  test("a text is redacted", () => {
    const rule = { privacy: "keep", after: { months: 12, then: "redact" } } as const;
    expect(cellOf(rule, "a@b.com", old)).toEqual({
      cell: "[email]",
      counts: { ...zero, expired: 1, redacted: { ...none, email: 1 } },
    });
  });

  test("a timestamp becomes midnight of the first day", () => {
    const rule = {
      type: "timestamp",
      generalise: "month",
      after: { months: 12, then: "generalise" },
    } as const;
    expect(cellOf(rule, "2019-05-06 07:08:09", old).cell).toBe("2019-05-01 00:00:00");
  });

  test("a value never shows more than that of a newer record", () => {
    const redacted = {
      privacy: "redact",
      after: { months: 12, then: "generalise" },
      generalise: { groups: { A: ["a"] } },
    } satisfies Parameters<typeof cellOf>[0];
    expect(cellOf(redacted, "a@b.com", old).cell).toBe("Other");
    const generalized = {
      type: "timestamp",
      privacy: "generalise",
      generalise: "week",
      after: { months: 12, then: "generalise" },
    } as const;
    expect(cellOf(generalized, "2019-05-06 07:08:09", old).cell).toBe("2019-05-06");
    const pseudonym = { privacy: "hash", after: { months: 12, then: "redact" } } as const;
    for (let n = 0; n < 200; n++) expect(cellOf(pseudonym, `${n}`, old).cell).toBe(hashed(`${n}`));
  });
});
