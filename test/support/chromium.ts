// A headless Chromium of this machine, for the tests and pictures of the report.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const names = ["chromium", "chromium-browser", "google-chrome"];

/** Returns the path in CHROMIUM or of a Chromium in PATH; undefined if there is none. */
export function chromiumPath(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const found = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  return process.env.CHROMIUM ?? found.find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Text without colored edges is smaller in pictures. */
const args = ["--disable-lcd-text"];

/** Root may not use Chromium's sandbox. The pages are only those of the tests. */
export function launchChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: process.getuid?.() === 0 ? [...args, "--no-sandbox"] : args,
    timeout: 30_000,
  });
}
