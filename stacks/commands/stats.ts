// `npm run stats`: fills the worksheet of an annual survey from the published file of the selected stage, or of npm start.
import { knownNames } from "../../shared/column-names.ts";
import { PipelineError } from "../../shared/errors.ts";
import { runCommandLine, warnOfNpmBanner, writeOut } from "../cli.ts";
import { fillWorksheet, idsOf } from "./stats/fill-worksheet.ts";
import { PublishedRows } from "./stats/published-rows.ts";
import { type Command, line } from "./stats/stats-args.ts";
import { worksheetCsv, worksheetText } from "./stats/worksheet-text.ts";
import { openTarget, type Target } from "./target.ts";

/** Returns what goes to stdout. */
async function run(
  { survey, dataset, fiscalYear, format, out, ids }: Command,
  target: Target,
): Promise<string> {
  const { csv } = dataset.publish;
  if (!(await target.data().head(csv)))
    throw new PipelineError("NothingPublished", {
      message: "The dataset has no published file.",
      advice: `Run npm start, or select a stage: npx sst shell --stage STAGE -- npm run stats -- --survey ${survey.name}`,
      ids: { dataset: dataset.name },
    });
  const rows = new PublishedRows(dataset, target.engine(), await knownNames(dataset, target.results()));
  const worksheet = await fillWorksheet({ survey, dataset, fiscalYear }, rows, target.now());
  if (ids !== undefined) return (await idsOf(worksheet, ids, rows)).map((id) => `${id}\n`).join("");
  if (out !== undefined) await writeOut(out, worksheetCsv(worksheet));
  if (format === "csv") return worksheetCsv(worksheet);
  return `${worksheetText(worksheet)}${out === undefined ? "" : `\nWrote ${out}.\n`}`;
}

await runCommandLine(line, async (command) => {
  const isData = command.format === "csv" || command.ids !== undefined;
  if (isData) warnOfNpmBanner(command.ids === undefined ? "CSV" : "IDs");
  const target = await openTarget(false);
  try {
    const text = await run(command, target);
    if (!isData) return text;
    // Not through the formatting of sentences, which breaks long lines on a terminal.
    process.stdout.write(text);
    return "";
  } finally {
    await target.close();
  }
});
