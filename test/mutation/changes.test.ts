import { expect, test } from "vitest";
import { changesOf, isDomain } from "./changes.ts";

test.each([
  ["services/assembler/guard.ts", true],
  ["shared/publish.ts", true],
  ["shared/libinsight/client.ts", true],
  ["shared/kinds/gate-count/hours.ts", true],
  ["services/assembler/handler.ts", false],
  ["services/athena/queries/default.sql", false],
  ["shared/aws/s3.ts", false],
  ["shared/local/sqlite.ts", false],
  ["shared/topology.ts", false],
  ["test/shared/csv.test.ts", false],
  ["stacks/local/start.mjs", false],
])("isDomain(%s) is %s", (file, mutated) => {
  expect(isDomain(file)).toBe(mutated);
});

test("converts the changed lines of a diff into Stryker's ranges, without deleted lines", () => {
  const diff = `diff --git a/shared/a.ts b/shared/a.ts
index 1..2 100644
--- a/shared/a.ts
+++ b/shared/a.ts
@@ -3 +3 @@ export function one() {
-  old
+  new
@@ -10,0 +11,3 @@
+  ++ b/not a file
+
+  three
@@ -20,2 +23,0 @@
-  gone
-  gone
diff --git a/shared/b.ts b/shared/b.ts
--- a/shared/b.ts
+++ b/shared/b.ts
@@ -1,2 +0,0 @@
-gone
-gone
`;
  expect(changesOf(diff)).toEqual([
    { file: "shared/a.ts", ranges: ["shared/a.ts:3-3", "shared/a.ts:11-13"], lines: 4 },
  ]);
});
