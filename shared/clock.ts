// This machine's clock, and the wait before a retry. The wait doubles each time, with jitter, so that many callers do
// not retry at once.
import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "./ports.ts";

export type Sleep = Clock["sleep"];
export const realSleep: Sleep = async (ms) => delay(ms);
export const realClock: Clock = { now: Date.now, sleep: realSleep };

const baseMs = 250;

/**
 * Returns the milliseconds to wait after a failed attempt: 50 to 100 percent of 250 x 2^(attempt - 1).
 * @param attempt from 1
 * @param random returns 0 to 1
 */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  return baseMs * 2 ** (attempt - 1) * (0.5 + random() / 2);
}
