// Publishes an object in one atomic write, unless a newer run has already published its own.
import { PipelineError } from "./errors.ts";
import type { ObjectInfo, ObjectStore } from "./ports.ts";
import type { Run } from "./run.ts";

/** Another writer wins at most a few times in a row: runs of one dataset are weekly and assembled one at a time. */
export const publishAttempts = 5;

export function publishContended(key: string, { runId }: Pick<Run, "runId">): PipelineError {
  return new PipelineError("PublishContended", {
    message: `Other writers changed ${key} at every one of ${publishAttempts} attempts.`,
    advice: "Retried automatically. If this persists, check for another writer to this key.",
    kind: "transient",
    ids: { run: runId },
  });
}

export type Published = { superseded: false; object: ObjectInfo } | { superseded: true; by: string };

/**
 * @param body makes the content again for each attempt
 * @returns what was published, or the newer run whose object stays
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
    // Where another writer's object is in place already, the next round sees whether it is newer.
    if (object && object.etag === written) return { superseded: false, object };
  }
  throw publishContended(key, run);
}

/** Clocks differ by seconds. */
const toleratedMs = 15 * 60_000;

/** Returns whether a time is in the future, even if the clocks differ by 15 minutes. */
export function isFuture(time: string, now: Date): boolean {
  return Date.parse(time) > now.getTime() + toleratedMs;
}

/**
 * Returns whether an object is of a later request than the run. EventBridge's times are in seconds; of two requests in
 * one second neither is newer. An object without a run (the predecessor's) is older, and so is one from the future: a
 * clock that once was wrong must not keep every later run from publishing.
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
