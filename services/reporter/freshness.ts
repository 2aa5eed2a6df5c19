// The daily check of a published file: its age, how long Athena's results have been behind it, and stray objects in its
// folder. Each metric has an alarm (stacks/monitoring.ts). The alarm on the age also fires when this check stops running.
import type { Dataset } from "../../shared/dataset-schema.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { Measure } from "../../shared/metrics.ts";
import type { ObjectInfo, ObjectStore } from "../../shared/ports.ts";
import { strayObjects } from "../../shared/stray-objects.ts";

/** Returns the hours since the file was written, by a run or by hand. */
export function ageHours({ at }: Pick<ObjectInfo, "at">, now: Date): number {
  return Math.max((now.getTime() - at.getTime()) / 3_600_000, 0);
}

/** Returns 0 if the results are from the file's run and request, otherwise the file's age in hours. */
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

/** Records no metric if no file was ever published; the alarm on the age treats missing data as breaching. */
export async function checkFreshness(
  dataset: Dataset,
  { data, results, measure, now }: FreshnessDeps,
): Promise<LogFields> {
  const { name, publish } = dataset;
  const file = await data.head(publish.csv);
  if (!file) return { dataset: name, published: false };
  const hours = ageHours(file, now());
  const behind = behindHours(file, await results.head(publish.results), now());
  const stray = await strayObjects(dataset, data, file.metadata["run-id"]);
  measure(
    { PublishedFileAgeHours: hours, ResultsBehindHours: behind, StrayObjects: stray.length },
    { dataset: name },
  );
  return { dataset: name, published: true, hours, behind, stray: stray.join() };
}
