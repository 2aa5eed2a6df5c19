// `npm run adopt`: adds a LibInsight dataset to shared/library.ts, or shows what changed in the form of one that is there.
import { fileURLToPath } from "node:url";
import { type Dataset, defineDatasets } from "../../shared/dataset-schema.ts";
import { datasets } from "../../shared/datasets.ts";
import { addYears, yesterday } from "../../shared/dates.ts";
import { PipelineError } from "../../shared/errors.ts";
import { libInsightClient } from "../../shared/libinsight/client.ts";
import { quantity } from "../../shared/quantity.ts";
import { runCommandLine } from "../cli.ts";
import { libInsightIn, type Source } from "../local/collected-source.ts";
import { envFile, readEnvFile } from "../local/env-file.ts";
import { type Command, entryOf, line } from "./adopt/adopt-args.ts";
import { askForLibInsight } from "./adopt/credentials.ts";
import { draftOf, type Settings } from "./adopt/entry.ts";
import { entryText } from "./adopt/entry-text.ts";
import { firstRowsText } from "./adopt/first-rows.ts";
import { formOf } from "./adopt/form.ts";
import { formChanges } from "./adopt/form-changes.ts";
import { insertEntry } from "./adopt/insert-entry.ts";
import { readFields, readSample } from "./adopt/sample.ts";
import { settingsOf } from "./adopt/settings.ts";
import { ask, askSecretly, isConfirmed } from "./command-line.ts";
import { fitted } from "./text-table.ts";

const libraryFile = fileURLToPath(new URL("../../shared/library.ts", import.meta.url));
/** The indent of an entry in shared/library.ts. */
const usualIndent = "    ";

/** Returns what goes to stdout. */
async function adopt(command: Command): Promise<string> {
  const { datasetId, kind, print, yes } = command;
  const known = entryOf(datasetId, kind);
  const canAsk = process.stdin.isTTY && !yes;
  const real = await libInsight(canAsk);
  const { settings, guesses } = known
    ? { settings: known, guesses: {} }
    : await settingsOf(command, canAsk ? ask : undefined);
  const lastDay = yesterday(new Date(), settings.timeZone);
  const opened = await (real ? real.open() : simulated(settings, known));
  try {
    const onErrorText = (text: string) => note(`LibInsight says: ${text}`);
    const client = libInsightClient({ ...opened, onErrorText });
    const { requestId, timeZone, shared } = settings;
    const source = { kind: settings.kind, shared, datasetId, requestId, timeZone };
    note(`Source: ${real?.title ?? "the simulated LibInsight"}`);
    await client.signIn();
    const listed = settings.kind === "records" ? await readFields(client, source) : undefined;
    const { records, range, firstDate } = await readSample(client, source, lastDay).catch(explained);
    const what = real ? "record" : "simulated record";
    const seen = `${quantity(records.length, what)}${range ? ` of ${range.from} to ${range.to}` : ""}`;
    note(`Read ${listed ? `${quantity(listed.length, "field")} and ` : ""}${seen}.`);
    const form = settings.kind === "records" ? formOf(listed ?? [], records) : undefined;
    if (form?.length === 0) throw nothingFound(datasetId);
    if (known) return comparison(known, form, listed !== undefined);

    const draft = draftOf(
      { ...settings, firstDate: command.firstDate ?? firstDate ?? addYears(lastDay, -1) },
      form,
      datasets,
      command.firstDate === undefined
        ? { ...guesses, firstDate: firstDate ? "the day of the first record" : "a year ago" }
        : guesses,
      `Made by npm run adopt from ${seen}. Check what was guessed.`,
    );
    const [dataset] = defineDatasets([draft.entry]);
    if (print) return `${entryText(draft, usualIndent)}\n`;
    process.stdout.write(`\n${entryText(draft, usualIndent)}\n\n`);
    const width = Math.min(Math.max(process.stdout.columns || 100, 80), 120);
    process.stdout.write(`${firstRowsText(dataset, records, width)}\n\n`);
    if (!yes && !(await isConfirmed("Add this entry to shared/library.ts? [y/N] ")))
      return "Nothing was changed.\n";
    await insertEntry(libraryFile, (indent) => entryText(draft, indent));
    return `Added ${dataset.name} to shared/library.ts. Next:\n  npm start -- --dataset ${dataset.name}\n  npm run dictionary\n`;
  } finally {
    await opened.close();
  }
}

/** Writes to stderr, because stdout may be the entry alone. */
function note(text: string): void {
  process.stderr.write(`${fitted(text, process.stderr.columns)}\n`);
}

/** Returns the LibInsight of the environment or of a person's answers; undefined for the simulation. */
async function libInsight(canAsk: boolean): Promise<Source | undefined> {
  const found = libInsightIn(process.env, readEnvFile(process.env));
  if (found || !canAsk) return found;
  const stored = await askForLibInsight({ ask, askSecretly });
  if (!stored) return undefined;
  note(`LibInsight accepts them. They are in ${envFile}, which only you can read.`);
  return libInsightIn(stored);
}

async function simulated(settings: Omit<Settings, "firstDate">, known: Dataset | undefined) {
  const { startLibInsight } = await import("../local/libinsight.ts");
  const { formOf: simulatedForm } = await import("../local/libinsight/dataset-form.ts");
  const { kind, timeZone, libinsightId: datasetId, requestId = null } = settings;
  const form = known ? simulatedForm(known) : { kind, timeZone, datasetId, requestId };
  return startLibInsight({ ...form, lastDay: yesterday(new Date(), timeZone) });
}

/** The client's advice is about an entry that is there. */
function explained(error: unknown): never {
  if (!(error instanceof PipelineError && error.name === "LibInsightDatasetNotFound")) throw error;
  throw new PipelineError(error.name, {
    message: error.message,
    advice: "Check --dataset. For a dataset of another kind add --kind, for a shared one --shared.",
    ids: error.ids,
    cause: error,
  });
}

function nothingFound(datasetId: number): PipelineError {
  return new PipelineError("NothingToAdopt", {
    message: "LibInsight lists no fields of this dataset, and it has no records.",
    advice:
      "Check --dataset, and that the API application may read it. Enter a first record, and repeat the command.",
    ids: { "LibInsight dataset": datasetId },
  });
}

/** Returns the comparison of an entry with its form, and sets the exit code. */
function comparison(
  known: Dataset,
  form: ReturnType<typeof formOf> | undefined,
  isComplete: boolean,
): string {
  if (!form)
    return `${known.name} is in shared/library.ts. A dataset of the kind ${known.kind} has no form.\n`;
  const lines = formChanges(known, form, isComplete);
  if (lines.length === 0) return `${known.name} is in shared/library.ts. Its form has not changed.\n`;
  process.exitCode = 1;
  return [
    `${known.name} is in shared/library.ts, and its form has changed:`,
    "",
    ...lines,
    "",
    "Nothing was changed here. docs/datasets.md says how to update the entry.",
    "",
  ].join("\n");
}

await runCommandLine(line, adopt);
