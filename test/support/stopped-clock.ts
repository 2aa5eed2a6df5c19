// A clock that moves only when code sleeps, so that waits of minutes end at once.

export type StoppedClock = {
  now(): number;
  sleep(ms: number): Promise<void>;
  /** The sleeps, in milliseconds. */
  slept: number[];
};

/** Returns a clock that starts at 1,000,000. */
export function stoppedClock(): StoppedClock {
  const slept: number[] = [];
  return {
    slept,
    now: () => slept.reduce((sum, ms) => sum + ms, 1_000_000),
    sleep: async (ms) => {
      slept.push(ms);
    },
  };
}
