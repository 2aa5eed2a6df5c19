// Generates the records of one dataset. Only times and ids are kept in memory, 8 bytes per record. The rest of a record is
// generated from the seed and the record's id on request.
import { comment } from "./comment.ts";
import { type FormField, recordOfForm } from "./dataset-form.ts";
import { localTime, startOfDay } from "./local-time.ts";
import { firstDay as ownFirstDay, lastDay as ownLastDay, questionsByDay } from "./question-times.ts";
import { between, type NonEmpty, pick, pickWeighted, type Random, seededAt } from "./random.ts";
import { renamed } from "./renames.ts";
import * as words from "./vocabulary.ts";

/** A record as in the API's JSON; the keys are the labels of the fields. */
export type LibInsightRecord = { [field: string]: unknown };

/** A drop-down field that records have from `since` on. */
export type AddedField = { name: string; options: NonEmpty<string>; since: string };

export type GeneratedRecords = {
  count: number;
  /** Local time, in seconds, by which queries select the n-th record, from 0. Its `_start_date` may be missing. */
  startOf(n: number): number;
  idOf(n: number): number;
  record(n: number): LibInsightRecord;
};

/** Ids and indexes are sorted as one number, id * this + index, which must stay below 2^53. */
export const maxRecords = 2_000_000;

/** LibInsight numbers the records of all customers together, so a dataset's ids have gaps. */
const firstId = 31_204_417;
const idsPerSecond = 4;
/** Ids must stay below 2^32. */
export const maxYears = 30;

const affiliationSince = startOfDay("2022-08-22");

/**
 * Generates records ordered by `_start_date`. The same options give the same records. With a later `lastDay` the count
 * stays, so as many earlier records disappear as the new days have, spread over all days. The others keep their id, time
 * and content, with two exceptions: for each new record without `_start_date` an earlier one gets its own, and a record
 * that was entered in the same quarter of a second as one that disappeared gets another id and content.
 */
export function generateRecords(options: {
  count: number;
  seed: number;
  addedField?: AddedField | undefined;
  /** New labels of renamed fields, by field. */
  labels?: ReadonlyMap<string, string>;
  /** The fields of another form than the simulation's own. */
  fields?: readonly FormField[] | undefined;
  /** At most `maxYears` before the last day. */
  firstDay?: string;
  lastDay?: string;
}): GeneratedRecords {
  const { seed, addedField, labels = new Map(), fields } = options;
  const { firstDay = ownFirstDay, lastDay = ownLastDay } = options;
  const first = startOfDay(firstDay);
  const starts = new Uint32Array(options.count);
  const entries = new Float64Array(options.count);
  const undated = new Set<number>();
  let count = 0;
  for (const questions of questionsByDay(options.count, seed, { firstDay, lastDay })) {
    for (const { start, entered, isDated } of questions) {
      starts[count] = start;
      entries[count] = entered - first;
      if (!isDated) undated.add(count);
      count += 1;
    }
  }
  const ids = idsByEntry(entries.subarray(0, count));
  const startOf = (n: number) => starts[n] ?? 0;
  const idOf = (n: number) => ids[n] ?? 0;
  return {
    count,
    startOf,
    idOf,
    record(n) {
      const id = idOf(n);
      const record = makeRecord(
        seededAt(seed, id),
        { id, start: startOf(n), isDated: !undated.has(n) },
        addedField,
      );
      const own = fields ? recordOfForm(fields, record, startOf(n), seededAt(~seed, id)) : record;
      return renamed(own, labels);
    },
  };
}

/**
 * Returns ids that grow with the time of entry.
 * @param entries seconds since the first day, by index; they are overwritten
 */
function idsByEntry(entries: Float64Array): Uint32Array {
  for (const [n, entered] of entries.entries())
    entries[n] = Math.floor(idsPerSecond * entered) * maxRecords + n;
  entries.sort();
  const ids = new Uint32Array(entries.length);
  let id = firstId;
  for (const entry of entries) {
    id = Math.max(id + 1, firstId + Math.floor(entry / maxRecords));
    ids[entry % maxRecords] = id;
  }
  return ids;
}

