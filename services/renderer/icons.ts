// The shapes that states have, so that no state is known by its color alone.
import { type Html, html } from "./html.ts";

const shapes = {
  met: { label: "Yes", path: html`<circle cx="8" cy="8" r="8"/><path d="m4.5 8.3 2.4 2.4 4.6-5"/>` },
  held: {
    label: "Holds the run",
    path: html`<rect width="16" height="16" rx="2.5"/><path d="M6 5v6M10 5v6"/>`,
  },
  warning: {
    label: "Warning",
    path: html`<path class="fill" d="M8 .8 16 15H0z"/><path d="M8 6v4M8 12v1.2"/>`,
  },
  failed: {
    label: "No",
    path: html`<circle cx="8" cy="8" r="8"/><path d="m5.3 5.3 5.4 5.4m0-5.4-5.4 5.4"/>`,
  },
  unknown: {
    label: "Unknown",
    path: html`<circle class="ring" cx="8" cy="8" r="7"/><path class="plain" d="M5 8h6"/>`,
  },
};
export type IconName = keyof typeof shapes;

/** @param hasLabel whether the icon stands without a word that says the same */
export function icon(name: IconName, hasLabel = false): Html {
  const { label, path } = shapes[name];
  const text = hasLabel ? html`role="img" aria-label="${label}"` : html`aria-hidden="true"`;
  return html`<svg class="icon ${name}" width="16" height="16" viewBox="0 0 16 16" ${text}>${path}</svg>`;
}
