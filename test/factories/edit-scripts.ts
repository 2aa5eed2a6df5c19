// Invents publications of a dataset: a file, and then the file after random edits, insertions, removals, moves and changes
// of its header. The same seed gives the same files.
import { csvRows } from "../../shared/csv.ts";
import { addDays } from "../../shared/dates.ts";
import { between, type NonEmpty, pick, type Random } from "../../stacks/local/libinsight/random.ts";

type Row = ReadonlyMap<string, string | number | null>;
export type Publication = { headers: readonly string[]; rows: readonly Row[] };

const comments: NonEmpty<string> = [
  "",
  'said "hi", left',
  "Été 💥",
  "asked, twice",
  "row,5",
  "x".repeat(300),
];
const declared = ["_id", "_start_date", "Question Type", "Comments/Notes", "Location"];
const undeclared: NonEmpty<string> = ["change", "Row", "Comments Notes", "Extra"];

const cellOf = (random: Random, header: string): string | number | null => {
  if (header === "_start_date") return `${addDays("2024-01-01", between(random, 0, 90))} 09:30:00`;
  if (header === "Location") return pick(random, [null, "", "Newman Library", "Art + Architecture"]);
  return random() < 0.1 ? null : pick(random, comments);
};

function rowOf(random: Random, headers: readonly string[], id: number): Row {
  return new Map(headers.map((header) => [header, header === "_id" ? id : cellOf(random, header)]));
}

export function firstPublication(random: Random): Publication {
  const count = between(random, 0, 60);
  return {
    headers: declared,
    rows: Array.from({ length: count }, (_, index) => rowOf(random, declared, index + 1)),
  };
}

/** @param nextId greater than every id that was used */
export function nextPublication(random: Random, { headers, rows }: Publication, nextId: number): Publication {
  const edited = [...rows];
  let id = nextId;
  const steps = random() < 0.1 ? 0 : between(random, 1, 12);
  for (let step = 0; step < steps; step++) {
    const at = between(random, 0, Math.max(edited.length - 1, 0));
    const row = edited[at];
    const kind = between(random, 0, 5);
    if (kind === 0) {
      const added = Array.from({ length: between(random, 1, 6) }, () => rowOf(random, headers, id++));
      edited.splice(at, 0, ...added);
    } else if (kind === 1) edited.splice(at, between(random, 1, 4));
    else if (row && kind <= 3) {
      const header = pick(random, ["_start_date", ...headers.slice(1)]);
      edited[at] = new Map(row).set(header, cellOf(random, header));
    } else if (kind === 4) {
      const block = edited.splice(at, between(random, 1, 5));
      edited.splice(between(random, 0, edited.length), 0, ...block);
    } else if (random() < 0.1) edited.reverse();
  }
  if (random() > 0.25) return { headers, rows: edited };
  const header = pick(random, undeclared);
  const now = headers.includes(header) ? headers.filter((each) => each !== header) : [...headers, header];
  const given = random() < 0.5;
  return {
    headers: now,
    rows: edited.map((row) => new Map(row).set(header, given ? cellOf(random, header) : null)),
  };
}

export function csvOf({ headers, rows }: Publication): string {
  return csvRows([[...headers], ...rows.map((row) => headers.map((header) => row.get(header) ?? null))]);
}
