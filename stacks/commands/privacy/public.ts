// `npm run privacy -- public`: counts the published file of a dataset, and writes the counts that may be published.
import { csvFieldText, csvLines, splitCsvRow } from "../../../shared/csv.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { PipelineError } from "../../../shared/errors.ts";
import { maxAnswers } from "../../../shared/profile.ts";
import { writeOut } from "../../cli.ts";
import { runIdIn } from "../runs/live.ts";
import type { Target } from "../target.ts";
import { json } from "../text-table.ts";
import type { PublicCommand } from "./privacy-args.ts";
import { byValue, type Dimension } from "./public/dimensions.ts";
import { disclosureReport, publicCsv, summaryOf, summaryText } from "./public/public-text.ts";
import { checkProtection, protect } from "./public/suppress.ts";
import { RecordCounter, type Table } from "./public/table.ts";

/**
 * Writes the file and, beside it, the disclosure report. Returns what goes to stdout.
 * @throws PipelineError `NothingPublished`, `ColumnNotPublished`, `NoClosedField`, `NothingToPublish`, and those of the table
 */
export async function writePublicFile(
  { dataset, dimensions, k, out, json: asJson }: PublicCommand & { json: boolean },
  target: Pick<Target, "data" | "now">,
): Promise<string> {
  const { csv } = dataset.publish;
  const run = runIdIn(await target.data().head(csv));
  if (run === undefined)
    throw new PipelineError("NothingPublished", {
      message: "The dataset has no file that a run published.",
      advice: "Run npm start, or select a stage: npx sst shell --stage STAGE -- npm run privacy -- ...",
      ids: { dataset: dataset.name },
    });
  const table = await tableOf(dimensions, await target.data().stream(csv), dataset);
  const protection = protect(table, k);
  checkProtection(table, k, protection);
  const summary = summaryOf(table, protection, { dataset: dataset.name, run, k });
  if (summary.published === 0)
    throw new PipelineError("NothingToPublish", {
      message: "Every count would be suppressed.",
      advice: "Use fewer --dimensions or a smaller --k.",
      ids: { dataset: dataset.name },
    });
  const report = `${out.replace(/\.csv$/i, "")}-report.md`;
  await writeOut(out, publicCsv(table, protection));
  await writeOut(report, disclosureReport(out, summary, target.now()));
  const { primary } = protection;
  if (asJson)
    return json({ ...summary, primary, complementary: summary.suppressed - primary, files: [out, report] });
  return `${summaryText(summary, primary)}Wrote ${out} and ${report}.\n`;
}

/** @param file the published CSV, in which each row is one line */
async function tableOf(
  dimensions: readonly Dimension[],
  file: AsyncIterable<Uint8Array>,
  dataset: Dataset,
): Promise<Table> {
  const counter = new RecordCounter(dimensions.map(({ name }) => name));
  let places: number[] | undefined;
  for await (const lines of csvLines(file)) {
    places ??= placesIn(lines.shift() ?? "", dimensions, dataset);
    for (const line of lines) {
      const fields = splitCsvRow(line);
      const found = places.map((place) => csvFieldText(fields[place] ?? ""));
      counter.add(dimensions.map(({ read }, index) => read(found[index] ?? "")));
    }
  }
  const table = counter.table(byValue);
  const open = dimensions.find(
    ({ isDate }, index) => !isDate && (table.values[index]?.length ?? 0) > maxAnswers + 1,
  );
  if (open)
    throw new PipelineError("NoClosedField", {
      message: `The column "${open.header}" has more than ${maxAnswers} different answers, which may be free text.`,
      advice: "Count by other columns.",
      ids: { dataset: dataset.name },
    });
  return table;
}

/** Returns the place of each dimension's column. @param line the header of the file */
function placesIn(line: string, dimensions: readonly Dimension[], { name }: Dataset): number[] {
  const headers = splitCsvRow(line).map(csvFieldText);
  const places = dimensions.map(({ header }) => headers.indexOf(header));
  const missing = dimensions[places.indexOf(-1)];
  if (!missing) return places;
  throw new PipelineError("ColumnNotPublished", {
    message: `The published file has no column "${missing.header}".`,
    advice: "Request a run, which publishes the columns of shared/library.ts.",
    ids: { dataset: name },
  });
}
