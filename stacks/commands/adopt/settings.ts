// Collects the settings of an entry that LibInsight does not know: from the command line, from a person, or by a guess.
import { InvalidArgumentError } from "@commander-js/extra-typings";
import { dataset } from "../../../shared/dataset-schema.ts";
import { datasets, defaultDataset } from "../../../shared/datasets.ts";
import { checked, UsageError, wholeNumber } from "../../cli.ts";
import type { Command } from "./adopt-args.ts";
import type { Guesses, Settings } from "./entry.ts";

export type GivenSettings = { settings: Omit<Settings, "firstDate">; guesses: Guesses };

const maxTries = 3;
const names = datasets.map(({ name }) => name);

/** Parses the settings of flags and of answers. They throw InvalidArgumentError. */
export const parsers = {
  name(text: string): string {
    if (names.includes(text)) throw new InvalidArgumentError("Another dataset has this name.");
    return checked(dataset.shape.name)(text);
  },
  timeZone: checked(dataset.shape.timeZone),
  fiscalYearStart: wholeNumber(1, 12),
};

/** @param ask returns a person's answer; undefined if no one can answer @throws UsageError */
export async function settingsOf(
  { datasetId, kind = "records", shared, requestId, ...given }: Command,
  ask?: (question: string) => Promise<string>,
): Promise<GivenSettings> {
  const guesses: Guesses = {};
  const { timeZone, fiscalYearStart } = defaultDataset;
  const base = `dataset-${datasetId}`;
  const usual = { name: names.includes(base) ? `${base}-${kind}` : base, timeZone, fiscalYearStart };
  const questions = {
    name: "Name of the dataset in commands and files",
    timeZone: "Time zone of the library",
    fiscalYearStart: "First month of the fiscal year, 1 to 12",
  };

  async function settingOf<S extends keyof typeof parsers>(
    setting: S,
    parse: (text: string) => (typeof usual)[S],
  ): Promise<(typeof usual)[S]> {
    for (let tries = 1; ask && tries <= maxTries; tries++) {
      const answer = await ask(`${questions[setting]} [${usual[setting]}]: `);
      try {
        return answer === "" ? usual[setting] : parse(answer);
      } catch (error) {
        if (!(error instanceof InvalidArgumentError)) throw error;
        if (tries === maxTries) throw new UsageError(error.message);
        process.stderr.write(`${error.message}\n`);
      }
    }
    if (setting !== "name") guesses[setting] = `that of ${defaultDataset.name}`;
    return usual[setting];
  }

  const settings = {
    kind,
    libinsightId: datasetId,
    shared,
    requestId,
    name: given.name ?? (await settingOf("name", parsers.name)),
    timeZone: given.timeZone ?? (await settingOf("timeZone", parsers.timeZone)),
    fiscalYearStart: given.fiscalYearStart ?? (await settingOf("fiscalYearStart", parsers.fiscalYearStart)),
  };
  return { settings, guesses };
}
