// Bundles sst.config.ts and the handlers with esbuild, with the same options as SST.
import { createCipheriv } from "node:crypto";
import { glob, link, mkdir, readFile, writeFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { type BuildOptions, build, type Plugin } from "esbuild";
import { z } from "zod";
import { condition } from "../../use-test-library.ts";

const platform = join(process.cwd(), ".sst", "platform");

/** Defines `require` and other CommonJS globals, which bundled CommonJS modules use and ES modules lack. */
const requireInModules = `
import { createRequire as topLevelCreateRequire } from 'module';
const require = topLevelCreateRequire(import.meta.url);
import { fileURLToPath as topLevelFileUrlToPath, URL as topLevelURL } from "url"
const __filename = topLevelFileUrlToPath(import.meta.url)
const __dirname = topLevelFileUrlToPath(new topLevelURL(".", import.meta.url))
`;

/** https://github.com/anomalyco/sst/blob/dev/pkg/js/js.go */
async function bundleConfig(options: {
  outfile: string;
  code: string;
  banner?: string;
  inject?: string[];
  plugins?: Plugin[];
  define?: Record<string, unknown>;
  conditions: string[];
}): Promise<void> {
  await build({
    stdin: { contents: options.code, resolveDir: process.cwd(), sourcefile: "eval.ts", loader: "ts" },
    outfile: options.outfile,
    banner: { js: requireInModules + (options.banner ?? "") },
    inject: options.inject ?? [],
    plugins: options.plugins ?? [],
    define: Object.fromEntries(
      Object.entries(options.define ?? {}).map(([name, value]) => [name, JSON.stringify(value)]),
    ),
    nodePaths: [join(platform, "node_modules")],
    mainFields: ["module", "main"],
    conditions: options.conditions,
    // Resolved from .sst/platform/node_modules, as in the bundle of SST 4.17.1.
    external: ["@pulumi/*", "@pulumiverse/*", "@aws-sdk/*", "archiver", "esbuild", "glob", "vite"],
    format: "esm",
    platform: "node",
    target: "es2023",
    bundle: true,
    logLevel: "error",
  });
}

/**
 * Bundles sst.config.ts as SST does to read the app's settings. The bundle prints the return value of `app()` as JSON.
 * https://github.com/anomalyco/sst/blob/dev/pkg/project/project.go
 */
export function bundleApp(outfile: string, stage: string, conditions: string[]): Promise<void> {
  return bundleConfig({
    outfile,
    conditions,
    banner: "function $config(input) { return input }",
    code: `import mod from "./sst.config.ts";
console.log(JSON.stringify(await mod.app({ stage: ${JSON.stringify(stage)} })));`,
  });
}

export type ProgramDefines = { $app: object; $cli: object; $dev: boolean };

/**
 * Bundles sst.config.ts as SST does to deploy, with a recorder around it. The bundle writes the resources to `output`.
 * https://github.com/anomalyco/sst/blob/dev/pkg/project/run.go
 */
export function bundleProgram(
  outfile: string,
  output: string,
  define: ProgramDefines,
  conditions: string[],
): Promise<void> {
  return bundleConfig({
    outfile,
    conditions,
    define,
    inject: [join(platform, "src", "shim", "run.js")],
    plugins: [appGlobals],
    code: `import { run } from "./.sst/platform/src/auto/run.ts";
import { record } from "./test/stacks/evaluate/record-resources.ts";
import mod from "./sst.config.ts";
await record(run, mod.run, ${JSON.stringify(output)});`,
  });
}

/** Imports `aws` and `sst` into each of the app's files, as SST does. */
const appGlobals: Plugin = {
  name: "app-globals",
  setup({ onLoad }) {
    const imports = `import * as aws from "@pulumi/aws";
import * as sst from ${JSON.stringify(join(platform, "src", "components"))};
`;
    onLoad({ filter: /\/(sst\.config|stacks\/[\w-]+)\.ts$/ }, async ({ path }) => ({
      contents: imports + (await readFile(path, "utf8")),
      loader: "ts",
    }));
  },
};

/** The parameters of `Runtime.Build` and `Runtime.AddTarget` that are used here. */
export const handlerBuild = z.object({
  functionID: z.string().regex(/^\w+$/),
  handler: z.string(),
  runtime: z.literal("nodejs24.x"),
  encryptionKey: z.string(),
  links: z.record(z.string(), z.unknown()),
  properties: z
    .object({
      minify: z.literal(false).optional(),
      esbuild: z.object({ external: z.tuple([z.literal("@opentelemetry/*")]) }).optional(),
    })
    .optional(),
});

/**
 * Bundles every handler into `folder`, as SST bundles each of them. One build of all handlers parses the AWS SDK once: it
 * takes a quarter of the time of nine builds and writes the same bytes.
 */
export async function bundleHandlers(folder: string): Promise<void> {
  const files = await Array.fromAsync(glob("services/*/handler.ts"));
  await bundleModules({
    entryPoints: Object.fromEntries(files.map((file) => [file.replace(/\.ts$/, ""), file])),
    outdir: folder,
    outExtension: { ".js": ".mjs" },
  });
}

/**
 * Creates the artifact of a function as SST does: its bundle, and its links encrypted beside it.
 * https://github.com/anomalyco/sst/blob/dev/pkg/runtime/node/build.go
 * @param handlers the folder of `bundleHandlers`
 * @returns the handler's name inside the bundle
 */
export async function createArtifact(
  { handler, links, encryptionKey }: z.infer<typeof handlerBuild>,
  handlers: string,
  directory: string,
): Promise<string> {
  await mkdir(directory, { recursive: true });
  const extension = extname(handler);
  const bundle = join(handlers, `${handler.slice(0, -extension.length)}.mjs`);
  await link(bundle, join(directory, "bundle.mjs"));
  await writeFile(join(directory, "resource.enc"), encrypt(links, encryptionKey));
  return `bundle${extension}`;
}

/** Bundles modules with everything that they import, as SST bundles a function. */
export async function bundleModules(
  entries: Pick<BuildOptions, "entryPoints" | "stdin" | "outfile" | "outdir" | "outExtension">,
): Promise<void> {
  await build({
    ...entries,
    banner: { js: requireInModules },
    mainFields: ["module", "main"],
    conditions: [condition],
    // The last one is a setting of the functions (stacks/services.ts).
    external: ["sharp", "pg-native", "@opentelemetry/*"],
    format: "esm",
    platform: "node",
    target: "es2024",
    keepNames: true,
    sourcemap: false,
    bundle: true,
    logLevel: "error",
  });
}

/** Encrypts with AES-256-GCM, which `Resource` in the package `sst` decrypts. SST creates a new key for each deploy. */
function encrypt(links: object, key: string): Buffer {
  const cipher = createCipheriv("aes-256-gcm", Buffer.from(key, "base64"), Buffer.alloc(12));
  return Buffer.concat([cipher.update(JSON.stringify(links)), cipher.final(), cipher.getAuthTag()]);
}
