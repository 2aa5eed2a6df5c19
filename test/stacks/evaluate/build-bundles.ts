// The two kinds of bundles that SST builds with esbuild, built with the same options: of sst.config.ts, and of a handler.
import { createCipheriv } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { type BuildOptions, build, type Plugin } from "esbuild";
import { z } from "zod";

const platform = join(process.cwd(), ".sst", "platform");

/** Bundled CommonJS modules call `require`, which ES modules lack. */
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
    // Taken from .sst/platform/node_modules, as in SST's own bundle (seen in 4.17.1).
    external: ["@pulumi/*", "@pulumiverse/*", "@aws-sdk/*", "archiver", "esbuild", "glob", "vite"],
    format: "esm",
    platform: "node",
    target: "es2023",
    bundle: true,
    logLevel: "error",
  });
}

/**
 * Bundles sst.config.ts as SST does to read the app's settings. The bundle prints the result of `app()` as JSON.
 * https://github.com/anomalyco/sst/blob/dev/pkg/project/project.go
 */
export function bundleApp(outfile: string, stage: string): Promise<void> {
  return bundleConfig({
    outfile,
    banner: "function $config(input) { return input }",
    code: `import mod from "./sst.config.ts";
console.log(JSON.stringify(await mod.app({ stage: ${JSON.stringify(stage)} })));`,
  });
}

export type ProgramDefines = { $app: object; $cli: object; $dev: boolean };

/**
 * Bundles sst.config.ts as SST does to deploy, with our recorder around it. The bundle writes the resources to `output`.
 * https://github.com/anomalyco/sst/blob/dev/pkg/project/run.go
 */
export function bundleProgram(outfile: string, output: string, define: ProgramDefines): Promise<void> {
  return bundleConfig({
    outfile,
    define,
    inject: [join(platform, "src", "shim", "run.js")],
    plugins: [appGlobals],
    code: `import { run } from "./.sst/platform/src/auto/run.ts";
import { record } from "./test/stacks/evaluate/record-resources.ts";
import mod from "./sst.config.ts";
await record(run, mod.run, ${JSON.stringify(output)});`,
  });
}

/** The globals `aws` and `sst`, which SST imports into each of the app's files. */
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

/** The parameters of `Runtime.Build` and `Runtime.AddTarget`, as far as they are used here. */
export const handlerBuild = z.object({
  functionID: z.string().regex(/^\w+$/),
  handler: z.string(),
  runtime: z.literal("nodejs24.x"),
  encryptionKey: z.string(),
  links: z.record(z.string(), z.unknown()),
  properties: z.object({ minify: z.boolean().optional() }).optional(),
});

/**
 * Bundles a handler as SST does, with its links encrypted beside it.
 * https://github.com/anomalyco/sst/blob/dev/pkg/runtime/node/build.go
 * @returns the handler's name inside the bundle
 */
export async function bundleHandler(input: z.infer<typeof handlerBuild>, directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const extension = extname(input.handler);
  await bundleModule(
    { entryPoints: [join(process.cwd(), `${input.handler.slice(0, -extension.length)}.ts`)] },
    join(directory, "bundle.mjs"),
    input.properties?.minify,
  );
  await writeFile(join(directory, "resource.enc"), encrypted(input.links, input.encryptionKey));
  return `bundle${extension}`;
}

/** Bundles a module with everything that it imports, as SST bundles a function. */
export async function bundleModule(
  entry: Pick<BuildOptions, "entryPoints" | "stdin">,
  outfile: string,
  minify = false,
): Promise<void> {
  await build({
    ...entry,
    outfile,
    banner: { js: requireInModules },
    mainFields: ["module", "main"],
    external: ["sharp", "pg-native"],
    format: "esm",
    platform: "node",
    target: "es2024",
    keepNames: true,
    minify,
    sourcemap: false,
    bundle: true,
    logLevel: "error",
  });
}

/** Encrypts with AES-256-GCM, as `Resource` in the package `sst` decrypts. SST makes a new key for each deploy. */
function encrypted(links: object, key: string): Buffer {
  const cipher = createCipheriv("aes-256-gcm", Buffer.from(key, "base64"), Buffer.alloc(12));
  return Buffer.concat([cipher.update(JSON.stringify(links)), cipher.final(), cipher.getAuthTag()]);
}
