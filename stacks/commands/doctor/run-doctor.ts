// Runs the checks of `npm run doctor` and prints a block for each, at most 80 columns wide.
import { runCommandLine, warnOfNpmBanner } from "../../cli.ts";
import { fitted, json, plain } from "../text-table.ts";
import type { Result } from "./check.ts";
import { line } from "./doctor-args.ts";
import { examine } from "./examine.ts";

const width = 80;

export async function runDoctor(): Promise<void> {
  await runCommandLine(line, async (command) => {
    if (command.json) warnOfNpmBanner();
    const checks = await examine(command.stage, process.env);
    if (checks.some(({ state }) => state === "problem")) process.exitCode = 1;
    return command.json ? json({ checks }) : reportText(checks);
  });
}

export function reportText(results: readonly Result[]): string {
  const lines = results.flatMap(({ name, state, saw, fix = "" }) => {
    const [sentence, ...command] = fix.split("\n");
    const advice = sentence ? [`  Fix: ${sentence}`, ...command.map((part) => `    ${part}`)] : [];
    return [`${state.padEnd("problem".length)}  ${name}`, `  ${saw}`, ...advice];
  });
  const counts = (["problem", "warning", "skipped", "ok"] as const).map(
    (state) => `${state} ${results.filter((result) => result.state === state).length}`,
  );
  return fitted(`${[...lines.map(plain), "", `${counts.join(", ")}.`].join("\n")}\n`, width);
}
