// `npm run compare`: what differs between two CSV files of a dataset, such as the predecessor's file and this pipeline's.
import { runCommandLine, warnOfNpmBanner } from "../cli.ts";
import { line } from "./compare/compare-args.ts";
import { compareFiles } from "./compare/compare-files.ts";
import { comparisonText, isExplained } from "./compare/comparison-text.ts";
import { json } from "./text-table.ts";

await runCommandLine(line, async (command) => {
  if (command.json) warnOfNpmBanner();
  const comparison = await compareFiles(command.old, command.new);
  if (!isExplained(comparison)) process.exitCode = 1;
  return command.json ? json(comparison) : comparisonText(comparison);
});
