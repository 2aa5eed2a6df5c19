// `npm run privacy -- names`: stores the names that redaction finds in a dataset.
import { createReadStream } from "node:fs";
import { text } from "node:stream/consumers";
import { PipelineError } from "../../../shared/errors.ts";
import { maxNamesBytes, namesIn, storeNames } from "../../../shared/privacy/names-file.ts";
import { quantity } from "../../../shared/quantity.ts";
import type { Target } from "../target.ts";
import { json } from "../text-table.ts";
import type { NamesCommand } from "./privacy-args.ts";

/** Returns what goes to stdout. @throws PipelineError `FileUnreadable`, `NamesInvalid` */
export async function storeNamesFile(
  { file, dataset, json: asJson }: NamesCommand & { json: boolean },
  target: Pick<Target, "work">,
): Promise<string> {
  const names = namesIn(await textOf(file));
  await storeNames(dataset.name, names, target.work());
  return asJson
    ? json({ dataset: dataset.name, names: names.length })
    : `Stored ${quantity(names.length, "name")} for ${dataset.name}. The next publication redacts them.\n`;
}

async function textOf(file: string): Promise<string> {
  try {
    // One byte more, with which a larger file is refused.
    return await text(createReadStream(file, { end: maxNamesBytes }));
  } catch (cause) {
    throw new PipelineError("FileUnreadable", {
      message: `The file "${file}" cannot be read.`,
      advice: "Check its path and permissions.",
      cause,
    });
  }
}
