// Measures the size and the import time of each function's bundle. The baseline is an empty handler that imports the same
// parts of the AWS SDK.
import { execFile } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { z } from "zod";
import { bundleModules } from "../stacks/evaluate/build-bundles.ts";
import type { Graph } from "../stacks/evaluate/graph.ts";

const run = promisify(execFile);
const importTimeoutMs = 30_000;

type Size = { bytes: number; baselineBytes: number };
type ImportTime = { ms: number; baselineMs: number };
export type Bundled = { service: string; size: Size; imports: ImportTime[] };

/** @param rounds the number of imports of each bundle, alternating with its baseline, each in its own process */
export async function measureBundles(graph: Graph, rounds: number): Promise<Bundled[]> {
  const folder = await mkdtemp(join(tmpdir(), "bench-bundles-"));
  try {
    const measured: Bundled[] = [];
    for (const { source, directory } of Object.values(graph.bundles)) {
      const [, service = ""] = /^services\/([^/]+)\//.exec(source) ?? [];
      const ours = join(directory, "bundle.mjs");
      const baseline = join(folder, `${service}.mjs`);
      const contents = await sdkImports(source);
      const stdin = { contents, resolveDir: process.cwd(), loader: "js" } as const;
      await bundleModules({ stdin, outfile: baseline });
      const imports: ImportTime[] = [];
      for (let round = 0; round < rounds; round++) {
        imports.push({ ms: await importMs(ours), baselineMs: await importMs(baseline) });
      }
      const [{ size: bytes }, { size: baselineBytes }] = [await stat(ours), await stat(baseline)];
      measured.push({ service, size: { bytes, baselineBytes }, imports });
    }
    return measured;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Returns a module with the handler's imports from the SDK, as found in a bundle that leaves the SDK out.
 * @param source the handler's name in the stack: `services/fetcher/handler.handler`
 */
async function sdkImports(source: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [source.replace(/\.handler$/, ".ts")],
    external: ["@aws-sdk/*"],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    mainFields: ["module", "main"],
    logLevel: "error",
  });
  const text = outputFiles[0]?.text ?? "";
  const statement = /^import \{([^}]*)\} from "(@aws-sdk\/[^"]+)";$/gm;
  const code = text.replaceAll(statement, "");
  const exported = [...text.matchAll(statement)].flatMap(([, list = "", from]) => {
    const names = list.split(",").map((name) => name.trim());
    // esbuild keeps unused imports, because they may have side effects.
    const used = names.filter((name) => new RegExp(`\\b${name}\\b`).test(code));
    // The exports keep esbuild from removing the imports as unused.
    return used.length === 0 ? [] : [`export { ${used.join(", ")} } from "${from}";`];
  });
  if (exported.length === 0) throw new Error(`${source} does not use the SDK.`);
  return [...exported, "export const handler = async () => {};"].join("\n");
}

const printed = z.object({ ms: z.number() });

/** Imports a file in its own process, as a cold start does. */
async function importMs(file: string): Promise<number> {
  const code = `const start = performance.now();
await import(${JSON.stringify(file)});
console.log(JSON.stringify({ ms: performance.now() - start }));`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", code], {
    env: { AWS_REGION: "us-east-1" },
    timeout: importTimeoutMs,
  });
  return printed.parse(JSON.parse(stdout)).ms;
}
