// Tests the times of the simulation's records for any current day, and what another day changes.
import fc from "fast-check";
import { expect, test } from "vitest";
import { addDays } from "../../../shared/dates.ts";
import { seasonOf, termsOf } from "../../../stacks/local/libinsight/academic-year.ts";
import { generateRecords, type LibInsightRecord } from "../../../stacks/local/libinsight/generate-records.ts";
import { localTime } from "../../../stacks/local/libinsight/local-time.ts";
import { parseCommand } from "../../../stacks/local/start-args.ts";

const numRuns = 25;
const seed = fc.integer({ min: 0, max: 0xffff_ffff });
const now = fc.date({ min: new Date("2022-01-15"), max: new Date("2032-12-31"), noInvalidDate: true });

const afterAYear = fc.date({ min: new Date("2023-01-15"), max: new Date("2032-12-31"), noInvalidDate: true });

/** Returns the simulation of a plain `npm start` at a time. */
function simulationAt(time: Date) {
  const command = parseCommand([], time);
  if (command === "help") throw new Error("A plain npm start does not print the help.");
  const { dataset, to, simulation } = command;
  const { records: count, lastDay } = simulation;
  expect(lastDay).toBe(to);
  return { count, firstDay: dataset.firstDate, lastDay };
}

type Simulation = ReturnType<typeof simulationAt> & { seed: number };

/** Returns the days of the records, by which queries select them. */
function daysOf(simulation: Simulation): string[] {
  const { count, startOf } = generateRecords(simulation);
  return Array.from({ length: count }, (_, n) => localTime(startOf(n)).slice(0, 10));
}

function recordsById(simulation: Simulation): Map<number, LibInsightRecord> {
  const { count, idOf, record } = generateRecords(simulation);
  return new Map(Array.from({ length: count }, (_, n) => [idOf(n), record(n)]));
}

const isDated = ({ _start_date: at }: LibInsightRecord) => typeof at === "string" && at !== "";

test("at any time every week of the terms until yesterday has records, and no closed day has any", () => {
  fc.assert(
    fc.property(now, seed, (time, seed) => {
      const simulation = { ...simulationAt(time), seed };
      const { firstDay, lastDay } = simulation;
      const days = daysOf(simulation);
      expect(days.filter((day) => day < firstDay || day > lastDay || seasonOf(day) === "closed")).toEqual([]);
      const filled = new Set(days);
      for (let year = 2021; year <= Number(lastDay.slice(0, 4)); year++) {
        for (const { name, from, to } of termsOf(year)) {
          for (let week = from; week < to; week = addDays(week, 7)) {
            const ofWeek = Array.from({ length: 7 }, (_, day) => addDays(week, day));
            if (week < firstDay || ofWeek.some((day) => day > lastDay || day > to)) continue;
            const isEmpty = ofWeek.every((day) => !filled.has(day));
            expect(isEmpty, `${name}, week of ${week}`).toBe(false);
          }
        }
      }
      // A quiet day of a break can be empty.
      let newest = days.at(-1) ?? "";
      let [openDays, age] = [0, 0];
      for (; newest < lastDay; age += 1) {
        newest = addDays(newest, 1);
        const weekday = new Date(newest).getUTCDay();
        if (seasonOf(newest) !== "closed" && weekday % 6 !== 0) openDays += 1;
      }
      expect([openDays <= 2, age <= 16]).toEqual([true, true]);
    }),
    { numRuns },
  );
});

test("at any time 10,300 records have 13 without a start date", () => {
  fc.assert(
    fc.property(now, seed, (time, seed) => {
      const records = recordsById({ ...simulationAt(time), seed });
      expect(records.size).toBe(10_300);
      expect([...records.values()].filter((record) => !isDated(record))).toHaveLength(13);
    }),
    { numRuns },
  );
});

test("each year has about a tenth more records than the year before", () => {
  const days = daysOf({ ...simulationAt(new Date("2031-01-05T12:00:00Z")), count: 100_000, seed: 1 });
  const ofYear = (year: number) => days.filter((day) => day.startsWith(`${year}-`)).length;
  for (let year = 2023; year <= 2030; year++)
    expect(Math.abs(ofYear(year) / ofYear(year - 1) - 1.1)).toBeLessThan(0.05);
});

/** The most records that were entered in the same quarter of a second as one that is gone, and so get another id. */
const maxCollisions = 2;

test("a day later as many records are new as are gone, all new ones are of that day, and the others are the same", () => {
  fc.assert(
    fc.property(afterAYear, seed, (time, seed) => {
      const simulation = { ...simulationAt(time), seed };
      const lastDay = addDays(simulation.lastDay, 1);
      const [before, after] = [recordsById(simulation), recordsById({ ...simulation, lastDay })];
      const added = [...after].filter(([id]) => !before.has(id)).map(([, record]) => record);
      const gone = [...before.keys()].filter((id) => !after.has(id));
      expect(added).toHaveLength(gone.length);
      const elsewhere = added.filter(
        (record) => isDated(record) && !String(record._start_date).startsWith(lastDay),
      );
      expect(elsewhere.length).toBeLessThanOrEqual(maxCollisions);
      const kept = [...after].flatMap(([id, record]) => {
        const earlier = before.get(id);
        return earlier ? [{ earlier, record }] : [];
      });
      const text = ({ _start_date: _, ...record }: LibInsightRecord) => JSON.stringify(record);
      expect(kept.filter(({ earlier, record }) => text(earlier) !== text(record))).toEqual([]);
      // For each new record without a start date, an earlier one gets its own.
      const changed = kept.filter(({ earlier, record }) => earlier._start_date !== record._start_date);
      const dated = changed.filter(({ earlier, record }) => !isDated(earlier) && isDated(record));
      expect(changed.length - dated.length).toBeLessThanOrEqual(maxCollisions);
      expect(dated).toHaveLength(added.filter((record) => !isDated(record)).length);
    }),
    { numRuns: 10 },
  );
});

test("with more records none of the fewer ones is missing", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3_000 }), fc.nat(300), seed, (count, more, seed) => {
      const range = { firstDay: "2023-01-01", lastDay: "2023-12-31", seed };
      const [few, many] = [recordsById({ ...range, count }), recordsById({ ...range, count: count + more })];
      const missing = [...few.keys()].filter((id) => !many.has(id));
      expect(many.size).toBe(count + more);
      expect(missing.length).toBeLessThanOrEqual(1);
    }),
    { numRuns },
  );
});

test("a range in which the library is closed has no records", () => {
  expect(generateRecords({ count: 10, seed: 1, firstDay: "2026-12-24", lastDay: "2027-01-02" }).count).toBe(
    0,
  );
});
