// The names file of a dataset: the names that redaction finds in addition to those in the dataset's columns.
import { PipelineError } from "../errors.ts";
import { keys } from "../keys.ts";
import type { ObjectStore } from "../ports.ts";

const maxNames = 20_000;
export const maxNamesBytes = 1_000_000;

/**
 * Returns the names of a text with one name on each line.
 * @throws PipelineError `NamesInvalid`, without a name
 */
export function namesIn(text: string): string[] {
  const lines = text.split(/\r\n|\r|\n/).map((line) => line.trim());
  const names = [...new Set(lines.filter((line) => line !== ""))];
  const problem =
    Buffer.byteLength(text) > maxNamesBytes || names.length > maxNames
      ? "is too large"
      : names.length === 0
        ? "has no names"
        : undefined;
  if (problem === undefined) return names;
  throw new PipelineError("NamesInvalid", {
    message: `The names file ${problem}.`,
    advice: `Use a text file with one name on each line, at most ${maxNames} names and ${maxNamesBytes / 1_000_000} MB.`,
  });
}

/** Replaces the dataset's names file. */
export async function storeNames(
  dataset: string,
  names: readonly string[],
  work: Pick<ObjectStore, "put">,
): Promise<void> {
  await work.put(keys.namesFile(dataset), `${names.join("\n")}\n`, "text/plain; charset=utf-8");
}

/** Returns the names of the dataset's names file, or none if it has no file. @throws PipelineError `NamesInvalid` */
export async function readNames(dataset: string, work: Pick<ObjectStore, "getText">): Promise<string[]> {
  const text = await work.getText(keys.namesFile(dataset));
  return text === undefined ? [] : namesIn(text);
}
