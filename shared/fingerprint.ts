// Tells whether two versions of a dataset's entry make the same rows of the same records.
import { createHash } from "node:crypto";
import { type Dataset, sourceNames } from "./dataset-schema.ts";

/** Raise it when the transformer's rules change, so that no file mixes rows of two rules. */
const rulesVersion = 1;

/**
 * Returns 16 hexadecimal digits that change with every setting by which the rows of a file differ: what is fetched, and
 * what becomes of each field. Descriptions, limits and places of publication do not change it.
 */
export function fingerprintOf({ libinsightId, requestId, columns, undeclared }: Dataset): string {
  const rules = columns.map((column) => {
    if (!("drop" in column)) {
      const { meaning: _meaning, personal: _personal, ...rule } = column;
      return rule;
    }
    return { drop: sourceNames(column) };
  });
  const made = JSON.stringify([rulesVersion, libinsightId, requestId, rules, undeclared]);
  return createHash("sha256").update(made).digest("hex").slice(0, 16);
}
