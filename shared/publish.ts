// Publishes an object in one atomic write, unless a newer run has already published its own.
import { PipelineError } from "./errors.ts";
import type { ObjectInfo, ObjectStore } from "./ports.ts";
import type { Run } from "./run.ts";

/** Other writers are rare: runs of one dataset are weekly and assembled one at a time. */
export const publishAttempts = 5;

/** Returns the error for a key that other writers change at every attempt to write it. */
export function publishContended(key: string, { runId }: Pick<Run, "runId">): PipelineError {
  return new PipelineError("PublishContended", {
    message: `Other writers changed ${key} at every attempt to write it.`,
    advice: "Retried automatically. If this persists, check for another writer to this key.",
    kind: "transient",
    ids: { run: runId },
  });
}

export type Published = { superseded: false; object: ObjectInfo } | { superseded: true; by: string };

/**
 * Publishes an object, unless the published object is of a newer run.
 * @param body returns the content again for each attempt
 * @returns the published object, or the newer run
 * @throws PipelineError `PublishContended`
 */
export async function publishNewest(
  store: ObjectStore,
  key: string,
  run: Pick<Run, "runId" | "requestedAt">,
  body: () => Promise<AsyncIterable<Uint8Array>>,
  options: { contentType: string; metadata?: Record<string, string>; now?: Date },
): Promise<Published> {
  const metadata = { ...options.metadata, "run-id": run.runId, "requested-at": run.requestedAt };
  for (let attempt = 1; attempt <= publishAttempts; attempt++) {
    const current = await store.head(key);
    if (current && isNewer(current.metadata, run, options.now)) {
      return { superseded: true, by: current.metadata["run-id"] ?? "a newer run" };
    }
    const written = await store.upload(key, await body(), {
      contentType: options.contentType,
      metadata,
      condition: current ? { ifMatch: current.etag } : "absent",
    });
    const object = written === undefined ? undefined : await store.head(key);
    // If another writer has already replaced the object, the next attempt checks whether that one is newer.
    if (object && object.etag === written) return { superseded: false, object };
  }
  throw publishContended(key, run);
}

/** Allows for clocks that differ. */
const toleratedMs = 15 * 60_000;

/** Returns whether a time is in the future, even if the clocks differ by 15 minutes. */
export function isFuture(time: string, now: Date): boolean {
  return Date.parse(time) > now.getTime() + toleratedMs;
}

/**
 * Returns whether an object is of a later request than the run. EventBridge's times have whole seconds, so two requests
 * in one second are equally new. An object without a run (from the previous system) is older. So is an object from the
 * future, because a clock that was once wrong must not block every later run.
 */
export function isNewer(
  metadata: Record<string, string>,
  run: Pick<Run, "requestedAt">,
  now: Date = new Date(),
): boolean {
  const requestedAt = metadata["requested-at"];
  if (requestedAt === undefined || isFuture(requestedAt, now)) return false;
  return Date.parse(requestedAt) > Date.parse(run.requestedAt);
}
