// Tests what a program prints if it fails before its own error handling.
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

const root = join(import.meta.dirname, "../../..");

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  return { status, stdout, stderr };
}

test("start.mjs on a Node older than 24 prints which command to run", () => {
  // Node 20 has no compile cache.
  const older = 'import module from "node:module"; delete module.enableCompileCache;';
  expect(run("--import", `data:text/javascript,${older}`, "stacks/local/start.mjs")).toEqual({
    status: 1,
    stdout: "",
    stderr: `Node ${process.version} is too old. Run "npm start", which uses Node 24.\n`,
  });
});

/** Launches a program as the npm scripts do. @param source lines of TypeScript */
async function launch(...source: string[]) {
  const folder = await mkdtemp(join(root, ".cache/launch-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const program = join(folder, "program.ts");
  await writeFile(program, source.join("\n"));
  return run("stacks/local/launch.mjs", program);
}

test("an invalid dataset entry is an error without a stack trace that names the entry, the column and the allowed values", async () => {
  const launched = await launch(
    'import { datasets } from "../../shared/datasets.ts";',
    'import { defineDatasets } from "../../shared/dataset-schema.ts";',
    "const [first] = datasets;",
    'const columns = [...first.columns, { name: "Wait", type: "minutes" }];',
    'defineDatasets([{ ...first, columns, undeclared: "keep" }]);',
  );
  expect(launched).toEqual({
    status: 1,
    stdout: "",
    stderr: `shared/library.ts, entry "reference-transactions", column "Wait", type "minutes": use text, integer, number, timestamp, date, time or boolean.
shared/library.ts, entry "reference-transactions", undeclared "keep": use append, ignore or reject.
`,
  });
});

test("an unexpected error has a stack trace", async () => {
  const { status, stderr } = await launch('throw new TypeError("Broken.");');
  expect(status).toBe(1);
  expect(stderr).toMatch(/^TypeError: Broken\.\n +at .*program\.ts:1/);
});
