// How old a published file is. An alarm on this metric (stacks/monitoring.ts) fires when nothing was published for too long,
// and also when the daily check stops running.
import type { Dataset } from "../../shared/dataset.ts";
import type { LogFields } from "../../shared/logger.ts";
import type { Measure } from "../../shared/metrics.ts";
import type { ObjectInfo, ObjectStore } from "../../shared/ports.ts";

/** Hours since the file was put in its place; a file put there by hand counts like any other. */
export function ageHours({ at }: Pick<ObjectInfo, "at">, now: Date): number {
  return Math.max((now.getTime() - at.getTime()) / 3_600_000, 0);
}

export type FreshnessDeps = { data: ObjectStore; measure: Measure; now: () => Date };

/** Where no file was ever published there is no number, which the alarm takes for a bad one. */
export async function checkFreshness(
  { name, publish }: Dataset,
  { data, measure, now }: FreshnessDeps,
): Promise<LogFields> {
  const file = await data.head(publish.csv);
  if (!file) return { dataset: name, published: false };
  const hours = ageHours(file, now());
  measure({ PublishedFileAgeHours: hours }, { dataset: name });
  return { dataset: name, published: true, hours };
}
