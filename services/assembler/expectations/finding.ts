// What the check of an expectation gets and returns.
import type { Dataset } from "../../../shared/dataset-schema.ts";
import type { Nouns } from "../../../shared/kinds/kind.ts";
import { type Profile, quantityProfile } from "../../../shared/profile.ts";
import type { ExpectationOutcome, RunResult } from "../../../shared/run.ts";

/** Why there is nothing to compare with, in a sentence without the period. */
export type Missing = { missing: string };

export type Checked = {
  dataset: Pick<Dataset, "terms" | "fiscalYearStart">;
  /** The run's. Its `to` is the day by which ages are counted. */
  profile: Profile;
  /** That of the publication that the run replaces. */
  previous: Profile | Missing;
  windows: RunResult["windows"];
  /** What people call the rows. Default: records. */
  nouns?: Pick<Nouns, "row" | "amount">;
};

/** Returns the profile of what people count, which is the dataset's quantity if it has one, and its noun. */
export function countedBy({ profile, nouns }: Checked): { profile: Profile; noun: string } {
  const amounts = quantityProfile(profile);
  return amounts ? { profile: amounts, noun: nouns?.amount ?? "unit" } : { profile, noun: "row" };
}

export type Finding = Pick<ExpectationOutcome, "title" | "found" | "limit"> & {
  /** Why the expectation is not met, in a sentence without the period. Undefined if it is met or unknown. */
  unmet?: string | undefined;
  unknown?: string | undefined;
};

/** A message stays short even if everything changed. */
const maxListed = 5;

/** Returns up to five texts, and the number of further ones. */
export function listed(texts: readonly string[]): string {
  const more = texts.length - maxListed;
  return texts.slice(0, maxListed).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** Returns a name in quotation marks, shortened to 60 characters. */
export function quoted(name: string): string {
  return `"${name.length > 60 ? `${name.slice(0, 59)}…` : name}"`;
}

/** Returns, for example, "41.3%". */
export function percentText(share: number): string {
  return `${Math.round(share * 1_000) / 10}%`;
}
