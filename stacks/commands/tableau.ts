// `npm run tableau`: writes the files with which an analyst opens a dataset's analysis view in Tableau.

import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { library } from "#library";
import { settings } from "../../shared/aws/config.ts";
import { viewNames } from "../../shared/dataset-schema.ts";
import { keys } from "../../shared/keys.ts";
import { type Audience, entryFor } from "../../shared/privacy/deidentified.ts";
import { runCommandLine, UsageError, writeOut } from "../cli.ts";
import { analystsName, stageSettings } from "../stage.ts";
import { type AthenaPlace, datasourceOf, driverProperties, fieldsOf } from "./tableau/datasource.ts";
import { type Command, line } from "./tableau/tableau-args.ts";
import { isOnStage, stageNames } from "./target.ts";
import { plain } from "./text-table.ts";

async function run({ dataset: chosen, out, given }: Command): Promise<string> {
  const audience = isOnStage() ? settings.audience() : library.production.audience;
  const dataset = entryFor(audience, chosen);
  const place = isOnStage() ? { ...stagePlace(audience), ...given } : productionPlace(audience, given);
  const properties = join(dirname(out), "athena.properties");
  await writeOut(out, datasourceOf(dataset, place, await stageNames(dataset)));
  const isDriverSet = await writeUnlessOther(properties, driverProperties(place));
  const assumed = isOnStage() ? [] : Object.keys(place).filter((flag) => !(flag in given));
  return [
    `Wrote ${out}: ${viewNames(dataset.publish.table).analysis}, ${fieldsOf(dataset).length} columns.`,
    isDriverSet
      ? `Wrote ${properties}: the workgroup, for Tableau's driver.`
      : `Kept ${properties}, which has other settings. Add this line to it: ${driverProperties(place).trim()}`,
    "",
    ...Object.entries(place).map(([name, value]) => `  ${name.padEnd(10)}${value}`),
    "",
    ...(assumed.length > 0
      ? [`No stage is selected, so these values are production's: ${assumed.join(", ")}. See --help.`]
      : []),
    "Give both files and docs/analysts.md to the analysts. The files hold no credentials.",
    "",
  ]
    .map(plain)
    .join("\n");
}

/** Writes a file that does not exist yet. @returns whether the file has this content now */
async function writeUnlessOther(file: string, content: string): Promise<boolean> {
  try {
    await writeFile(file, content, { flag: "wx" });
    return true;
  } catch {
    return (await readFile(file, "utf8").catch(() => undefined)) === content;
  }
}

function stagePlace(audience: Audience): AthenaPlace {
  return {
    region: settings.athenaRegion(),
    database: settings.athenaDatabase(),
    workgroup: settings.analystsWorkgroup(audience),
    staging: `s3://${settings.resultsBucket()}/${keys.analystsResults[audience]}`,
  };
}

/** @throws UsageError if production's results bucket gets its name at the first deploy and --staging is missing */
function productionPlace(audience: Audience, given: Partial<AthenaPlace>): AthenaPlace {
  const { athenaDatabase, existingBuckets } = stageSettings("production", {});
  const staging =
    given.staging ??
    (existingBuckets.results && `s3://${existingBuckets.results}/${keys.analystsResults[audience]}`);
  if (!staging)
    throw new UsageError(
      "The name of production's results bucket is not in shared/library.ts. Add --staging, or select a stage with sst shell.",
    );
  return {
    region: library.region,
    database: athenaDatabase,
    workgroup: analystsName("production", audience),
    ...given,
    staging,
  };
}

await runCommandLine(line, run);
