// Everything that `sst deploy` would create on a stage, without an AWS account: sst.config.ts is bundled as SST does,
// runs against SST's real components and Pulumi's mocks, and what it registers is the result. Takes some ten seconds,
// and none when nothing has changed since (.cache/stacks/).
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { glob, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { bundleApp, bundleProgram } from "./evaluate/bundles.ts";
import { app, type Graph, graph, region, registered } from "./evaluate/graph.ts";
import { startSstServer } from "./evaluate/sst-server.ts";

const run = promisify(execFile);
/** An evaluation takes some seconds; one that hangs ends here. */
const timeout = 60_000;

/** Each is some ten megabytes. This is enough for both stages and some going back and forth. */
const keptEvaluations = 8;

/** All that an evaluation depends on. */
const sources = [
  "sst.config.ts",
  "package-lock.json",
  "{stacks,services,shared}/**/*.{ts,sql}",
  "test/stacks/evaluate/*.ts",
];

export type Settings = {
  /** By name, as `sst secret set` would store them. */
  secrets: Record<string, string>;
  /** The shell's variables that the stage reads. */
  environment: Record<string, string>;
};

/** @param stage for example `production`, or a person's own */
export async function evaluateStage(stage: string, settings: Settings): Promise<Graph> {
  const folder = join(process.cwd(), ".cache", "stacks", await contentHash(stage, settings));
  if (!existsSync(folder)) {
    // Appears whole. Of two test files that evaluate at once, the later one's is not needed.
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
  { secrets, environment }: Settings,
  folder: string,
): Promise<Graph> {
  const appBundle = join(folder, "app.mjs");
  await bundleApp(appBundle, stage);
  const { stdout } = await run(process.execPath, [appBundle], { env: environment, timeout });
  const answered = app.parse(JSON.parse(stdout));

  const output = join(folder, "resources.json");
  const paths = { root: process.cwd(), work: folder, platform: join(process.cwd(), ".sst", "platform") };
  // Where SST puts it: what is not bundled is found from there.
  const program = join(paths.platform, `sst.config.${basename(folder)}.mjs`);
  const cli = { command: "deploy", dev: false, paths, state: { version: {} } };
  await bundleProgram(program, output, { $app: { ...answered, stage }, $cli: cli, $dev: false });

  const server = await startSstServer(folder);
  try {
    const secretVariables = Object.entries(secrets).map(([name, value]) => [`SST_SECRET_${name}`, value]);
    await run(process.execPath, [program], {
      // Nothing else of this shell: no credentials, no profile.
      env: {
        ...environment,
        ...Object.fromEntries(secretVariables),
        SST_SERVER: server.url,
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
