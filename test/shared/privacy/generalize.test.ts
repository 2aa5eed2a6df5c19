import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { daysBetween } from "../../../shared/dates.ts";
import { eachAnswer, generalizer } from "../../../shared/privacy/generalize.ts";

const days = fc
  .date({ min: new Date("0100-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10));

describe("dates", () => {
  const date = { full: "date", deidentified: "date" } as const;

  test("become the Monday of their week", () => {
    const week = generalizer("week", date, true);
    fc.assert(
      fc.property(days, (day) => {
        const monday = String(week(day));
        expect(new Date(monday).getUTCDay()).toBe(1);
        expect([0, 1, 2, 3, 4, 5, 6]).toContain(daysBetween(monday, day));
      }),
    );
  });

  test("become the first day of their month", () => {
    const month = generalizer("month", date, true);
    fc.assert(
      fc.property(days, (day) => {
        expect(month(day)).toBe(`${day.slice(0, 7)}-01`);
      }),
    );
  });

  test("lose the time of a timestamp, and have midnight in a column of timestamps", () => {
    const timestamp = "2026-11-28 23:59:59";
    expect(generalizer("week", { full: "timestamp", deidentified: "date" }, true)(timestamp)).toBe(
      "2026-11-23",
    );
    expect(generalizer("month", { full: "timestamp", deidentified: "timestamp" }, true)(timestamp)).toBe(
      "2026-11-01 00:00:00",
    );
  });

  test.each(["2026-02-30", "last week", "", null, 20261128])("%j becomes null", (cell) => {
    expect(generalizer("week", date, true)(cell)).toBeNull();
  });
});

describe("numbers", () => {
  const bands = generalizer({ bands: [0, 15, 60] }, { full: "number", deidentified: "number" }, true);

  test.each([
    [0, 0],
    [14.9, 0],
    [15, 15],
    ["59", 15],
    [60, 60],
    [1e9, 60],
    [-1, null],
    ["45 min", null],
    ["", null],
    [null, null],
  ])("%j becomes %j", (cell, band) => {
    expect(bands(cell)).toBe(band);
  });

  test("are whole in a column of integers", () => {
    const integers = generalizer({ bands: [0] }, { full: "integer", deidentified: "integer" }, true);
    expect([integers("7"), integers("7.5")]).toEqual([0, null]);
  });
});

describe("answers", () => {
  const setting = { groups: { Libraries: ["Newman", "Art + Architecture"], Online: ["Zoom; Chat", "Chat"] } };
  const text = { full: "text", deidentified: "text" } as const;

  test.each([
    ["Newman", "Libraries"],
    [" Chat ", "Online"],
    ["Newman; Art + Architecture", "Libraries"],
    ["Chat; Newman; Chat", "Online; Libraries"],
    ["newman", "Other"],
    ["Phone; Fax", "Other"],
    ["constructor", "Other"],
    [7, "Other"],
    ["", null],
    [null, null],
  ])("%j becomes %j", (cell, group) => {
    expect(generalizer(setting, text, true)(cell)).toBe(group);
  });

  test("of a column with one answer are not split", () => {
    expect(generalizer(setting, text, false)("Zoom; Chat")).toBe("Online");
  });

  test("are replaced one by one", () => {
    const shout = (answers: string[]) => answers.map((answer) => answer.toUpperCase());
    expect(eachAnswer("a; b ;; c", true, shout)).toBe("A; B ;; C");
    expect(eachAnswer("a; ; b", true, shout)).toBe("A; B");
    expect(eachAnswer(" a; b", false, shout)).toBe("A; B");
  });
});
