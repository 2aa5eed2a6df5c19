// What the de-identified file has of each column, in words, for the data dictionary. Pure functions.
import type { Column } from "../../../shared/dataset-schema.ts";
import { type Generalise, otherGroup, privacyOf } from "../../../shared/privacy/settings.ts";

/** Returns, for example, "A pseudonym, the same for the same value; left out after 12 months". */
export function ruleText(column: Exclude<Column, { drop: true }>): string {
  const { generalise, after } = column;
  const textOf = (action: keyof typeof texts): string =>
    action === "generalise" && generalise ? generalizedText(generalise) : texts[action];
  const rule = textOf(privacyOf(column));
  return after ? `${rule}. After ${after.months} months: ${textOf(after.then)}` : rule;
}

const texts = {
  keep: "As in the full file",
  drop: "Left out",
  hash: "A pseudonym, the same for the same value",
  generalise: "A coarser value",
  redact: "Text without e-mail addresses, phone numbers, ids, URLs and known names",
};

function generalizedText(generalise: Generalise): string {
  if (typeof generalise === "string") return `The first day of its ${generalise}`;
  if ("bands" in generalise) return `The lower bound of its band: ${generalise.bands.join(", ")}`;
  return `Its group: ${[...Object.keys(generalise.groups), otherGroup].join(", ")}`;
}
