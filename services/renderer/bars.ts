// Bars of tables. The number beside a bar says the same, so screen readers skip it.
import { type Html, html } from "./html.ts";

/**
 * Returns a bar with a tick for the comparison.
 * @param share length from 0 to 1; "hidden" draws a hollow stub of a fixed size
 * @param tick position from 0 to 1
 */
export function bar(share: number | "hidden", tick?: number): Html {
  const position = (part: number) => `${(Math.min(part, 1) * 100).toFixed(1)}%`;
  const length =
    share === "hidden"
      ? html`<i class="stub"></i>`
      : share > 0 && html`<i style="width:${position(share)}"></i>`;
  return html`<span class="bar" aria-hidden="true">${length}${tick !== undefined && html`<b style="left:${position(tick)}"></b>`}</span>`;
}
