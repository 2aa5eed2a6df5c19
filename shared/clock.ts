// This machine's clock, and how long to wait before a call is repeated: twice as long each time, with jitter, so that many
// callers do not return together.
import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "./ports.ts";

export type Sleep = Clock["sleep"];
export const realSleep: Sleep = async (ms) => delay(ms);
export const realClock: Clock = { now: Date.now, sleep: realSleep };

const baseMs = 250;

/**
 * Returns the wait after the n-th failed attempt, n from 1, in milliseconds: between half and all of 250 x 2^(n-1).
 * @param random 0 to 1
 */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  return baseMs * 2 ** (attempt - 1) * (0.5 + random() / 2);
}
