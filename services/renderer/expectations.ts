// The expectations of the dataset and their outcome, unmet ones first.
import { type Html, html } from "./html.ts";
import { type IconName, icon } from "./icons.ts";

/** As `result.expectations` has them. */
export type Expectation = {
  title: string;
  state: "met" | "unmet" | "unknown";
  /** Whether the run is held if it is not met. */
  holds: boolean;
  found: string;
  limit: string;
  /** A sentence without its period, if it is unmet or unknown. */
  text: string;
};

const order = { unmet: 0, unknown: 1, met: 2 };

export function expectationsFinding(expectations: readonly Expectation[]): string {
  const met = expectations.filter(({ state }) => state === "met").length;
  return met === expectations.length ? `All ${met} are met.` : `${met} of ${expectations.length} are met.`;
}

export function expectationsTable(expectations: readonly Expectation[]): Html {
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

function iconOf(state: Expectation["state"], holds: boolean): IconName {
  if (state === "unmet") return holds ? "held" : "warning";
  return state === "met" ? "met" : "unknown";
}

/** Keeps a short text such as "5 days" on one line. */
function unbroken(text: string): string {
  return text.length > 12 ? text : text.replaceAll(" ", "\u00a0");
}
