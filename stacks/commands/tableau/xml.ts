// The XML that Tableau's files are made of: elements, attributes, text.

/** With the declaration, and a line break at its end. */
export function document(root: string): string {
  return `<?xml version='1.0' encoding='utf-8' ?>\n${root}\n`;
}

/** @param children elements, each on lines of its own */
export function element(
  name: string,
  attributes: Readonly<Record<string, string>>,
  children: readonly string[] = [],
): string {
  const start = [
    name,
    ...Object.entries(attributes).map(([key, value]) => `${key}='${escaped(value)}'`),
  ].join(" ");
  if (children.length === 0) return `<${start} />`;
  // Line breaks of a text went by their numbers, so these are all between elements.
  const lines = children.flatMap((child) => child.split("\n")).map((line) => `  ${line}`);
  return `<${start}>\n${lines.join("\n")}\n</${name}>`;
}

/** An element that holds nothing but a text, as it is. */
export function text(name: string, content: string): string {
  return `<${name}>${escaped(content)}</${name}>`;
}

/**
 * For an attribute or a text. What XML 1.0 can't hold even by its number (control characters, halves of a pair) becomes
 * U+FFFD; what a parser would change (line breaks, tabs) goes by its number. https://www.w3.org/TR/xml/#charsets
 */
export function escaped(content: string): string {
  return content
    .replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, "\u{FFFD}")
    .replace(/[&<>"'\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}
