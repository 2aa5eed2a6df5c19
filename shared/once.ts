// Does work once even if it is requested several times or at the same time. The call that does it first writes a claim
// to the work bucket.
import * as z from "zod/mini";
import type { ObjectStore } from "./ports.ts";

/** Longer than the timeout of every handler that claims (shared/topology.ts): an older claim is of a call that died. */
export const claimSeconds = 240;

export const claim = z.strictObject({
  state: z.enum(["claimed", "released", "done"]),
  at: z.iso.datetime(),
});
type Claim = z.infer<typeof claim>;

/**
 * Calls `act`, unless it has been done or another call is doing it.
 * @param key of the claim, in the work bucket
 * @returns the result of `act`, `done` if it had been done before, or `claimed` if the caller must check again later
 * @throws what `act` throws; the next call retries it
 */
export async function once<T>(
  key: string,
  work: ObjectStore,
  now: () => Date,
  act: () => Promise<T>,
): Promise<T | "done" | "claimed"> {
  const mine = (state: Claim["state"]) => JSON.stringify({ state, at: now().toISOString() } satisfies Claim);
  const taken = await take(key, work, now());
  if (taken !== "taken") return taken;
  try {
    const result = await act();
    await work.put(key, mine("done"), "application/json");
    return result;
  } catch (error) {
    // If this fails too, the claim expires after 240 seconds.
    await work.put(key, mine("released"), "application/json").catch(() => {});
    throw error;
  }
}

async function take(key: string, work: ObjectStore, now: Date): Promise<"taken" | "done" | "claimed"> {
  const mine: Claim = { state: "claimed", at: now.toISOString() };
  if (await work.putOnce(key, mine)) return "taken";
  // In this order, so that the ETag is never newer than the claim that is read.
  const there = await work.head(key);
  const found = await work.getJson(key, claim);
  if (!there || !found) return "claimed";
  if (found.state === "done") return "done";
  const ageSeconds = (now.getTime() - Date.parse(found.at)) / 1000;
  if (found.state === "claimed" && ageSeconds < claimSeconds) return "claimed";
  return (await work.replaceJson(key, mine, there.etag)) ? "taken" : "claimed";
}
