// The datasets of the library (library.ts).
import { library } from "#library";
import type { Dataset } from "./dataset-schema.ts";
import { PipelineError } from "./errors.ts";

export const { datasets } = library;

/** The dataset that commands use if no dataset is named. */
export const defaultDataset: Dataset = datasets[0];

/**
 * Returns a dataset by its name.
 * @param among the deployed datasets; services get them as a dependency
 * @throws PipelineError `UnknownDataset` with the names of `among`
 */
export function findDataset(name: string, among: readonly Dataset[] = datasets): Dataset {
  const found = among.find((dataset) => dataset.name === name);
  if (found) return found;
  throw new PipelineError("UnknownDataset", {
    message: `There is no dataset "${name}".`,
    advice: `Use one of ${among.map((dataset) => dataset.name).join(", ")}, or add it to shared/library.ts.`,
    ids: { dataset: name.slice(0, 64) },
  });
}
