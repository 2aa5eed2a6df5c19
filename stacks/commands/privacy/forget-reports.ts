// Reports hold counts, but they name the answers of closed fields. A report is deleted if it names an answer that only forgotten
// records gave.
import { html } from "../../../services/renderer/html.ts";
import { besideChanges } from "../../../shared/changes-columns.ts";
import { knownNames } from "../../../shared/column-names.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { keys } from "../../../shared/keys.ts";
import type { ObjectStore } from "../../../shared/ports.ts";
import { answerSeparator } from "../../../shared/statistics/rules.ts";
import { changeFiles, idOf } from "./forget-changes.ts";
import { csvRecords, type IsForgotten, readParquet } from "./forget-rows.ts";

const maxReports = 100_000;
/** A column with more answers of its own is no closed field, which reports do not name. */
const maxOwnAnswers = 1_000;

type Stores = { data: ObjectStore; results: ObjectStore };

/** Returns the keys of the reports to delete. */
export async function reportsNaming(
  dataset: Dataset,
  isForgotten: IsForgotten,
  { data, results }: Stores,
): Promise<string[]> {
  const answers = await ownAnswers(dataset, isForgotten, { data, results });
  const texts = answers.map((answer) => html`${answer}`.source);
  const found: string[] = [];
  if (texts.length === 0) return found;
  for (const key of await results.list(keys.reportsFolder(dataset.name), maxReports)) {
    const report = (await results.getText(key)) ?? "";
    if (texts.some((text) => report.includes(text))) found.push(key);
  }
  return found;
}

/** Returns the answers of forgotten records that no other row of the published file has. */
async function ownAnswers(
  dataset: Dataset,
  isForgotten: IsForgotten,
  { data, results }: Stores,
): Promise<string[]> {
  const names = await knownNames(dataset, results);
  const found = new Map<string, Set<string>>();
  for (const column of dataset.columns)
    if ("type" in column && column.type === "text" && !column.personal) found.set(column.name, new Set());
  for (const { key } of await changeFiles(dataset, data)) {
    const file = await readParquet(await data.stream(key));
    const indexOf = new Map(file.columns.map(({ name }, index) => [name, index]));
    for await (const group of file.groups()) {
      for (const row of group.filter((each) => isForgotten(idOf(each) ?? -1))) {
        for (const [header, answers] of found) {
          const value = row[indexOf.get(besideChanges(names.get(header) ?? "")) ?? -1];
          if (typeof value === "string")
            for (const answer of value.split(answerSeparator)) answers.add(answer);
        }
      }
    }
  }
  for await (const { id, textOf } of csvRecords(dataset.publish.csv, data)) {
    if (isForgotten(id)) continue;
    for (const [header, answers] of found)
      for (const answer of textOf(header).split(answerSeparator)) answers.delete(answer);
  }
  return [...found.values()].flatMap((answers) => (answers.size > maxOwnAnswers ? [] : [...answers]));
}
