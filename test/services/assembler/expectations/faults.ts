// Plants faults in generated histories. Each is found by the first run after it, if it is not smaller than said here.

import type { Expectation } from "../../../../shared/expectations.ts";
import { dateOf, type GeneratedLibrary, type GeneratedRecord, randomOf } from "./generated-library.ts";

export type Fault = {
  kind: FaultKind;
  /** The expectation that finds it. */
  foundBy: Expectation["kind"];
  /** The first run after the fault, from 0. */
  run: number;
  /** The history that this run sees. */
  records: GeneratedRecord[];
  /** "Place 2 without 31 records" */
  size: string;
};
export const faultKinds = ["silent location", "half empty field", "doubled day", "truncated year"] as const;
export type FaultKind = (typeof faultKinds)[number];

/** The weekly records of the location are at least 7, or three weeks without any may be chance. */
const minSilentRecords = 20;
/** Rows of a week from which a half empty field is no chance, by the least share of its filled rows. */
const minRowsByShare = [
  [0.9, 25],
  [0.7, 70],
  [0.5, 140],
] as const;
const minRecordsOfDay = 4;
const minMonthsLost = 2;
/** Before, there is nothing to compare with. */
const firstRun = 80;
const tries = 200;

/** Returns the fault, or undefined if the history has no place that is large enough for it. */
export function plantFault(kind: FaultKind, library: GeneratedLibrary, seed: number): Fault | undefined {
  const random = randomOf(Math.imul(seed + 1, 0x85ebca6b));
  const plant = planters[kind];
  for (let n = 0; n < tries; n++) {
    const run = firstRun + Math.floor(random() * (library.runs.length - firstRun));
    const fault = plant(library, run, random);
    if (fault) return { kind, run, ...fault };
  }
  return undefined;
}

type Planter = (
  library: GeneratedLibrary,
  run: number,
  random: () => number,
) => Omit<Fault, "kind" | "run"> | undefined;

const planters: Record<FaultKind, Planter> = {
  "silent location": ({ runs, records }, run, random) => {
    const sunday = runs[run] ?? 0;
    const isSilent = ({ day, cells }: GeneratedRecord, place: string) =>
      day > sunday - 21 && day <= sunday && cells[1] === place;
    const place = `Place ${Math.floor(random() * 8)}`;
    const lost = records.filter((record) => record.run <= run && isSilent(record, place)).length;
    if (lost < minSilentRecords) return undefined;
    return {
      foundBy: "silent",
      records: records.filter((record) => !isSilent(record, place)),
      size: `${place} without ${lost} records`,
    };
  },
  "half empty field": ({ runs, records }, run, random) => {
    const sunday = runs[run] ?? 0;
    const column = [0, 1, 2, 3, 5][Math.floor(random() * 5)] ?? 0;
    const isAffected = ({ day }: GeneratedRecord) => day > sunday - 7;
    const week = records.filter((record) => record.run <= run && isAffected(record));
    const share = week.filter(({ cells }) => cells[column] !== "").length / week.length;
    if (!minRowsByShare.some(([least, rows]) => share >= least && week.length >= rows)) return undefined;
    return {
      foundBy: "filled",
      records: records.map((record) =>
        isAffected(record) && random() < 0.5
          ? { ...record, cells: record.cells.map((cell, index) => (index === column ? "" : cell)) }
          : record,
      ),
      size: `column ${column}, ${Math.round(share * 100)}% of ${week.length} rows`,
    };
  },
  "doubled day": ({ runs, records }, run, random) => {
    const day = (runs[run] ?? 0) - Math.floor(random() * 7);
    const copies = records.filter((record) => record.run <= run && record.day === day);
    if (copies.length < minRecordsOfDay) return undefined;
    return { foundBy: "unique", records: [...records, ...copies], size: `${copies.length} records` };
  },
  "truncated year": ({ firstDay, runs, records }, run, random) => {
    const firstYear = Number(dateOf(firstDay).slice(0, 4)) + 1;
    const lastYear = Number(dateOf(runs[run - 1] ?? 0).slice(0, 4)) - 1;
    if (lastYear < firstYear) return undefined;
    const year = firstYear + Math.floor(random() * (lastYear - firstYear + 1));
    const months = minMonthsLost + Math.floor(random() * 8);
    const since = `${year}-${String(13 - months).padStart(2, "0")}-01`;
    const isLost = ({ day }: GeneratedRecord) => dateOf(day) >= since && dateOf(day) <= `${year}-12-31`;
    const kept = records.filter((record) => !isLost(record));
    return { foundBy: "rows", records: kept, size: `${records.length - kept.length} records since ${since}` };
  },
};
