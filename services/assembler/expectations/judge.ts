// Judges a run by the expectations of its dataset. Pure.
import type { Expectation } from "../../../shared/expectations.ts";
import type { ExpectationOutcome, Violation } from "../../../shared/run.ts";
import { answers, filled, range, rows, unique } from "./by-content.ts";
import { newest, silent, volume, windows } from "./by-season.ts";
import type { Checked, Finding } from "./finding.ts";

/** Returns an outcome for each expectation, in their order. */
export function judge(expectations: readonly Expectation[], checked: Checked): ExpectationOutcome[] {
  return expectations.map((expected) => {
    const { title, found, limit, unmet, unknown } = findingOf(expected, checked);
    const holds = expected.action === "hold";
    if (unmet !== undefined) return { title, state: "unmet", holds, found, limit, text: unmet };
    if (unknown !== undefined) return { title, state: "unknown", holds, found, limit, text: unknown };
    return { title, state: "met", holds, found, limit, text: "" };
  });
}

/** Returns a violation for each unmet expectation that holds the run. */
export function expectationViolations(outcomes: readonly ExpectationOutcome[]): Violation[] {
  return outcomes
    .filter(({ state, holds }) => state === "unmet" && holds)
    .map(({ text }) => ({ kind: "expectation", text }));
}

function findingOf(expected: Expectation, checked: Checked): Finding {
  switch (expected.kind) {
    case "newest":
      return newest(expected, checked);
    case "windows":
      return windows(expected, checked);
    case "filled":
      return filled(expected, checked);
    case "rows":
      return rows(expected, checked);
    case "answers":
      return answers(expected, checked);
    case "range":
      return range(expected, checked);
    case "unique":
      return unique(expected, checked);
    case "volume":
      return volume(expected, checked);
    case "silent":
      return silent(expected, checked);
  }
}
