// Writes the XML of Tableau's files: elements, attributes, text.

/** Returns a document with its XML declaration. */
export function document(root: string): string {
  return `<?xml version='1.0' encoding='utf-8' ?>\n${root}\n`;
}

/** @param children elements, each on its own lines */
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
  // Line breaks inside texts are character references, so these are all between elements.
  const lines = children.flatMap((child) => child.split("\n")).map((line) => `  ${line}`);
  return `<${start}>\n${lines.join("\n")}\n</${name}>`;
}

/** Returns an element with only text, without added line breaks. */
export function text(name: string, content: string): string {
  return `<${name}>${escaped(content)}</${name}>`;
}

/**
 * Escapes an attribute or a text. Characters that XML 1.0 excludes (control characters, unpaired surrogates) become U+FFFD;
 * characters that a parser would change (line breaks, tabs) become character references.
 * https://www.w3.org/TR/xml/#charsets
 */
function escaped(content: string): string {
  return content
    .replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, "\u{FFFD}")
    .replace(/[&<>"'\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}
