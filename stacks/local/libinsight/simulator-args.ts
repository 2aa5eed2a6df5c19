// Parses the command line of `npm run libinsight`.
import { readFileSync } from "node:fs";
import { InvalidArgumentError, Option } from "@commander-js/extra-typings";
import * as z from "zod/mini";
import { defaultDataset } from "../../../shared/datasets.ts";
import { kindName } from "../../../shared/kinds/kinds.ts";
import { checked, commandLine, number, repeated } from "../../cli.ts";
import { renamesOf } from "../start-args.ts";
import { fault } from "./faults.ts";
import { renameOf } from "./renames.ts";
import { formField, type LibInsightSettings, settings } from "./simulator-settings.ts";

const defaults = settings.parse({});
const { shape } = settings;

export const line = commandLine<LibInsightSettings>("npm run libinsight --", (program, accept) =>
  program
    .description(
      "Run a simulated LibInsight on 127.0.0.1 until Ctrl-C, with the fields of the first dataset of its kind.",
    )
    .option("--port <n>", "Listen on this port (default: a free one)", number(shape.port))
    .option("--seed <n>", "Generate the records from this seed", number(shape.seed), defaults.seed)
    .addOption(
      new Option("--kind <kind>", "Serve this kind (default: that of the first dataset)").choices(
        kindName.options,
      ),
    )
    .option("--records <n>", "Generate this many records", number(shape.records), defaults.records)
    .option("--latency <ms>", "Wait before each response", number(shape.latencyMs), defaults.latencyMs)
    .option("--page-size <n>", "Return this many records a page", number(shape.pageSize), defaults.pageSize)
    .option(
      "--token-seconds <n>",
      "Expire tokens after this time",
      number(shape.tokenSeconds),
      defaults.tokenSeconds,
    )
    .option("--dataset <number>", "Serve the dataset under this number", number(shape.datasetId))
    .addOption(
      new Option("--form <file>", "Serve the fields of this JSON file: [{ name, type, options, isMultiple }]")
        .argParser(formIn)
        .conflicts(["kind", "rename"]),
    )
    .option("--rename <field=label>", "Rename a field; repeatable", repeated(renameOf))
    .option(
      "--fault <fault>",
      "Inject a fault, kind[,name=value]...; repeatable",
      repeated(checked(fault, faultOf)),
    )
    .addHelpText("after", faultHelp)
    .action(({ latency, rename = [], fault, dataset: datasetId, form: fields, ...rest }) => {
      accept({
        ...rest,
        ...(datasetId !== undefined && { datasetId }),
        // Another library's site may require another request_id.
        ...(fields && { fields, requestId: null }),
        latencyMs: latency,
        renames: renamesOf(rename, defaultDataset),
        faults: fault,
      });
    }),
);

const faultHelp = `
Faults are used up in the order of their flags.
  kinds: status, rate-limited, html, broken-json, error-at-200, hang, reset,
         cut-body, unauthorized, too-few, too-many, repeated, other-total
  names: endpoint (token, data-grid, fields, overview, libraries,
         platforms), from, page, aggregate, times, status, retry-after

Examples:
  npm run libinsight -- --port 8080 --latency 200
  npm run libinsight -- --fault rate-limited,retry-after=2,page=3
  npm run libinsight -- --kind gate-count --fault other-total,aggregate=daily`;

const parseForm = checked(z.array(formField).check(z.minLength(1)), (text): unknown => JSON.parse(text));

function formIn(file: string): LibInsightSettings["fields"] {
  try {
    return parseForm(readFileSync(file, "utf8"));
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw error;
    throw new InvalidArgumentError("It is no file with JSON.");
  }
}

const whereNames = ["endpoint", "from", "page", "aggregate"];

/** Parses `kind,name=value,...`. The schema refuses unknown names. */
function faultOf(text: string): Record<string, unknown> {
  const [kind, ...pairs] = text.split(",");
  const entries = pairs.map((pair): [string, unknown] => {
    const [name = "", value = ""] = pair.split("=", 2);
    return [name === "retry-after" ? "retryAfter" : name, /^\d+$/.test(value) ? Number(value) : value];
  });
  const where = Object.fromEntries(entries.filter(([name]) => whereNames.includes(name)));
  const rest = Object.fromEntries(entries.filter(([name]) => !whereNames.includes(name)));
  return { ...rest, kind, where };
}
