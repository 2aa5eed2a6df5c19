// Formats the first records as the rows that they would become, as `npm start` does.
import { recordTransform } from "../../../services/transformer/record.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { viewText } from "../../local/preview.ts";
import { shownRows } from "../../local/views.ts";
import { dictionaryOf } from "../dictionary/columns-of-dataset.ts";

/** Returns the rows without values of personal columns. @param width of the terminal */
export function firstRowsText(dataset: Dataset, records: readonly unknown[], width: number): string {
  const transform = recordTransform(dataset);
  const rows = records
    .map(transform)
    .flatMap((outcome) => ("row" in outcome ? [outcome.row.cells.map((cell) => String(cell ?? ""))] : []))
    .slice(0, shownRows);
  const dictionary = dictionaryOf(dataset);
  const columns = dictionary.columns.map(({ name }) => name);
  return viewText({ view: dictionary.typed, columns, rows }, dictionary, { width, simulated: false });
}
