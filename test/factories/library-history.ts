// Invents the records of a library's reference desks, with terms, breaks and exams, and makes a run of them: its file,
// profile and result, and those of the run a week before. The same seed gives the same bytes.
import { RowProfile } from "../../services/assembler/profile-rows.ts";
import type { ReportInput } from "../../services/renderer/render.ts";
import { transformPage } from "../../services/transformer/page.ts";
import { type Dataset, outputColumns } from "../../shared/dataset-schema.ts";
import { addDays, daysBetween } from "../../shared/dates.ts";
import { kinds } from "../../shared/kinds/kinds.ts";
import type { Profile } from "../../shared/profile.ts";
import { count } from "../../shared/quantity.ts";
import { type ExpectationOutcome, type RunResult, rejectedCount, runIdOf } from "../../shared/run.ts";
import {
  between,
  pick,
  pickWeighted,
  type Random,
  seeded,
  seededAt,
  type Weighted,
} from "../../stacks/local/libinsight/random.ts";
import * as words from "../../stacks/local/libinsight/vocabulary.ts";
import { library } from "../fixtures/library.ts";
import { type FactoryRecord, recordOf } from "./libinsight-records.ts";
import { resultOf } from "./results.ts";

const [first] = library.datasets;
export const reportDataset: Dataset = {
  ...first,
  roles: {
    questionType: "Question Type",
    mode: "mode",
    location: "Location",
    minutes: "Duration (in minutes)",
  },
};

export type History = {
  from: string;
  /** The last day of the run. */
  to: string;
  /** Records of a Wednesday in term. */
  perDay: number;
  seed: number;
  /** Changes a record before it is transformed. */
  edit?: (record: FactoryRecord, random: Random) => FactoryRecord;
};
export const history: History = { from: "2021-12-02", to: "2024-12-01", perDay: 17, seed: 7 };

const colleges: Weighted<string> = [
  ["Engineering", 30],
  ["Science", 22],
  ["Liberal Arts and Human Sciences", 18],
  ["Business", 14],
  ["Agriculture and Life Sciences", 10],
  ["Architecture, Arts, and Design", 6],
];
/** Monday first. */
const weekdays = [1.1, 1.15, 1, 0.95, 0.65, 0.2, 0.35];
/** From 8 a.m. */
const hours = [3, 5, 8, 10, 9, 10, 12, 11, 9, 7, 4, 4, 3, 3, 0.4, 0.2];
const minutes: readonly [number, ...number[]] = [1, 2, 2, 3, 3, 3, 3, 5, 5, 10, 15];

/** Returns the questions of a day relative to one in term. */
function season(date: string): number {
  const day = date.slice(5);
  if (day >= "12-24" || day <= "01-01") return 0.01;
  if (day >= "12-18" || day <= "01-15") return 0.15;
  if ((day >= "12-04" && day < "12-18") || (day >= "05-01" && day <= "05-12")) return 1.9;
  if ((day >= "03-05" && day <= "03-12") || (day >= "11-23" && day <= "11-30")) return 0.2;
  return day > "05-12" && day < "08-20" ? 0.35 : 1;
}

export function recordsOfHistory({
  from,
  to,
  perDay,
  seed,
  edit = (record) => record,
}: History): FactoryRecord[] {
  const random = seeded(seed);
  const records: FactoryRecord[] = [];
  const start = daysBetween("1970-01-05", from);
  for (let index = 0, date = from; date <= to; index++, date = addDays(date, 1)) {
    const growth = 1 + index / 10_000;
    const expected = perDay * season(date) * (weekdays[(start + index) % 7] ?? 0) * growth;
    const count = Math.floor(expected * (0.75 + random() / 2) + random());
    for (let n = 0; n < count; n++)
      records.push(edit(inventedRecord(records.length + 1, date, seededAt(seed, records.length)), random));
  }
  return records;
}

