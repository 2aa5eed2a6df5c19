// Checks the de-identified file at the end of a plan: it and its results are of the run that published the full file, with
// the same records and without the planted words that its rules remove.
import { parquetKey } from "../../shared/parquet-file.ts";
import { deidentified } from "../../shared/privacy/deidentified.ts";
import { holds } from "../factories/planted-records.ts";
import { failedFor, readResult } from "./downstream.ts";
import { type Cell, readCsv, type Table } from "./oracle.ts";
import { personalWords } from "./planted.ts";
import { athenaRowsOf } from "./reader.ts";
import type { Evidence, Publications } from "./verdict.ts";

export async function deidentifiedProblems(
  { ports: { data, results }, history, events }: Evidence,
  { csv }: Publications,
): Promise<string[]> {
  const full = csv.at(-1);
  if (!full) return [];
  const wrong: string[] = [];
  const { owner } = full;
  const { name, publish } = deidentified(history.entry);
  const parquet = parquetKey(publish.csv, owner);
  for (const key of [publish.csv, publish.jsonl, parquet]) {
    const of = (await data.head(key))?.metadata["run-id"];
    if (of !== owner) wrong.push(`${key} is of run ${of}, the published file of ${owner}`);
  }
  // Its text is compressed. The other files are checked when they are written (planted.ts).
  const typed = await data.getBytes(parquet);
  if (typed && (await holds(parquet, typed, personalWords))) wrong.push(`${parquet} has a planted word`);
  const file = readable((await data.getText(publish.csv)) ?? "");
  const [found, expected] = [file, readable(full.text)].map(idsOf);
  if (found?.join() !== expected?.join())
    wrong.push(`the de-identified file has the records ${found}, the published file ${expected}`);
  if (failedFor(owner, name, events)) return wrong;
  const of = (await results.head(publish.results))?.metadata["run-id"];
  if (of !== owner) return [...wrong, `the de-identified result is of run ${of}, its file of ${owner}`];
  if (JSON.stringify(await readResult(results, publish.results)) !== JSON.stringify(athenaRowsOf(file)))
    wrong.push("the de-identified result differs from its file");
  return wrong;
}

/** Returns an empty table for a malformed file. */
function readable(csv: string): Table {
  try {
    return readCsv(csv);
  } catch {
    return { header: [], rows: [] };
  }
}

function idsOf({ header, rows }: Table): (Cell | undefined)[] {
  const at = header.indexOf("_id");
  return rows.map((row) => row[at]);
}
