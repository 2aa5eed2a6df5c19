// Identifies versions of a dataset's entry that turn the same records into the same rows.
import { createHash } from "node:crypto";
import { type Dataset, sourceNames } from "./dataset-schema.ts";

/** Raise this when the transformer's rules change, so that no file mixes rows of both versions. */
const rulesVersion = 1;

/**
 * Returns 16 hexadecimal digits that change with every setting that affects the rows: what is fetched, and what is done
 * with each field. Descriptions, limits, publication keys and the settings of the de-identified file do not change it.
 */
export function fingerprintOf({ libinsightId, requestId, columns, undeclared }: Dataset): string {
  const rules = columns.map((column) => {
    if (!("drop" in column)) {
      const { meaning: _meaning, personal: _personal, privacy: _privacy, ...others } = column;
      const { generalise: _generalise, after: _after, ...rule } = others;
      return rule;
    }
    return { drop: sourceNames(column) };
  });
  const made = JSON.stringify([rulesVersion, libinsightId, requestId, rules, undeclared]);
  return createHash("sha256").update(made).digest("hex").slice(0, 16);
}
