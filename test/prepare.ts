// Prepares SST's platform before the first test, so that `npx vitest run --config test/vitest.config.ts FILE` works after
// `npm ci` alone. It returns at once if the platform is prepared.
import { spawnSync } from "node:child_process";

export default function prepare(): void {
  const { status } = spawnSync(process.execPath, ["stacks/platform.mjs"], { stdio: ["ignore", 2, 2] });
  if (status !== 0)
    throw new Error("SST's platform could not be prepared. Fix the cause above and run again.");
}
