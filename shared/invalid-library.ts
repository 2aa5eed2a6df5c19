// The error of invalid settings in `library.ts`: a sentence for each problem, which names the setting and the allowed
// values.
import type * as z from "zod/mini";

export type Issue = z.core.$ZodIssue;

/** Has no stack trace, because it would only point to the schema. */
export class InvalidLibrary extends Error {
  override readonly name = "InvalidLibrary";

  /** @param problems what to append to the file's name: where, a colon and what to do */
  constructor(problems: readonly string[]) {
    super(problems.map((problem) => `shared/library.ts${problem}.`).join("\n"));
    this.stack = this.message;
  }
}

/** Returns an invalid value with a space before it, or nothing if the value is a list or an object. */
export function shownInput({ input }: Issue): string {
  const isShown = ["string", "number", "boolean"].includes(typeof input);
  return isShown ? ` ${JSON.stringify(input).slice(0, 80)}` : "";
}

/** Returns what to do about an issue, in the imperative. */
export function adviceOf(issue: Issue): string {
  switch (issue.code) {
    case "invalid_value":
      return `use ${alternatives(issue.values.map(String))}`;
    case "invalid_type":
      return issue.expected === "int" ? "use a whole number" : `use a value of type ${issue.expected}`;
    case "too_small":
      return sizeAdvice(issue.inclusive ? "at least" : "more than", issue.minimum, issue.origin);
    case "too_big":
      return sizeAdvice("at most", issue.maximum, issue.origin);
    case "unrecognized_keys":
      return `remove the unknown setting ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}`;
    default:
      return issue.message;
  }
}

export function alternatives(values: readonly string[]): string {
  const [last = "", ...others] = values.toReversed();
  return others.length > 0 ? `${others.toReversed().join(", ")} or ${last}` : last;
}

/** @param origin zod's type of the value that is too small or too large */
function sizeAdvice(bound: string, limit: number | bigint, origin: string): string {
  if (origin === "array") return `list ${bound} ${limit}`;
  const unit = limit === 1 ? " character" : " characters";
  return `use ${bound} ${limit}${origin === "string" ? unit : ""}`;
}
