// The expectations of the dataset and their outcome, unmet ones first.

import { quantity } from "../../shared/quantity.ts";
import type { ExpectationOutcome } from "../../shared/run.ts";
import { type Html, html } from "./html.ts";
import { type IconName, icon } from "./icons.ts";
import { withoutSmall } from "./small-counts.ts";

const order = { unmet: 0, unknown: 1, met: 2 };

/** "9 of 12 expectations are met; 1 cannot be judged yet" */
export function expectationsSummary(expectations: readonly ExpectationOutcome[]): string {
  const [met, unknown] = (["met", "unknown"] as const).map(
    (state) => expectations.filter((expectation) => expectation.state === state).length,
  );
  const all = expectations.length;
  const words =
    met === all ? `All ${quantity(all, "expectation")}` : `${met} of ${quantity(all, "expectation")}`;
  return `${words} are met${unknown === 0 ? "" : `; ${unknown} cannot be judged yet`}`;
}

export function expectationsTable(expectations: readonly ExpectationOutcome[]): Html {
  const sorted = [...expectations].sort(
    (a, b) =>
      order[a.state] - order[b.state] || (a.state === "unmet" ? Number(b.holds) - Number(a.holds) : 0),
  );
  return html`<table class="expectations"><caption class="hidden">Expectations</caption>
<thead><tr><th scope="col">Expectation</th><th scope="col">Found</th><th scope="col">Limit</th></tr></thead>
<tbody>${sorted.map(({ title, state, holds, found, limit, text }) => {
    const detail = [...(state === "unknown" ? [text] : []), ...(holds ? ["holds the run"] : [])].join("; ");
    return html`<tr class="${state}"><th scope="row">${icon(iconOf(state, holds), true)}<span>${title}${detail !== "" && html` <small>${detail}</small>`}</span></th><td>${unbroken(found)}</td><td>${unbroken(limit)}</td></tr>`;
  })}</tbody></table>`;
}

function iconOf(state: ExpectationOutcome["state"], holds: boolean): IconName {
  if (state === "unmet") return holds ? "held" : "warning";
  return state === "met" ? "met" : "unknown";
}

/** Keeps a short text such as "5 days" on one line. */
function unbroken(text: string): string {
  const shown = withoutSmall(text);
  return shown.length > 16 ? shown : shown.replaceAll(" ", "\u00a0");
}
