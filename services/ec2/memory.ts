// Where the needs are kept: one object in the work bucket, changed in one step by one handler at a time.
import { PipelineError } from "../../shared/errors.ts";
import { keys } from "../../shared/keys.ts";
import type { ObjectStore } from "../../shared/ports.ts";
import { type Needs, needs, noNeeds, withoutForgotten } from "./needs.ts";

/** Two handlers run at once, and each changes it in some milliseconds. */
const attempts = 5;
/** As long as the work bucket keeps an unchanged object. */
const rememberedMs = 30 * 24 * 3600 * 1000;

export async function readNeeds(work: ObjectStore): Promise<Needs> {
  return (await work.getJson(keys.needs, needs)) ?? noNeeds;
}

/**
 * @param change may be called again with newer needs; gives back the same needs where nothing is to be changed
 * @returns the needs as they are then
 * @throws PipelineError `NeedsContended`
 */
export async function changeNeeds(
  { work, now }: { work: ObjectStore; now: () => Date },
  change: (from: Needs) => Needs,
): Promise<Needs> {
  for (let attempt = 1; attempt <= attempts; attempt++) {
    // In this order, so that the ETag is not newer than what was read.
    const there = await work.head(keys.needs);
    const before = await readNeeds(work);
    const after = change(before);
    if (after === before) return before;
    const kept = withoutForgotten(after, new Date(now().getTime() - rememberedMs));
    const isKept = there
      ? await work.replaceJson(keys.needs, kept, there.etag)
      : await work.putOnce(keys.needs, kept);
    if (isKept) return kept;
  }
  throw new PipelineError("NeedsContended", {
    message: `Others changed what instances are needed for at every one of ${attempts} attempts.`,
    advice: "It is tried again by itself; if it goes on, look at the function's log.",
    kind: "transient",
  });
}
