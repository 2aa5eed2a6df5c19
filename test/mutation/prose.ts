// A plugin of Stryker that leaves sentences for people as they are. Tests assert an error's name, kind and ids, and not
// each word of its text; every other text (names, keys, states, reject reasons) is mutated.

/** The members that hold sentences. */
const members = new Set(["message", "advice", "reason", "what"]);
const literals = new Set(["StringLiteral", "TemplateLiteral"]);

/** The part of Babel's NodePath that is read here. */
export type Path = {
  node: { type: string; key?: { name?: string } };
  parentPath: Path | null;
};

/** Returns why a place in the code is not mutated, or undefined where it is. */
export function shouldIgnore(path: Path): string | undefined {
  if (!literals.has(path.node.type)) return undefined;
  let around = path.parentPath;
  // `message: isOne ? "A run." : "Some runs."` has two sentences.
  while (around?.node.type === "ConditionalExpression") around = around.parentPath;
  const isSentence = around?.node.type === "ObjectProperty" && members.has(around.node.key?.name ?? "");
  return isSentence ? "a sentence for people" : undefined;
}

export const strykerPlugins = [{ kind: "Ignore", name: "prose", value: { shouldIgnore } }];
