// Takes the pictures of the report in docs/report/, of invented records: node test/screenshots/run-screenshots.ts
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { renderReport } from "../../services/renderer/render.ts";
import { reportStates } from "../factories/library-history.ts";
import { chromiumPath, launchChromium } from "../support/chromium.ts";
import { indexedPng } from "./indexed-png.ts";

const folder = join(import.meta.dirname, "../../docs/report");
const pictures = [
  { state: "published", width: 1440, colorScheme: "light" },
  { state: "published", width: 1440, colorScheme: "dark" },
  { state: "published", width: 360, colorScheme: "light" },
  { state: "held", width: 1440, colorScheme: "light" },
] as const;

const executable = chromiumPath();
if (executable === undefined)
  throw new Error("No Chromium is in PATH. Install it, or set CHROMIUM to its path.");
await mkdir(folder, { recursive: true });
const states = reportStates();
const browser = await launchChromium(executable);
try {
  for (const { state, width, colorScheme } of pictures) {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    await page.setContent(renderReport(states[state]));
    const path = join(folder, `${state}-${width}-${colorScheme}.png`);
    await writeFile(path, await indexedPng(await page.screenshot({ fullPage: true }), browser));
    console.log(path);
    await page.close();
  }
} finally {
  await browser.close();
}
