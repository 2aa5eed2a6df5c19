// How analysts connect to a dataset of production, for the data dictionary. Every value comes from shared/library.ts.
import { type Dataset, viewNames } from "../../../shared/dataset-schema.ts";
import { keys } from "../../../shared/keys.ts";
import type { Library } from "../../../shared/library-schema.ts";
import { entryFor } from "../../../shared/privacy/deidentified.ts";

const days: Readonly<Record<string, string>> = {
  SUN: "Sunday",
  MON: "Monday",
  TUE: "Tuesday",
  WED: "Wednesday",
  THU: "Thursday",
  FRI: "Friday",
  SAT: "Saturday",
};

/** Returns each setting with its value for the stage's audience, as Markdown. */
export function connectionRows(dataset: Dataset, { region, production }: Library): [string, string][] {
  const { audience, buckets } = production;
  const { results } = buckets;
  const inResults = (key: string) => (results ? `\`s3://${results}/${key}\`` : "As printed by the deploy");
  const month = new Intl.DateTimeFormat("en-US", { month: "long", timeZone: "UTC" });
  return [
    ["Data source file", `\`${dataset.name}.tds\``],
    ["Server, port", `\`athena.${region}.amazonaws.com\`, \`443\``],
    ["S3 Staging Directory", inResults(keys.analystsResults[audience])],
    ["Catalog", "`AwsDataCatalog`"],
    ["Database", `\`${production.athenaDatabase}\``],
    ["Table", `\`${viewNames(entryFor(audience, dataset).publish.table).analysis}\``],
    ["Latest report", inResults(keys.latestReport(dataset.name))],
    ["First day", dataset.firstDate],
    ["Collected", scheduleText(dataset)],
    ["Fiscal year", `From ${month.format(new Date(Date.UTC(2000, dataset.fiscalYearStart - 1)))}`],
  ];
}

/** Returns "Every Monday at 6:00, America/New_York", or the cron expression if it is less simple. */
function scheduleText({ schedule, timeZone }: Pick<Dataset, "schedule" | "timeZone">): string {
  const [, minute = "", hour, day = ""] = /^cron\((\d+) (\d+) \? \* ([A-Z]{3}) \*\)$/.exec(schedule) ?? [];
  const when = days[day] ? `Every ${days[day]} at ${hour}:${minute.padStart(2, "0")}` : `\`${schedule}\``;
  return `${when}, ${timeZone}`;
}
