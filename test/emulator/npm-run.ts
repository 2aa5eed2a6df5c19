// Runs the operators' commands on the emulated stage.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { expect } from "vitest";
import { type Stage, shellEnvironment } from "./emulated-stage.ts";

/**
 * Runs a command as `npx sst shell --stage ada -- npm run NAME -- ARGS` does, and expects that it succeeds.
 * @param environment more variables, such as other credentials
 */
export async function npmRun(
  stage: Stage,
  args: readonly string[],
  environment: Record<string, string> = {},
): Promise<string> {
  const { PATH, HOME, NODE_OPTIONS } = process.env;
  const child = spawn("npm", ["run", "--silent", ...args], {
    // NODE_OPTIONS selects the tests' library.
    env: { PATH, HOME, NODE_OPTIONS, ...shellEnvironment(stage), ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}
