// Adds an entry at the end of `datasets` in shared/library.ts. Every other byte stays, and the new text replaces the file
// only after it was loaded.
import { readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { PipelineError } from "../../../shared/errors.ts";
import { InvalidLibrary } from "../../../shared/invalid-library.ts";
import type { Library } from "../../../shared/library-schema.ts";

/**
 * Adds an entry to a library's file.
 * @param entryOf returns the lines of the entry with a comma at their end, for the indent of its first line
 * @throws PipelineError `EntryNotAdded`, after which the file is as before
 */
export async function insertEntry(file: string, entryOf: (indent: string) => string): Promise<void> {
  const path = await realpath(file);
  const text = await readFile(path, "utf8");
  const edited = await withEntry(text, entryOf);
  if (edited === undefined) throw notAdded("has no call defineLibrary({ datasets: [...] })");
  const draft = join(dirname(path), "library.draft.ts");
  try {
    await writeFile(draft, edited, { mode: (await stat(path)).mode });
    if (!isWithOneMore(await loaded(path), await loaded(draft)))
      throw notAdded("would have other settings afterwards");
    if ((await readFile(path, "utf8")) !== text) throw notAdded("was changed meanwhile");
    await rename(draft, path);
  } catch (cause) {
    if (cause instanceof PipelineError) throw cause;
    const problem =
      cause instanceof InvalidLibrary ? `would be invalid: ${cause.message}` : "cannot be replaced";
    throw notAdded(problem, cause);
  } finally {
    await rm(draft, { force: true });
  }
}

/** Returns the text with the entry; undefined if it has no such call. */
export async function withEntry(
  text: string,
  entryOf: (indent: string) => string,
): Promise<string | undefined> {
  const list = listIn(await tokensOf(text));
  if (!list) return undefined;
  const { open, last, close } = list;
  const lineStart = (index: number) => text.lastIndexOf("\n", index - 1) + 1;
  const indent = /^[ \t]*/.exec(text.slice(lineStart(open.start)))?.[0] ?? "";
  const lineBreak = text.includes("\r\n") ? "\r\n" : "\n";
  const entry = entryOf(`${indent}  `).replaceAll("\n", lineBreak) + lineBreak;
  const comma = last === open || last.text === "," ? "" : ",";
  const beforeClose = text.slice(lineStart(close.start), close.start);
  // Comments after the last entry stay between it and the new one.
  const [at, inserted] = /^[ \t]*$/.test(beforeClose)
    ? [lineStart(close.start), entry]
    : [close.start, `${lineBreak}${entry}${indent}`];
  return text.slice(0, last.end) + comma + text.slice(last.end, at) + inserted + text.slice(at);
}

type Token = { text: string; start: number; end: number };

/** Returns the tokens of a text, without white space and comments. */
async function tokensOf(text: string): Promise<Token[]> {
  // TypeScript's parser is another program, and its scanner knows strings and comments. Only this command needs it.
  const { createScanner } = await import("typescript/unstable/ast/scanner");
  const scanner = createScanner(true, undefined, text);
  const tokens: Token[] = [];
  for (scanner.scan(); scanner.getTokenStart() < text.length; scanner.scan())
    tokens.push({ text: scanner.getTokenText(), start: scanner.getTokenStart(), end: scanner.getTokenEnd() });
  return tokens;
}

/** Returns the brackets of `datasets` in `defineLibrary({ ... })`, and the token before the closing one. */
function listIn(tokens: readonly Token[]): { open: Token; last: Token; close: Token } | undefined {
  const isAt = (index: number, ...texts: string[]) =>
    texts.every((text, offset) => tokens[index + offset]?.text.replace(/^(["'])(.*)\1$/, "$2") === text);
  let depth = 0;
  let open: Token | undefined;
  for (let index = tokens.findIndex((_, at) => isAt(at, "defineLibrary", "(", "{")) + 2; ; index++) {
    const token = tokens[index];
    const last = tokens[index - 1];
    if (!token || !last || index === 1) return undefined;
    if (["]", "}", ")"].includes(token.text)) depth -= 1;
    if (open && depth === 1) return { open, last, close: token };
    if (depth === 1 && isAt(index - 2, "datasets", ":", "[")) open = token;
    if (["[", "{", "("].includes(token.text)) depth += 1;
  }
}

async function loaded(path: string): Promise<Library> {
  // Node keeps a module that it has loaded, and a draft may be another one than before.
  const { mtimeMs } = await stat(path);
  const { library } = await import(`${pathToFileURL(path).href}?${mtimeMs}`);
  return library;
}

/** Returns whether a library has one dataset more at the end, and nothing else differs. */
function isWithOneMore({ datasets: before, ...settings }: Library, { datasets: after, ...others }: Library) {
  const kept = after.slice(0, before.length);
  return (
    isDeepStrictEqual(settings, others) &&
    isDeepStrictEqual(before, kept) &&
    after.length === before.length + 1
  );
}

function notAdded(problem: string, cause?: unknown): PipelineError {
  return new PipelineError("EntryNotAdded", {
    message: `The entry was not added, because shared/library.ts ${problem}. The file is as before.`,
    advice: "Print the entry with --print, and add it to the datasets in an editor.",
    cause,
  });
}
