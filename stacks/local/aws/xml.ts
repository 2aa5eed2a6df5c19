// The little XML that the local S3 reads, and what it and the local EC2 write: elements and text. Attributes are
// namespaces there and are skipped; comments, CDATA and document types do not occur and are refused.

export type XmlElement = { name: string; children: XmlElement[]; text: string };

const maxDepth = 16;
const entities = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
]);

/** The document's root, or undefined when this is not such XML. */
export function parseXml(document: string): XmlElement | undefined {
  const body = document.replace(/^\uFEFF?\s*<\?xml[^>]*\?>/, "");
  const top: XmlElement = { name: "", children: [], text: "" };
  const open = [top];
  let position = 0;
  // A closing tag, an opening or empty one, or text up to the next tag; each match starts where the last ended.
  for (const match of body.matchAll(/<\/([\w:.-]+)\s*>|<([\w:.-]+)(?:\s[^<>]*?)?(\/?)>|([^<]+)/gy)) {
    position = match.index + match[0].length;
    const [, closing, opening, empty, text] = match;
    const parent = open.at(-1);
    if (parent === undefined) return undefined;
    if (text !== undefined) {
      const decoded = decodeText(text);
      if (decoded === undefined) return undefined;
      parent.text += decoded;
    } else if (opening !== undefined) {
      const element = { name: opening, children: [], text: "" };
      parent.children.push(element);
      if (!empty) open.push(element);
      if (open.length > maxDepth) return undefined;
    } else if (open.length === 1 || open.pop()?.name !== closing) {
      return undefined;
    }
  }
  const whole = position === body.length && open.length === 1 && top.text.trim() === "";
  return whole && top.children.length === 1 ? top.children[0] : undefined;
}

function decodeText(text: string): string | undefined {
  let known = true;
  const decoded = text.replaceAll(/&([^;&]*);?/g, (reference, name: string) => {
    const number = /^#(?:x([\da-f]{1,6})|(\d{1,7}))$/i.exec(name);
    if (number) {
      const point = number[1] === undefined ? Number(number[2]) : Number.parseInt(number[1], 16);
      if (reference.endsWith(";") && point <= 0x10ffff) return String.fromCodePoint(point);
    }
    const character = reference.endsWith(";") ? entities.get(name) : undefined;
    if (character === undefined) known = false;
    return character ?? "";
  });
  return known ? decoded : undefined;
}

export function escapeXml(text: string): string {
  return text.replaceAll(
    /[&<>"']|\p{Cc}/gu,
    (character) => named.get(character) ?? `&#${character.codePointAt(0)};`,
  );
}

const named = new Map([...entities].map(([name, character]) => [character, `&${name};`]));
