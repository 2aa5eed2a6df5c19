// Work that may be requested several times is done once, however many calls begin at once: the call that does it writes
// a claim into the work bucket first.
import * as z from "zod/mini";
import type { ObjectStore } from "./ports.ts";

/** Longer than the handlers that use it may take (shared/topology.ts): a call that claimed earlier and is not done died. */
const claimSeconds = 180;

const claim = z.strictObject({
  state: z.enum(["claimed", "released", "done"]),
  /** When. */
  at: z.iso.datetime(),
});
type Claim = z.infer<typeof claim>;

/**
 * Does `act`, unless it is done already or another call is doing it now.
 * @param key of the claim, in the work bucket
 * @returns what `act` returned; `done` where it had been done before; `claimed` where the caller has to check again later
 * @throws what `act` throws; the next call tries it again
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
    // Where this fails too, the claim ends after 180 seconds.
    await work.put(key, mine("released"), "application/json").catch(() => {});
    throw error;
  }
}

async function take(key: string, work: ObjectStore, now: Date): Promise<"taken" | "done" | "claimed"> {
  const mine: Claim = { state: "claimed", at: now.toISOString() };
  if (await work.putOnce(key, mine)) return "taken";
  // In this order, so that the ETag is not newer than what was read.
  const there = await work.head(key);
  const found = await work.getJson(key, claim);
  if (!there || !found) return "claimed";
  if (found.state === "done") return "done";
  const ageSeconds = (now.getTime() - Date.parse(found.at)) / 1000;
  if (found.state === "claimed" && ageSeconds < claimSeconds) return "claimed";
  return (await work.replaceJson(key, mine, there.etag)) ? "taken" : "claimed";
}
