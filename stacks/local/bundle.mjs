// Bundles the 400 modules of `npm start` into one file in .cache/, which halves the time and the memory that loading takes.
// Without esbuild (`npm ci --omit=dev`) start.mjs runs the sources instead. Plain JavaScript without dependencies of its
// own, like install.mjs.
import { cpSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

const defaults = {
  folder: join(".cache", "start"),
  /** Folders of source files. */
  sources: ["services", "shared", "stacks"],
  /** Conditions under which esbuild resolves the imports of package.json. */
  conditions: [],
};

/** Makes the bundle if there is none or a source is newer. */
export async function bundleStart(options = {}) {
  const { folder, sources, conditions } = { ...defaults, ...options };
  if (changedAt(join(folder, "main.js")) >= newest(sources)) return;
  const esbuild = await import("esbuild").catch(() => undefined);
  // Without esbuild an outdated bundle cannot be replaced, and it must not run.
  if (!esbuild) return remove(folder);
  // Two processes may bundle at the same time while a third runs the bundle.
  const draft = `${folder}-${process.pid}`;
  await esbuild.build({
    entryPoints: ["stacks/local/main.ts"],
    outdir: draft,
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node24",
    conditions,
    // DuckDB has a native library.
    // The second is loaded only if OTEL_EXPORTER_OTLP_ENDPOINT is set.
    external: ["@duckdb/node-api", "@opentelemetry/*"],
    // CommonJS packages call require() for Node's modules.
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
    logLevel: "warning",
  });
  // services/athena/queries.ts reads them beside its bundle, as in a Lambda function.
  cpSync(join("services", "athena", "queries"), join(draft, "queries"), { recursive: true });
  remove(folder);
  try {
    renameSync(draft, folder);
  } catch {
    // The other process was faster and bundled the same sources.
    remove(draft);
  }
}

function remove(path) {
  rmSync(path, { recursive: true, force: true });
}

function newest(sources) {
  const files = sources.flatMap((source) =>
    readdirSync(source, { recursive: true }).map((name) => join(source, name)),
  );
  return Math.max(...["package-lock.json", ...files].map(changedAt));
}

function changedAt(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
