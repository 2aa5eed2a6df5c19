// HTML that escapes every text by default, because labels and answers come from LibInsight.

/** A piece of HTML that is inserted as it is. */
export class Html {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

export type Child = Html | string | number | undefined | false | readonly Child[];

/** Returns the template with its values escaped. Undefined and false are left out. */
export function html(strings: TemplateStringsArray, ...values: Child[]): Html {
  return new Html(strings.reduce((source, text, index) => `${source}${sourceOf(values[index - 1])}${text}`));
}

function sourceOf(value: Child): string {
  if (value === undefined || value === false) return "";
  if (value instanceof Html) return value.source;
  if (typeof value === "number") return String(value);
  if (typeof value === "object") return value.map(sourceOf).join("");
  return escaped(value);
}

const entities: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
/** Controls of the text's direction could reorder the text around them. */
const controls = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

function escaped(text: string): string {
  if (/^[\w .,:-]*$/.test(text)) return text;
  return text
    .toWellFormed()
    .replace(/\s+/g, (space) => (space === "\u00a0" ? space : " "))
    .replace(controls, "\ufffd")
    .replace(/[&<>"']/g, (character) => entities[character] ?? "");
}
