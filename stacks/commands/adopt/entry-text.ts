// Writes a dataset's entry as TypeScript, in the format of the project's formatter.
import { widthOf } from "../text-table.ts";
import type { Draft } from "./entry.ts";

/** `lineWidth` of .biome.json. */
const lineWidth = 110;
const step = "  ";
/** With its colon and space. */
const shortName = "name: ".length;

/** Returns the lines of an entry, with a comma after it. @param indent of the entry */
export function entryText({ entry, comments }: Draft, indent: string): string {
  const written = (value: unknown, path: string, prefix: string, indent: string): string => {
    const isCommented = [...comments.keys()].some((at) => at.startsWith(`${path}.`));
    const flat = flatText(value);
    const fits = columnsOf(`${indent}${prefix}${flat},`) <= lineWidth;
    const isRoot = path === "";
    // The formatter writes a long text on the line after its name.
    if (typeof value === "string" && !fits && prefix.length > shortName) return `\n${indent}${step}${flat}`;
    if (typeof value !== "object" || (fits && !isRoot && !isCommented && !isListOfObjects(value)))
      return flat;
    const inner = `${indent}${step}`;
    const isList = Array.isArray(value);
    const lines = membersOf(value).flatMap(([key, member]) => {
      const at = isRoot ? key : `${path}.${key}`;
      const name = isList ? "" : `${key}: `;
      const comment = comments.get(at);
      return [
        ...(comment === undefined ? [] : [`${inner}// ${comment}`]),
        `${inner}${name}${written(member, at, name, inner)},`,
      ];
    });
    const [open, close] = isList ? "[]" : "{}";
    return [open, ...lines, `${indent}${close}`].join("\n");
  };
  return `${indent}${written(entry, "", "", indent)},`.replace(/: \n/g, ":\n");
}

function flatText(value: unknown): string {
  if (typeof value === "string") return stringText(value);
  if (typeof value !== "object" || value === null) return String(value);
  const members = membersOf(value).map(([key, member]) =>
    Array.isArray(value) ? flatText(member) : `${key}: ${flatText(member)}`,
  );
  return Array.isArray(value) ? `[${members.join(", ")}]` : `{ ${members.join(", ")} }`;
}

function membersOf(value: unknown): [key: string, member: unknown][] {
  return Object.entries(value ?? {}).filter(([, member]) => member !== undefined);
}

/** Returns the columns of a line as the formatter counts them: character by character. */
function columnsOf(line: string): number {
  return [...line.replace(/[\p{Cf}\p{M}]/gu, "")].reduce((sum, character) => sum + widthOf(character), 0);
}

/** The formatter writes each object of a list on a line of its own. */
function isListOfObjects(value: unknown): boolean {
  return Array.isArray(value) && value.length > 1 && value.every((member) => typeof member === "object");
}

/**
 * Returns a text as a literal. Characters that do not show, or that change the direction of what follows them, are escaped,
 * except those that join an emoji.
 */
function stringText(text: string): string {
  const literal = JSON.stringify(text).replace(/(?!\u200d)[\p{Cf}\p{Zl}\p{Zp}\u007f-\u009f]/gu, (character) =>
    character
      .split("")
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
      .join(""),
  );
  // The formatter prefers the quotes with fewer escapes.
  const quotes = (mark: string) => text.split(mark).length;
  if (quotes('"') <= quotes("'")) return literal;
  return `'${literal.slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
}