function makeRecord(
  random: Random,
  { id, start, isDated }: { id: number; start: number; isDated: boolean },
  addedField: AddedField | undefined,
): LibInsightRecord {
  const place = pickWeighted(random, words.locations);
  const questions = questionType(random);
  const isResearch = questions.includes("Research Consultation");
  const topic = pick(random, words.topics);
  const hasTopic = random() < (isResearch ? 0.75 : 0.08);
  const isResearchForm = random() < 0.4;

  const record: LibInsightRecord = {
    _id: id,
    _start_date: localTime(start),
    _entered_by: pick(random, words.accounts),
    "Question Type": questions,
    "Duration (in minutes)": number(random, 0.06, isResearch ? 5 * between(random, 3, 18) : minutes(random)),
    "Comments/Notes": comment(random, topic),
    Location: answer(random, 0.01, place.name),
    who: answer(random, 0.03, pickWeighted(random, words.patrons)),
    mode: answer(
      random,
      0.02,
      pickWeighted(random, place.name === "Online" ? words.onlineModes : words.modes),
    ),
    answeredBy: answer(random, 0.05, pickWeighted(random, words.roles)),
    classroom: place.classroom ? answer(random, 0.1, pick(random, words.classrooms)) : "",
    topic: hasTopic && !isResearchForm ? several(random, topic, words.topics, 0.25) : [],
    research: hasTopic && (isResearchForm || random() < 0.1) ? [topic] : "",
    walkins: number(random, place.classroom ? 0.2 : 0.96, between(random, 1, 30)),
    employee: answer(random, 0.15, pick(random, words.employees)),
    studio: place.studio ? several(random, pick(random, words.studios), words.studios, 0.2) : [],
    affiliation: answer(random, 0.12, pickWeighted(random, words.affiliations)),
    scans: number(random, 0.93, between(random, 1, 60)),
    reformat: number(random, 0.98, between(random, 1, 4)),
  };
  // The form had no such field before.
  if (start < affiliationSince) delete record.affiliation;
  if (addedField && start >= startOfDay(addedField.since)) {
    record[addedField.name] = answer(random, 0.1, pick(random, addedField.options));
  }
  return withGaps(random, record, isDated);
}

function questionType(random: Random): string[] | "" {
  if (random() < 0.01) return "";
  const first = pickWeighted(random, words.questionTypes);
  if (random() >= 0.03) return [first];
  const second = pickWeighted(random, words.questionTypes);
  return second === first ? [first] : [first, second];
}

/** Returns the answer of a drop-down field: one element, or "" if it is empty. */
function answer(random: Random, empty: number, value: string): [string] | "" {
  return random() < empty ? "" : [value];
}

function several(random: Random, first: string, values: NonEmpty<string>, further: number): string[] {
  const chosen = new Set([first]);
  for (let n = 0; n < 3 && random() < further; n++) chosen.add(pick(random, values));
  return [...chosen];
}

/** Returns a number, sometimes as a string, or "" if it is blank. */
function number(random: Random, blank: number, value: number): number | string {
  if (random() < blank) return "";
  return random() < 0.2 ? String(value) : value;
}

function minutes(random: Random): number {
  return pickWeighted(random, [
    [0.5, 2],
    [1, 25],
    [2, 20],
    [3, 12],
    [5, 24],
    [7.5, 1],
    [10, 11],
    [15, 4],
    [20, 1],
  ]);
}

/** Deletes some fields and sets others to null. `_id` is LibInsight's own key, which every record has. */
function withGaps(random: Random, record: LibInsightRecord, isDated: boolean): LibInsightRecord {
  for (const field of Object.keys(record)) {
    const chance = random();
    // Without a date, `_start_date` is missing, null or "" with equal chances.
    if (field === "_start_date") {
      if (isDated) continue;
      if (chance < 1 / 3) delete record[field];
      else record[field] = chance < 2 / 3 ? null : "";
    } else if (field !== "_id") {
      if (chance < 0.004) delete record[field];
      else if (chance < 0.006) record[field] = null;
    }
  }
  return record;
}
