import { expect, test } from "vitest";
import { keys } from "../../../shared/keys.ts";
import {
  dayOf,
  forgottenList,
  joinedLists,
  maxForgotten,
  readForgotten,
  withoutForgotten,
} from "../../../shared/privacy/forgotten.ts";
import { useLocal } from "../../support/local-adapters.ts";

const local = useLocal();

test("the list is read from its key, and nothing was forgotten without it", async () => {
  const work = local.store();
  expect(await readForgotten("gate-counts", work)).toBeUndefined();
  await work.putOnce(keys.forgotten("gate-counts"), { ids: [1], before: "2024-02-29" });
  expect(await readForgotten("gate-counts", work)).toEqual({ ids: [1], before: "2024-02-29" });
  expect(await readForgotten("gate", work)).toBeUndefined();
});

test("a list has a limit, whole ids and a date", () => {
  const isValid = (list: unknown) => forgottenList.safeParse(list).success;
  const ids = Array.from({ length: maxForgotten }, (_, id) => id);
  expect(isValid({ ids })).toBe(true);
  for (const list of [
    { ids: [...ids, 1] },
    { ids: [-1] },
    { ids: [1.5] },
    { ids: [], before: "2024-02-30" },
    {},
  ])
    expect(isValid(list)).toBe(false);
});

test("two lists are joined: each id once, and the later date", () => {
  expect(joinedLists({ ids: [10, 2] }, { ids: [9, 2] })).toEqual({ ids: [2, 9, 10] });
  const [early, late] = ["2023-12-31", "2024-01-01"];
  expect(joinedLists({ ids: [], before: late }, { ids: [], before: early })).toEqual({
    ids: [],
    before: late,
  });
  expect(joinedLists({ ids: [1], before: early }, { ids: [] })).toEqual({ ids: [1], before: early });
  expect(joinedLists({ ids: [] }, { ids: [1], before: early })).toEqual({ ids: [1], before: early });
});

const record = (id: unknown, at?: unknown) => ({ _id: id, _start_date: at });

test.each([
  [record(7), true],
  [record(" 7 "), true],
  [record("007"), true],
  [record(8), false],
  [record("7a"), false],
  [record("x7"), false],
  [record(7.5), false],
  [record([7]), false],
  [record(undefined), false],
  [{ id: 7 }, false],
  [7, false],
  ["7", false],
  [null, false],
  [Object.create({ _id: 7 }), false],
])("with the id 7, %j is forgotten: %s", (given, isForgotten) => {
  const { records, forgotten } = withoutForgotten([given], { ids: [7] }, "_start_date");
  expect(records).toEqual(isForgotten ? [] : [given]);
  expect(forgotten).toEqual(isForgotten ? [7] : []);
});

test.each([
  [record(8, "2023-12-31 23:59:59"), [8]],
  [record(8, " 2023-12-31"), [8]],
  [record("none", "2023-12-31"), [null]],
  [record(-1, "2023-12-31"), [null]],
  [record(2 ** 53, "2023-12-31"), [null]],
  [record(0, "2023-12-31"), [0]],
  [record(8, "2024-01-01 00:00:00"), undefined],
  [record(8, "2024-01-02"), undefined],
  [record(8, "on 2023-12-31"), undefined],
  [record(8, ["2023-12-31"]), undefined],
  [record(8), undefined],
])("before 2024, the ids of %j are %j", (given, ids) => {
  const list = { ids: [], before: "2024-01-01" };
  const { records, forgotten } = withoutForgotten([given], list, "_start_date");
  expect(forgotten).toEqual(ids ?? []);
  expect(records).toEqual(ids ? [] : [given]);
});

test("the other records stay in their order", () => {
  const all = [1, 2, 3, 4, 5].map((id) => record(id));
  const { records, forgotten } = withoutForgotten(all, { ids: [4, 2, 9] }, "_start_date");
  expect(records).toEqual([all[0], all[2], all[4]]);
  expect(forgotten).toEqual([2, 4]);
});

test("the day of a record is the beginning of its date", () => {
  expect(dayOf({ month: "2024-05-01T10:00" }, "month")).toBe("2024-05-01");
  expect(dayOf({ month: "2024-05" }, "month")).toBeUndefined();
  expect(dayOf({ month: "2024-05-01" }, "constructor")).toBeUndefined();
});
