// Evaluates a stage without an AWS account: bundles sst.config.ts as SST does, runs it against SST's real components and
// Pulumi's mocks, and returns every resource that it registers for `sst deploy` or `sst dev`. An evaluation takes some ten
// seconds, so .cache/stacks/ keeps it until a source changes.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { glob, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { condition, datasetsCondition } from "../use-test-library.ts";
import { bundleApp, bundleProgram } from "./evaluate/build-bundles.ts";
import { app, type Graph, graph, region, registered } from "./evaluate/graph.ts";
import { startSstServer } from "./evaluate/sst-server.ts";

const run = promisify(execFile);
/** An evaluation may take minutes on a busy machine. */
const timeout = 150_000;

/** Enough for every stage of the tests in two revisions of the code. Each takes some ten megabytes. */
const keptEvaluations = 12;

/** The files that an evaluation depends on. */
const sources = [
  "sst.config.ts",
  "package.json",
  "package-lock.json",
  "{stacks,services,shared}/**/*.{ts,sql}",
  "test/stacks/evaluate/*.ts",
  "test/fixtures/*.ts",
];

export type Settings = {
  /** Secrets by name, as `sst secret set` stores them. */
  secrets: Record<string, string>;
  /** The environment variables that the stage reads. */
  environment: Record<string, string>;
  /** Evaluates `sst dev` instead of `sst deploy`. */
  dev?: boolean;
  /** Evaluates the stage of shared/library.ts instead of the tests' library. */
  deployed?: boolean;
  /** Evaluates the stage of test/fixtures/three-datasets.ts. */
  threeDatasets?: boolean;
};

/** Returns what SST registers for a stage. @param stage `production` or the name of a personal stage */
export async function evaluateStage(stage: string, settings: Settings): Promise<Graph> {
  const folder = join(process.cwd(), ".cache", "stacks", await contentHash(stage, settings));
  if (!existsSync(folder)) {
    // The draft is renamed when it is complete. If two test files evaluate at once, the later result is dropped.
    const draft = `${folder}.${process.pid}`;
    try {
      await mkdir(draft, { recursive: true });
      await writeFile(
        join(draft, "graph.json"),
        JSON.stringify(await evaluateUncached(stage, settings, draft)),
      );
      await rename(draft, folder).catch((error: unknown) => {
        if (!existsSync(folder)) throw error;
      });
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
    await removeOldest(dirname(folder));
  }
  const { bundles, ...found } = graph.parse(JSON.parse(await readFile(join(folder, "graph.json"), "utf8")));
  const placed = Object.entries(bundles).map(([name, bundle]) => [
    name,
    { ...bundle, directory: join(folder, bundle.directory) },
  ]);
  return { ...found, bundles: Object.fromEntries(placed) };
}

async function evaluateUncached(
  stage: string,
  { secrets, environment, dev = false, deployed = false, threeDatasets = false }: Settings,
  folder: string,
): Promise<Graph> {
  const appBundle = join(folder, "app.mjs");
  const conditions = deployed ? [] : threeDatasets ? [datasetsCondition, condition] : [condition];
  await bundleApp(appBundle, stage, conditions);
  const { stdout } = await run(process.execPath, [appBundle], { env: environment, timeout });
  const appSettings = app.parse(JSON.parse(stdout));

  const output = join(folder, "resources.json");
  const paths = { root: process.cwd(), work: folder, platform: join(process.cwd(), ".sst", "platform") };
  // SST puts its program there too, because external packages are resolved from there.
  const program = join(paths.platform, `sst.config.${basename(folder)}.mjs`);
  const cli = { command: dev ? "dev" : "deploy", dev, paths, state: { version: {} } };
  await bundleProgram(program, output, { $app: { ...appSettings, stage }, $cli: cli, $dev: dev }, conditions);

  const server = await startSstServer(folder);
  try {
    const secretVariables = Object.entries(secrets).map(([name, value]) => [`SST_SECRET_${name}`, value]);
    await run(process.execPath, [program], {
      // The program gets no other variable of this shell, so no credentials and no profile.
      env: {
        ...environment,
        ...Object.fromEntries(secretVariables),
        SST_SERVER: server.endpoint,
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
  return { app: appSettings, resources, bundles: server.bundles };
}

async function removeOldest(cache: string): Promise<void> {
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
