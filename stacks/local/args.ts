// The command line of `npm start`.
import { parseArgs } from "node:util";
import type { Dataset } from "../../shared/dataset.ts";
import { datasets, defaultDataset, findDataset } from "../../shared/datasets.ts";
import { yesterday } from "../../shared/dates.ts";
import { PipelineError } from "../../shared/errors.ts";
import { isoDate } from "../../shared/forms.ts";
import { type Rename, renameOf, renames } from "./libinsight/renames.ts";

export const usage = `npm start -- [--dataset NAME] [--from DATE] [--to DATE] [--out DIR]
             [--records N] [--latency MS] [--rename FIELD=LABEL]... [--faults SEED] [--json] [--quiet]

  --dataset NAME  one of: ${datasets.map(({ name }) => name).join(", ")}
                  (its number in LibInsight works too; default ${defaultDataset.name})
  --from DATE     first day, YYYY-MM-DD (default: the dataset's first date)
  --to DATE       last day (default: yesterday)
  --out DIR       where the files go (default .local/out)
  --records N     how many records the simulated LibInsight has (default 10300)
  --latency MS    how long it takes to answer (default 20)
  --rename FIELD=LABEL
                  let it tell a field under another label: --rename "mode=Mode of contact"
  --faults SEED   let it fail as on a bad day, show the dead letters and replay them
  --json          print run.json on stdout and nothing else
  --quiet         print nothing unless something goes wrong

Set LIBINSIGHT_BASE_URL, LIBINSIGHT_CLIENT_ID and LIBINSIGHT_CLIENT_SECRET to collect from your own LibInsight,
TABLEAU_URL, TABLEAU_SITE, TABLEAU_TOKEN_NAME and TABLEAU_TOKEN_SECRET to refresh your own Tableau afterwards.
`;

export type Command = {
  dataset: Dataset;
  from: string;
  to: string;
  /** Whether --from or --to was given. */
  datesGiven: boolean;
  out: string;
  simulation: { records: number; latencyMs: number; renames: Rename[]; faultSeed: number | undefined };
  /** Flags that only the simulation knows, as they were given. */
  simulationFlags: string[];
  json: boolean;
  quiet: boolean;
};

/** Wrong words on the command line: exit 2, with usage. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** @returns "help" where that was asked for. @throws UsageError with one sentence */
export function parseCommand(args: readonly string[], now: Date): Command | "help" {
  const values = read(args);
  if (values.help) return "help";
  const dataset = datasetNamed(values.dataset);
  const from = dateOf("--from", values.from) ?? dataset.firstDate;
  const to = dateOf("--to", values.to) ?? yesterday(now, dataset.timeZone);
  if (from > to) throw new UsageError(`--from ${from} is after --to ${to}; swap them.`);
  return {
    dataset,
    from,
    to,
    datesGiven: values.from !== undefined || values.to !== undefined,
    out: values.out ?? ".local/out",
    simulation: {
      records: wholeNumber("--records", values.records, 10_300, 2_000_000),
      latencyMs: wholeNumber("--latency", values.latency, 20, 60_000),
      renames: renamesOf(values.rename),
      faultSeed:
        values.faults === undefined ? undefined : wholeNumber("--faults", values.faults, 0, 999_999_999),
    },
    simulationFlags: (["records", "latency", "rename", "faults"] as const)
      .filter((flag) => values[flag] !== undefined)
      .map((flag) => `--${flag}`),
    json: values.json ?? false,
    quiet: values.quiet ?? false,
  };
}

function read(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        dataset: { type: "string" },
        from: { type: "string" },
        to: { type: "string" },
        out: { type: "string" },
        records: { type: "string" },
        latency: { type: "string" },
        rename: { type: "string", multiple: true },
        faults: { type: "string" },
        json: { type: "boolean" },
        quiet: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    // Node's message is a sentence, followed by advice that does not apply here.
    const [sentence = "The command line can't be read"] =
      error instanceof Error ? error.message.split(". ") : [];
    throw new UsageError(`${sentence.replace(/\.$/, "")}.`);
  }
}

function datasetNamed(name: string | undefined): Dataset {
  if (name === undefined) return defaultDataset;
  const byNumber = datasets.find(({ libinsightId }) => String(libinsightId) === name);
  if (byNumber) return byNumber;
  try {
    return findDataset(name);
  } catch (error) {
    throw error instanceof PipelineError ? new UsageError(`${error.message} ${error.advice}`) : error;
  }
}

function dateOf(flag: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const parsed = isoDate.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new UsageError(`${flag} ${text} can't be used: ${parsed.error.issues[0]?.message}.`);
}

function renamesOf(texts: readonly string[] = []): Rename[] {
  const parsed = renames.safeParse(texts.map(renameOf));
  if (parsed.success) return parsed.data;
  throw new UsageError(`--rename can't be used: ${parsed.error.issues[0]?.message}.`);
}

function wholeNumber(flag: string, text: string | undefined, otherwise: number, most: number): number {
  if (text === undefined) return otherwise;
  if (/^\d{1,9}$/.test(text) && Number(text) <= most) return Number(text);
  throw new UsageError(`${flag} ${text} can't be used: it takes a whole number from 0 to ${most}.`);
}
