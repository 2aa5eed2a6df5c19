// `npm run stats`: fills the worksheet of an annual survey from the published file of the selected stage, or of npm start.
import { knownNames } from "../../services/athena/names.ts";
import { fiscalYearOf, yesterday } from "../../shared/dates.ts";
import { PipelineError } from "../../shared/errors.ts";
import { type Count, worksheetOf } from "../../shared/statistics/worksheet.ts";
import { runCommandLine, warnOfNpmBanner, writeOut } from "../cli.ts";
import { PublishedRows, replacedMeanwhile } from "./stats/published-rows.ts";
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
  const years = await rows.years();
  const complete = fiscalYearOf(yesterday(target.now(), dataset.timeZone), dataset.fiscalYearStart) - 1;
  const recorded = years.filter((year) => year.fiscalYear !== null);
  const latest = recorded.findLast((year) => Number(year.fiscalYear) <= complete)?.fiscalYear;
  const year = fiscalYear ?? latest ?? complete;
  const counts = await rows.counts(year);
  const rowsOfYear = years.find((found) => found.fiscalYear === year)?.rows ?? 0;
  if (counts.reduce((sum, count) => sum + count.rows, 0) !== rowsOfYear) throw replacedMeanwhile(dataset);
  const others = years.filter((found) => found.fiscalYear !== year);
  const worksheet = worksheetOf({
    survey,
    dataset,
    counts: [...counts, ...others.map((other): Count => ({ ...other, questionType: null, mode: null }))],
    fiscalYear: year,
    recorded: { from: recorded[0]?.from ?? "", to: recorded.at(-1)?.to ?? "" },
  });
  if (ids !== undefined) {
    const { lines, excluded, unanswered } = worksheet;
    const { tally, questionTypes } = [
      ...lines,
      {
        name: "excluded",
        tally: excluded.tally,
        questionTypes: excluded.questionTypes.map(({ name }) => name),
      },
      { name: "unanswered", tally: unanswered, questionTypes: "none" as const },
    ].find(({ name }) => name === ids) ?? { tally: unanswered, questionTypes: "none" };
    const found = await rows.ids(year, questionTypes, tally.rows);
    return found.map((id) => `${id}\n`).join("");
  }
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
