// Everything that `sst deploy` or `sst dev` would create on a stage, without an AWS account: sst.config.ts is bundled as
// SST does, runs against SST's real components and Pulumi's mocks, and what it registers is the result. An evaluation
// takes some ten seconds; .cache/stacks/ keeps it until a source changes.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { glob, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { bundleApp, bundleProgram } from "./evaluate/build-bundles.ts";
import { app, type Graph, graph, region, registered } from "./evaluate/graph.ts";
import { startSstServer } from "./evaluate/sst-server.ts";

const run = promisify(execFile);
/** An evaluation takes some ten seconds, and minutes on a machine that is busy. */
const timeout = 150_000;

/** Some ten megabytes each. This is enough for every stage of the tests and for switching between two revisions. */
const keptEvaluations = 12;

/** Everything that an evaluation depends on. */
const sources = [
  "sst.config.ts",
  "package.json",
  "package-lock.json",
  "{stacks,services,shared}/**/*.{ts,sql}",
  "test/stacks/evaluate/*.ts",
];

export type Settings = {
  /** By name, as `sst secret set` stores them. */
  secrets: Record<string, string>;
  /** The shell's variables that the stage reads. */
  environment: Record<string, string>;
  /** Evaluates `sst dev` in place of `sst deploy`. */
  dev?: boolean;
};

/** Returns what SST registers for a stage. @param stage `production` or the name of a personal stage */
export async function evaluateStage(stage: string, settings: Settings): Promise<Graph> {
  const folder = join(process.cwd(), ".cache", "stacks", await contentHash(stage, settings));
  if (!existsSync(folder)) {
    // Renamed when complete. If two test files evaluate at once, the later result is not needed.
    const draft = `${folder}.${process.pid}`;
    try {
      await mkdir(draft, { recursive: true });
      await writeFile(
        join(draft, "graph.json"),
        JSON.stringify(await evaluateAfresh(stage, settings, draft)),
      );
      await rename(draft, folder).catch((error: unknown) => {
        if (!existsSync(folder)) throw error;
      });
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
    await forgetOldest(dirname(folder));
  }
  const { bundles, ...found } = graph.parse(JSON.parse(await readFile(join(folder, "graph.json"), "utf8")));
  const placed = Object.entries(bundles).map(([name, bundle]) => [
    name,
    { ...bundle, directory: join(folder, bundle.directory) },
  ]);
  return { ...found, bundles: Object.fromEntries(placed) };
}

async function evaluateAfresh(
  stage: string,
  { secrets, environment, dev = false }: Settings,
  folder: string,
): Promise<Graph> {
  const appBundle = join(folder, "app.mjs");
  await bundleApp(appBundle, stage);
  const { stdout } = await run(process.execPath, [appBundle], { env: environment, timeout });
  const answered = app.parse(JSON.parse(stdout));

  const output = join(folder, "resources.json");
  const paths = { root: process.cwd(), work: folder, platform: join(process.cwd(), ".sst", "platform") };
  // SST puts it there too, and external packages are resolved from there.
  const program = join(paths.platform, `sst.config.${basename(folder)}.mjs`);
  const cli = { command: dev ? "dev" : "deploy", dev, paths, state: { version: {} } };
  await bundleProgram(program, output, { $app: { ...answered, stage }, $cli: cli, $dev: dev });

  const server = await startSstServer(folder);
  try {
    const secretVariables = Object.entries(secrets).map(([name, value]) => [`SST_SECRET_${name}`, value]);
    await run(process.execPath, [program], {
      // No other variable of this shell: no credentials, no profile.
      env: {
        ...environment,
        ...Object.fromEntries(secretVariables),
        SST_SERVER: server.url,
        SST_AWS_REGION: region,
        PULUMI_CONFIG: JSON.stringify({ "aws:region": region }),
      },
      timeout,
    });
  } finally {
    await server.close();
    await rm(program, { force: true });
  }
  const resources = registered.parse(JSON.parse(await readFile(output, "utf8")));
  return { app: answered, resources, bundles: server.bundles };
}

async function forgetOldest(cache: string): Promise<void> {
  const found = await Promise.all(
    (await readdir(cache)).map(async (name) => ({ name, made: (await stat(join(cache, name))).mtimeMs })),
  );
  const old = found.sort((a, b) => b.made - a.made).slice(keptEvaluations);
  for (const { name } of old) await rm(join(cache, name), { recursive: true, force: true });
}

async function contentHash(stage: string, settings: Settings): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify({ stage, settings }));
  const files: string[] = [];
  for await (const file of glob(sources)) files.push(file);
  for (const file of files.sort()) hash.update(`${file}\n`).update(await readFile(file));
  return hash.digest("hex").slice(0, 16);
}