function inventedRecord(n: number, date: string, random: Random): FactoryRecord {
  const hour = pickWeighted(random, [[8, 3], ...hours.map((weight, index) => [8 + index, weight] as const)]);
  const padded = (part: number) => String(part).padStart(2, "0");
  const chance = (share: number) => random() < share;
  const location = pickWeighted(random, words.locations).name;
  return recordOf(n, {
    _start_date: chance(0.0013) ? "" : `${date} ${padded(hour)}:${padded(between(random, 0, 59))}:00`,
    "Question Type": chance(0.986)
      ? [
          pickWeighted(random, words.questionTypes),
          ...(chance(0.02) ? [pickWeighted(random, words.questionTypes)] : []),
        ]
      : [],
    "Duration (in minutes)": chance(0.936) ? pick(random, minutes) : "",
    "Comments/Notes": chance(0.54) ? "asked the way" : "",
    Location: chance(0.98) ? [location] : [],
    who: chance(0.965) ? [pickWeighted(random, words.patrons)] : [],
    mode: chance(0.975) ? [pickWeighted(random, words.modes)] : [],
    answeredBy: chance(0.94) ? ["Student Assistant"] : [],
    employee: chance(0.84) ? ["Ash Calloway"] : [],
    classroom: location.startsWith("Classroom") ? pick(random, ["101", "102", "207"]) : "",
    studio: location.endsWith("Studios") ? [pick(random, ["3D Design", "Media", "Data"])] : [],
    affiliation: chance(0.7) ? [pickWeighted(random, colleges)] : [],
    research: chance(0.1) ? "databases" : "",
    topic: chance(0.1) ? "History" : "",
  });
}

export type SimulatedRun = { csv: string; headers: string[]; profile: Profile; result: RunResult };

/** Makes the run of the records up to `to`, as the assembler would. */
export function runOfRecords(
  records: readonly FactoryRecord[],
  { from, to }: Pick<History, "from" | "to">,
  dataset = reportDataset,
): SimulatedRun {
  const { csv, summary } = transformPage(records, dataset);
  const headers = [...outputColumns(dataset.columns), ...summary.appended];
  const profile = new RowProfile(dataset, { from, to }, headers);
  profile.add(Buffer.from(csv));
  // LibInsight finds a record without a date by when it was entered, here in the last window.
  const windows = kinds.records.periods({ from, to }).map((window, index, all) => {
    const own = records.filter((record) => {
      const date = dateOf(record);
      return date === "" ? index === all.length - 1 : date >= window.from && date <= window.to;
    });
    const rejected = own.filter((record) => dateOf(record) === "").length;
    return {
      ...{ from: window.from, to: window.to, attempt: 1, pages: Math.max(Math.ceil(own.length / 100), 1) },
      ...{ totalRecords: own.length, rows: own.length - rejected, rejected, duplicates: 0 },
    };
  });
  const day = addDays(to, 1);
  const { records: sent, rejects, furtherAnswers, mistyped, undeclared, filled, ids } = summary;
  const { previous: _none, ...result } = resultOf({
    runId: runIdOf(dataset.name, `scheduled ${day}`),
    ...{ from, to, windows, records: sent, rows: ids.length, duplicates: 0 },
    ...{ rejects, furtherAnswers, mistyped, undeclared, filled, columns: headers },
    requestedAt: `${day}T11:00:00Z`,
    finishedAt: `${day}T11:00:03.800Z`,
  });
  if (rejectedCount(result) + ids.length !== records.length) throw new Error("The records do not add up.");
  return { csv, headers, profile: profile.profile(), result };
}

const expectations: ExpectationOutcome[] = [
  {
    title: "who is filled in",
    state: "unmet",
    holds: false,
    found: "96.4%",
    limit: "97%",
    text: "who is filled in for 96.4% of the records, and 97% is expected",
  },
  { title: "Rows fall by at most 10%", state: "met", holds: true, found: "+0.5%", limit: "−10%", text: "" },
  {
    title: "Newest record is at most 5 days old",
    state: "met",
    holds: false,
    found: "1 day",
    limit: "5 days",
    text: "",
  },
  {
    title: "Every Location is a known one",
    state: "met",
    holds: false,
    found: "7 of 7",
    limit: "all",
    text: "",
  },
  { title: "Location is filled in", state: "met", holds: false, found: "98.0%", limit: "98%", text: "" },
  {
    title: "Volume against the same week of term",
    state: "unknown",
    holds: false,
    found: "–",
    limit: "40%",
    text: "The entry names no term of this week",
  },
];

/** Returns the records that a run a week earlier found: some were not entered yet. */
function recordsBefore(records: readonly FactoryRecord[], to: string): FactoryRecord[] {
  const isLate = (index: number) => index % 577 === 3 || (index > records.length - 400 && index % 41 === 0);
  return records.filter((record, index) => dateOf(record) <= to && !isLate(index));
}

