// Measures the expectations on generated histories: how often they warn of nothing, and how often they find a fault.
// `HISTORIES=200 npx vitest run --config test/vitest.config.ts histories` measures the rates of 200 histories.
import { expect, test } from "vitest";
import { judge } from "../../../../services/assembler/expectations/judge.ts";
import { RowProfile } from "../../../../services/assembler/profile-rows.ts";
import { csvRows } from "../../../../shared/csv.ts";
import type { Dataset } from "../../../../shared/dataset-schema.ts";
import { type Expectation, expectation } from "../../../../shared/expectations.ts";
import type { Profile } from "../../../../shared/profile.ts";
import { datasetOf } from "../../../factories/dataset-entries.ts";
import { type Fault, faultKinds, plantFault } from "./faults.ts";
import {
  columns,
  dateOf,
  type GeneratedLibrary,
  type GeneratedRecord,
  generatedLibrary,
} from "./generated-library.ts";
import { WeeklyProfile } from "./weekly-profile.ts";

const histories = Number(process.env.HISTORIES ?? 12);
const timeout = 60_000 + histories * 3_000;
const years = 5;
const seeds = Array.from({ length: histories }, (_, seed) => seed);

const closed = ["Question Type", "Location", "mode"];
const expectations: Expectation[] = [
  { kind: "newest" },
  { kind: "filled" },
  { kind: "rows" },
  { kind: "unique" },
  { kind: "volume" },
  { kind: "range", column: "Minutes", min: 0, max: 600 },
  ...closed.map((column) => ({ kind: "answers", column })),
  ...closed.map((column) => ({ kind: "silent", column })),
].map((each) => expectation.parse(each));

function datasetFor({ terms }: GeneratedLibrary): Dataset {
  const declared = columns.map(({ name, isClosed }) => {
    const type = name === "Minutes" ? ("integer" as const) : ("text" as const);
    return { name, type, personal: !isClosed };
  });
  const dataset = datasetOf([{ name: "_start_date", type: "timestamp" }, ...declared]);
  return { ...dataset, terms, expectations };
}

/** Judges a run against the run a week before. @returns the kinds of the unmet expectations */
function unmet(library: GeneratedLibrary, profile: Profile, previous: Profile | undefined): string[] {
  const { terms } = library;
  const dataset = { terms, fiscalYearStart: 7 };
  const checked = { dataset, profile, previous: previous ?? { missing: "first run" }, windows: [] };
  const outcomes = judge(expectations, checked);
  return outcomes.flatMap(({ state }, index) => (state === "unmet" ? [expectations[index]?.kind ?? ""] : []));
}

function profileAt({ firstDay, runs }: GeneratedLibrary, records: GeneratedRecord[], run: number): Profile {
  const profile = new WeeklyProfile(firstDay, runs.at(-1) ?? 0);
  profile.add(records.filter((record) => record.run <= run));
  return profile.profile(runs[run] ?? 0);
}

const counted = (kinds: readonly string[]) =>
  Object.fromEntries([...new Set(kinds)].map((kind) => [kind, kinds.filter((each) => each === kind).length]));

test(
  "weekly runs over five healthy years warn less than once a year",
  () => {
    const warnings = seeds.map((seed) => {
      const library = generatedLibrary(seed);
      const { firstDay, runs, records } = library;
      const entered = Map.groupBy(records, ({ run }) => run);
      const counts = new WeeklyProfile(firstDay, runs.at(-1) ?? 0);
      let previous: Profile | undefined;
      return runs.flatMap((day, run) => {
        counts.add(entered.get(run) ?? []);
        const profile = counts.profile(day);
        const kinds = unmet(library, profile, previous);
        previous = profile;
        return kinds;
      });
    });
    const perYear = warnings.flat().length / histories / years;
    const worst = Math.max(...warnings.map(({ length }) => length)) / years;
    if (process.env.HISTORIES) console.info("warnings a year", { perYear, worst }, counted(warnings.flat()));
    expect(perYear).toBeLessThan(0.5);
  },
  timeout,
);

test(
  "the first run after a fault finds it",
  () => {
    const faults: (Fault & { seed: number; isFound: boolean })[] = seeds.flatMap((seed) => {
      const library = generatedLibrary(seed);
      const kind = faultKinds[seed % faultKinds.length] ?? "doubled day";
      const fault = plantFault(kind, library, seed);
      if (!fault) return [];
      const { run, records } = fault;
      const previous = profileAt(library, library.records, run - 1);
      const isFound = unmet(library, profileAt(library, records, run), previous).includes(fault.foundBy);
      return [{ ...fault, seed, isFound }];
    });
    const found = faults.filter(({ isFound }) => isFound);
    if (process.env.HISTORIES)
      console.info(
        "planted",
        counted(faults.map(({ kind }) => kind)),
        "found",
        counted(found.map(({ kind }) => kind)),
      );
    const missed = faults
      .filter(({ isFound }) => !isFound)
      .map(({ seed, kind, size }) => ({ seed, kind, size }));
    expect(faults.length).toBeGreaterThanOrEqual(histories * 0.95);
    expect(missed.length / faults.length, JSON.stringify(missed)).toBeLessThanOrEqual(0.05);
  },
  timeout,
);

test("the weekly profile of a history is the one that the assembler counts", () => {
  const library = generatedLibrary(3);
  const { firstDay, runs, records } = library;
  const headers = ["_id", "_start_date", ...columns.map(({ name }) => name)];
  for (const run of [0, 30, 170]) {
    const to = runs[run] ?? 0;
    const range = { from: dateOf(firstDay), to: dateOf(to) };
    const rows = new RowProfile(datasetFor(library), range, headers);
    const own = records.filter((record) => record.run <= run);
    const csv = csvRows(
      own.map(({ day, minute, cells }, id) => {
        const time = `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
        return [id, `${dateOf(day)} ${time}:00`, ...cells.map((cell) => (cell === "" ? null : cell))];
      }),
    );
    rows.add(Buffer.from(csv));
    expect(comparable(profileAt(library, records, run))).toEqual(comparable(rows.profile()));
  }
});

/** Without `_id`, and without the counts that expectations do not read. */
function comparable({ columns, hours: _hours, ...profile }: Profile) {
  return {
    ...profile,
    columns: columns.slice(1).map(({ answers, ...column }) => ({
      ...column,
      answers: answers
        ?.map(({ thisYear: _this, lastYear: _last, ...answer }) => answer)
        .sort((a, b) => (a.answer < b.answer ? -1 : 1)),
    })),
  };
}
