// The daily check of a published file: how old it is, for how long Athena's results have been behind it, and whether its
// folder holds anything else. Each number has an alarm (stacks/monitoring.ts); the one on the age also fires when the daily
// check stops running.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { Measure } from "../../shared/metrics.ts";
import type { ObjectInfo, ObjectStore } from "../../shared/ports.ts";
import { strayObjects } from "../../shared/stray-objects.ts";

/** Hours since the file was put in its place; a file put there by hand counts like any other. */
export function ageHours({ at }: Pick<ObjectInfo, "at">, now: Date): number {
  return Math.max((now.getTime() - at.getTime()) / 3_600_000, 0);
}

/** Hours since the file was put in its place, where the results are not of its run; else 0. */
export function behindHours(file: ObjectInfo, results: ObjectInfo | undefined, now: Date): number {
  const isSame = ["run-id", "requested-at"].every((name) => results?.metadata[name] === file.metadata[name]);
  return results && isSame ? 0 : ageHours(file, now);
}

export type FreshnessDeps = {
  data: ObjectStore;
  results: ObjectStore;
  measure: Measure;
  now: () => Date;
};

/** Where no file was ever published there is no number, which the alarm takes for a bad one. */
export async function checkFreshness(
  dataset: Dataset,
  { data, results, measure, now }: FreshnessDeps,
): Promise<LogFields> {
  const { name, publish } = dataset;
  const file = await data.head(publish.csv);
  if (!file) return { dataset: name, published: false };
  const hours = ageHours(file, now());
  const behind = behindHours(file, await results.head(publish.results), now());
  const stray = await strayObjects(dataset, data);
  measure(
    { PublishedFileAgeHours: hours, ResultsBehindHours: behind, StrayObjects: stray.length },
    { dataset: name },
  );
  return { dataset: name, published: true, hours, behind, stray: stray.join() };
}