/** Returns what the report of a run is made of, and its file. */
export function simulatedReport(of: History = history, dataset = reportDataset) {
  const records = recordsOfHistory(of);
  const run = runOfRecords(records, of, dataset);
  const to = addDays(of.to, -7);
  const last = runOfRecords(recordsBefore(records, to), { from: of.from, to }, dataset);
  return { input: inputOf(run, last, dataset), run, last, records };
}

/** @param last the run that was published before */
export function inputOf(
  { result, profile }: SimulatedRun,
  last: SimulatedRun,
  dataset = reportDataset,
): ReportInput {
  const { runId, rows, requestedAt } = last.result;
  return {
    ...{ dataset, profile, previous: last.profile },
    result: { ...result, previous: { runId, rows, requestedAt }, expectations },
    live: { runId, rows, requestedAt },
    nextRunAt: new Date(Date.parse(result.requestedAt) + 7 * 24 * 60 * 60_000),
  };
}

/** Returns the inputs of reports in each state. */
export function reportStates() {
  const { input: published, run, last, records } = simulatedReport();
  const { published: _files, ...result } = run.result;
  const { live, nextRunAt } = published;
  // A third of the first year is missing.
  const found = records.filter((record, index) => dateOf(record) >= "2022-12-02" || index % 3 > 0);
  const lacking = runOfRecords(found, history);
  const share = Math.round((1 - lacking.result.rows / last.result.rows) * 1_000) / 10;
  const fell = `rows fell from ${count(last.result.rows)} to ${count(lacking.result.rows)} (by ${share}%; the limit is 10%)`;
  const held = inputOf(lacking, last);
  const nothing = runOfRecords([], history);
  const counted = {
    windows: [],
    records: 0,
    rows: 0,
    duplicates: 0,
    rejects: {},
    furtherAnswers: {},
    filled: {},
  };
  const states: Record<"published" | "held" | "failed" | "superseded" | "empty" | "first", ReportInput> = {
    published,
    held: {
      ...held,
      result: { ...held.result, state: "held", violations: [{ kind: "comparison", text: fell }] },
    },
    failed: {
      ...{ dataset: reportDataset, profile: undefined, previous: undefined, live, nextRunAt },
      result: {
        ...result,
        ...counted,
        state: "failed",
        reason: "LibInsight stopped answering after 2 of 3 windows. Request the run again.",
      },
    },
    superseded: {
      ...{ dataset: reportDataset, profile: undefined, previous: undefined, live, nextRunAt },
      result: {
        ...result,
        state: "superseded",
        reason:
          "A later run (reference-transactions-0123456789ab) has already published; its file stays. No action needed.",
      },
    },
    empty: inputOf(nothing, nothing),
    first: { ...published, previous: undefined, live: undefined, result: run.result },
  };
  return states;
}

/** Returns a report with 137 times the records, very long names, and 40 answers in each closed field. */
export function stressedReport(): ReportInput {
  const long = "Interdisciplinary";
  const { input } = simulatedReport();
  const grown = (profile: Profile): Profile => ({
    ...JSON.parse(JSON.stringify(profile), (key, value) =>
      typeof value === "number" && key !== "fiscalYear" ? value * 137 : value,
    ),
    columns: profile.columns.map(({ answers = [], ...column }) => ({
      ...column,
      ...(answers.length > 0 && {
        answers: Array.from({ length: 40 }, (_, index) => ({
          ...(answers[index % answers.length] ?? { rows: 0, thisYear: 0, lastYear: 0, weeks: [] }),
          answer: `${index} ${long.repeat(1 + (index % 4))} ${answers[index % answers.length]?.answer}`,
        })),
      }),
    })),
  });
  const text = JSON.stringify({ ...input, profile: input.profile && grown(input.profile) });
  const named = text
    .replaceAll('"affiliation"', `"affiliation ${long.repeat(3)}"`)
    .replaceAll('"reference-transactions"', `"a-dataset-with-the-longest-name-that-is-accepted"`);
  return { ...JSON.parse(named), nextRunAt: input.nextRunAt };
}

function dateOf({ _start_date: date }: FactoryRecord): string {
  return String(date).slice(0, 10);
}
