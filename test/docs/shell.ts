// Shell commands as the docs write them: one a line, with comments, continued lines, quotes, `>` and `<`.

export type Command = {
  /** As written, on one line, without its comment. */
  text: string;
  /** Variables that are set for this command only. */
  env: Record<string, string>;
  /** Without `>` and `<`. */
  words: string[];
};

/** Returns the commands of a block. `a && (b; c)` is one command, whose words are those of `a`. */
export function commandsOf(block: string): Command[] {
  const commands: Command[] = [];
  let open = "";
  for (const line of block.split("\n")) {
    open += open === "" ? line : `\n${line}`;
    if (/\\$/.test(open)) {
      open = open.slice(0, -1);
      continue;
    }
    if (isInQuotes(open)) continue;
    const command = commandOf(open.replace(/\n\s*/g, " "));
    if (command) commands.push(command);
    open = "";
  }
  if (open !== "") throw new Error(`Quotes are not closed: ${open}`);
  return commands;
}

const token = /\s+|#.*$|>\s*\S+|<\s*\S+|&&.*$|\|.*$|(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\])+/gsu;

export function commandOf(line: string): Command | undefined {
  const env: Record<string, string> = {};
  const words: string[] = [];
  let length = 0;
  for (const [part] of line.matchAll(token)) {
    if (part.startsWith("#")) break;
    length += part.length;
    if (/^(\s|[<>|]|&&)/.test(part)) continue;
    const word = unquoted(part);
    const [, name, value] = (words.length === 0 && /^([A-Z][A-Z0-9_]*)=(.*)$/s.exec(word)) || [];
    if (name !== undefined && value !== undefined) env[name] = value;
    else words.push(word);
  }
  const text = line.slice(0, length).trim();
  return text === "" ? undefined : { text, env, words };
}

function unquoted(word: string): string {
  return word.replace(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/gs, (_, single, double, escaped) =>
    String(single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped),
  );
}

function isInQuotes(text: string): boolean {
  const withoutComments = text.replace(/(^|\s)#[^\n]*/g, "");
  const rest = withoutComments.replace(/'[^']*'|"(?:[^"\\]|\\.)*"/g, "");
  return /['"]/.test(rest);
}
