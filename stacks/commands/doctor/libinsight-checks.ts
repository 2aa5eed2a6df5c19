// Checks of LibInsight: its address and clock, the sign-in, and the fields on one page of each dataset.
import { isObject } from "../../../services/transformer/record.ts";
import { type Dataset, sourceNames } from "../../../shared/dataset-schema.ts";
import { addDays, yesterday } from "../../../shared/dates.ts";
import { httpClient } from "../../../shared/http.ts";
import { kinds } from "../../../shared/kinds/kinds.ts";
import { libInsightClient } from "../../../shared/libinsight/client.ts";
import { unreachableAdvice } from "../../../shared/libinsight/policy.ts";
import { count } from "../../../shared/quantity.ts";
import { type Check, type Finding, ok, skipped, warning } from "./check.ts";

export type LibInsightPlace = { baseUrl: string; clientId: string; clientSecret: string };

/** Shorter than a check's time limit, so that the error names LibInsight. */
const timeoutMs = 8_000;
/** AWS refuses requests whose time differs by more. */
const maxClockMinutes = 5;
const maxNames = 15;
/** Thirty years of records, or half a year of gate counts. */
const maxPeriods = 30;

export function libInsightChecks(
  place: LibInsightPlace,
  datasets: readonly Dataset[],
  now = () => new Date(),
): Check[] {
  const client = libInsightClient({ ...place, timeoutMs });
  const send = httpClient({ service: "LibInsight", baseUrl: place.baseUrl, advice: unreachableAdvice });
  const { host } = new URL(place.baseUrl);
  return [
    {
      name: "LibInsight address",
      async run() {
        // Without credentials. Any response proves that the host can be reached, and has its time.
        const { headers } = await send({ method: "GET", url: "/oauth/token" }, timeoutMs);
        const minutes = Math.round((now().getTime() - Date.parse(String(headers.date))) / 60_000);
        if (Number.isNaN(minutes)) return ok(`${host} responds, without a time.`);
        if (Math.abs(minutes) <= maxClockMinutes) return ok(`${host} responds, and its clock agrees.`);
        const saw = `${host} responds. This machine's clock differs by ${count(minutes)} minutes from its clock.`;
        return warning(saw, "Set this machine's clock: AWS refuses requests that are off by 5 minutes.");
      },
    },
    {
      name: "LibInsight sign-in",
      async run() {
        await client.signIn();
        return ok("LibInsight accepts the client ID and secret.");
      },
    },
    ...datasets.map((dataset) => ({
      name: `LibInsight dataset ${dataset.name}`,
      async run() {
        const isSignedIn = await client.signIn().then(
          () => true,
          () => false,
        );
        if (!isSignedIn) return skipped("The sign-in failed.");
        const last = yesterday(now(), dataset.timeZone);
        // The newest records have the form's present fields.
        const month = { from: addDays(last, -30), to: last };
        const { kind, libinsightId: datasetId, requestId, timeZone } = dataset;
        const { periods } = kinds[kind];
        const newestFirst = [month, { from: dataset.firstDate, to: last }].flatMap((range) =>
          periods(range).reverse(),
        );
        for (const { from, to } of newestFirst.slice(0, maxPeriods)) {
          const request = { kind, datasetId, requestId, timeZone, from, to };
          const { records, totals } = await client.fetchPage({ ...request, page: 1 });
          const saw = `Read ${count(records.length)} of ${count(totals.totalRecords)} records from ${from} to ${to}.`;
          if (records.length > 0) return checkFields(records, dataset, saw);
        }
        return warning(
          `There are no records from ${dataset.firstDate} to ${last}.`,
          "Check libinsightId, requestId and firstDate in shared/library.ts.",
        );
      },
    })),
  ];
}

/** @param saw the sentence on what was read */
export function checkFields(
  records: readonly unknown[],
  { columns, undeclared: policy }: Pick<Dataset, "columns" | "undeclared">,
  saw: string,
): Finding {
  const fields = new Set(records.filter(isObject).flatMap((record) => Object.keys(record)));
  const declared = new Set(columns.flatMap(sourceNames));
  const undeclared = [...fields].filter((field) => !declared.has(field));
  // A column has several labels if its field was renamed, and a join needs each of its fields.
  const missing = columns.flatMap((column) => {
    const labels = sourceNames(column);
    if ("join" in column) return labels.filter((label) => !fields.has(label));
    return labels.some((label) => fields.has(label)) ? [] : [column.name];
  });
  if (missing.length === 0 && undeclared.length === 0) return ok(`${saw} All fields are declared.`);
  const isRejecting =
    columns.some((column) => "required" in column && column.required && missing.includes(column.name)) ||
    (policy === "reject" && undeclared.length > 0);
  const sentences = [
    saw,
    missing.length > 0 && `No record has ${quoted(missing)}.`,
    undeclared.length > 0 && `Not declared: ${quoted(undeclared)} (undeclared: "${policy}").`,
    isRejecting && "Records would be rejected.",
  ];
  const fix =
    "Correct the entry in shared/library.ts: add a renamed field's new label to the column's labels, and declare a new field with its type, personal: true or drop: true.";
  return { state: isRejecting ? "problem" : "warning", saw: sentences.filter(Boolean).join(" "), fix };
}

function quoted(names: readonly string[]): string {
  const shown = names.slice(0, maxNames).map((name) => JSON.stringify(name.slice(0, 100)));
  const more = names.length - shown.length;
  return `${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
