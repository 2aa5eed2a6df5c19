// Plants invented personal words in the simulated records, and finds them in what the pipeline writes for people and
// programs that may not read records.
import type { LibInsightRecord } from "../../stacks/local/libinsight.ts";

const comments = "Comments/Notes";
/** The columns of names, which the de-identified file has as pseudonyms, and the entry's `nameColumns`. */
const staff = ["answeredBy", "employee"];

/** No code, setting or other record has these words. */
const words = {
  /** In comments. The de-identified file may have it, because it is no personal word. */
  comment: "Plantedword",
  /** In comments and in the columns of names. */
  name: "Plantedname",
  email: "plantedmail@example.org",
  phone: "540-555-0173",
  /** In a column that the entry drops, and in a field that it does not declare. */
  field: "Plantedfield",
};
/** The text that errors of the ports and of LibInsight quote. */
export const plantedInErrors = "Plantederror";

/** The words that the de-identified file must not have. */
export const personalWords = [words.name, words.email, words.phone, words.field];
const allWords = [...personalWords, words.comment, plantedInErrors];

/** Returns the record with the words in each of its comment, names and further fields, if they are filled. */
export function withWords(record: LibInsightRecord, furtherField: string): LibInsightRecord {
  const named = { ...record };
  for (const column of staff) {
    const [first] = answersOf(record[column]);
    if (first !== undefined) named[column] = [`${first.split(" ")[0]} ${words.name}`];
  }
  for (const field of ["_entered_by", furtherField])
    if (answersOf(record[field]).length > 0) named[field] = words.field;
  return typeof record[comments] === "string" ? withComment(named, record[comments]) : named;
}

/** Returns the record with a comment and, unless that is empty, the words. */
export function withComment(record: LibInsightRecord, comment: string): LibInsightRecord {
  if (comment === "") return { ...record, [comments]: comment };
  // Redaction finds a name that a column has.
  const isNamed = staff.some((column) => answersOf(record[column]).some((name) => name.endsWith(words.name)));
  const name = isNamed ? `Ask ${words.name}, ` : "";
  const text = `${comment} ${words.comment}. ${name}${words.email}, ${words.phone}`;
  return { ...record, [comments]: text };
}

function answersOf(value: unknown): string[] {
  const answers = Array.isArray(value) ? value : [value];
  return answers.filter((answer) => typeof answer === "string" && answer !== "");
}

/** What the pipeline has written during a plan, as text. */
export type Outputs = Record<
  "logs" | "metrics" | "events" | "spans" | "notifications" | "attributes" | "metadata",
  string[]
> & {
  /** Every version of each object that a service wrote. */
  objects: { key: string; text: string }[];
};

export function noOutputs(): Outputs {
  const texts = { logs: [], metrics: [], events: [], spans: [], notifications: [], attributes: [] };
  return { ...texts, metadata: [], objects: [] };
}

/** The full file, its results and its changes, and what a run stores of records in the work bucket. */
const recordKeys = new RegExp(
  [
    "^libinsightdata-(athena|json|parquet|previous)",
    "^published/|^changes/|^deadletters/",
    "^kept/.*/(?!index\\.json$)",
    "^runs/[^/]+/((parts|pages|rejects|held)/|changes\\.parquet$)",
  ].join("|"),
);
const deidentifiedKeys = /-deidentified\//;

/** Requires that no output has a planted word, except the files of records. The de-identified ones may have comments. */
export function leakProblems({ objects, ...texts }: Outputs): string[] {
  const wrong: string[] = [];
  for (const [what, all] of Object.entries(texts)) {
    const [found] = all.flatMap((text) => leakIn(text, allWords) ?? []);
    if (found !== undefined) wrong.push(`the ${what} have a planted word: ${found}`);
  }
  for (const { key, text } of objects) {
    const isDeidentified = deidentifiedKeys.test(key);
    if (!isDeidentified && recordKeys.test(key)) continue;
    const found = leakIn(text, isDeidentified ? personalWords : allWords);
    if (found !== undefined) wrong.push(`${key} has a planted word: ${found}`);
  }
  return wrong;
}

/** Returns the first planted word of a text with the text around it. */
function leakIn(text: string, words: readonly string[]): string | undefined {
  const at = words.map((word) => text.indexOf(word)).find((index) => index >= 0);
  return at === undefined ? undefined : JSON.stringify(text.slice(Math.max(0, at - 60), at + 60));
}
