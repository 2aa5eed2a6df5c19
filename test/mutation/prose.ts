// A Stryker plugin that does not mutate sentences for people. Tests assert an error's name, kind and ids, but not every word
// of its text. All other texts (names, keys, states, reject reasons) are mutated.

/** The properties that contain sentences. */
const members = new Set(["message", "advice", "reason", "what"]);
const literals = new Set(["StringLiteral", "TemplateLiteral"]);

/** The properties and variables that only `runs -- trace` reads. Nothing is decided by them, and the fault plans check them. */
const traced = new Set(["span", "spans"]);

/** The part of Babel's NodePath that is used here. */
export type Path = {
  node: { type: string; key?: { name?: string }; id?: { name?: string } | null };
  parentPath: Path | null;
};

/** Returns the reason why a node is not mutated; undefined if it is. */
export function shouldIgnore(path: Path): string | undefined {
  for (let around: Path | null = path; around; around = around.parentPath) {
    const { type, key, id } = around.node;
    const name = type === "ObjectProperty" ? key?.name : type === "VariableDeclarator" ? id?.name : undefined;
    if (name !== undefined && traced.has(name)) return "a part of a trace";
  }
  if (!literals.has(path.node.type)) return undefined;
  let around = path.parentPath;
  // A conditional expression may contain several sentences.
  while (around?.node.type === "ConditionalExpression") around = around.parentPath;
  const isSentence = around?.node.type === "ObjectProperty" && members.has(around.node.key?.name ?? "");
  return isSentence ? "a sentence for people" : undefined;
}

export const strykerPlugins = [{ kind: "Ignore", name: "prose", value: { shouldIgnore } }];
