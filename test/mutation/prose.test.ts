import { expect, test } from "vitest";
import { type Path, shouldIgnore } from "./prose.ts";

/** Returns the path of a node. @param around the types of its ancestors, outermost first; `.name` for a property */
function pathOf(...around: string[]): Path | null {
  return around.reduce<Path | null>((parentPath, type) => {
    const node = type.startsWith(".") ? { type: "ObjectProperty", key: { name: type.slice(1) } } : { type };
    return { node, parentPath };
  }, null);
}

test.each([
  [["ObjectExpression", ".message", "StringLiteral"], true],
  [["ObjectExpression", ".advice", "TemplateLiteral"], true],
  [["ObjectExpression", ".message", "ConditionalExpression", "ConditionalExpression", "StringLiteral"], true],
  [["ObjectExpression", ".message", "ConditionalExpression"], false],
  [["ObjectExpression", ".message", "CallExpression", "StringLiteral"], false],
  [["ObjectExpression", ".name", "StringLiteral"], false],
  [["ObjectExpression", ".state", "StringLiteral"], false],
  [
    ["ObjectExpression", ".span", "ArrowFunctionExpression", "ObjectExpression", ".name", "StringLiteral"],
    true,
  ],
  [["StringLiteral"], false],
])("%j is ignored: %s", (around, isSentence) => {
  const path = pathOf(...around);
  if (!path) throw new Error("A path has a node.");
  expect(shouldIgnore(path) !== undefined).toBe(isSentence);
});
