// Each function's bundle, as Lambda loads it: how large, and how long Node takes to import it; beside an empty handler that
// imports the same of AWS's SDK.
import { execFile } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { z } from "zod";
import { bundleModule } from "../stacks/evaluate/build-bundles.ts";
import type { Graph } from "../stacks/evaluate/graph.ts";

const run = promisify(execFile);
const importTimeoutMs = 30_000;

export type Size = { bytes: number; floorBytes: number };
export type ImportTime = { ms: number; floorMs: number };
export type Bundled = { service: string; size: Size; imports: ImportTime[] };

/** @param rounds how often each is imported, in turn with its floor, in processes of their own */
export async function measureBundles(graph: Graph, rounds: number): Promise<Bundled[]> {
  const folder = await mkdtemp(join(tmpdir(), "bench-bundles-"));
  try {
    const measured: Bundled[] = [];
    for (const { source, directory } of Object.values(graph.bundles)) {
      const [, service = ""] = /^services\/([^/]+)\//.exec(source) ?? [];
      const ours = join(directory, "bundle.mjs");
      const floor = join(folder, `${service}.mjs`);
      const contents = await sdkImports(source);
      const stdin = { contents, resolveDir: process.cwd(), loader: "js" } as const;
      await bundleModule({ stdin }, floor);
      const imports: ImportTime[] = [];
      for (let round = 0; round < rounds; round++) {
        imports.push({ ms: await importMs(ours), floorMs: await importMs(floor) });
      }
      const [{ size: bytes }, { size: floorBytes }] = [await stat(ours), await stat(floor)];
      measured.push({ service, size: { bytes, floorBytes }, imports });
    }
    return measured;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * What of the SDK is left in a handler's bundle: the imports of a bundle that leaves the SDK out.
 * @param source as the stack names it: `services/fetcher/handler.handler`
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
    // An import stays where nothing uses it any more, because it might do something.
    const used = names.filter((name) => new RegExp(`\\b${name}\\b`).test(code));
    // Exported, so that it is not left out as unused.
    return used.length === 0 ? [] : [`export { ${used.join(", ")} } from "${from}";`];
  });
  if (exported.length === 0) throw new Error(`${source} uses nothing of the SDK.`);
  return [...exported, "export const handler = async () => {};"].join("\n");
}

const printed = z.object({ ms: z.number() });

/** In a process of its own, as a cold start does. */
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
