// Each function's bundle, as Lambda would load it: in a process of its own, with the function's own environment.
import { execFile } from "node:child_process";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import type { Graph } from "./evaluate/graph.ts";
import { all, evaluateBoth, evaluationTimeout, secrets, tableauSecret } from "./stages.ts";
import { lambda } from "./wiring.ts";

const run = promisify(execFile);

let graph: Graph;
beforeAll(async () => {
  graph = (await evaluateBoth()).production;
}, evaluationTimeout);

/** Runs as a module in the bundle's folder, as Lambda does in /var/task. */
const load = (file: string, name: string) => `
const start = performance.now();
const loaded = await import(${JSON.stringify(file)});
console.log(JSON.stringify({ type: typeof loaded[${JSON.stringify(name)}], ms: performance.now() - start, node: process.versions.node }));
`;
const answer = z.object({ type: z.string(), ms: z.number(), node: z.string() });

test("every bundle loads under Node 24 and exports its handler", async () => {
  const functions = all(graph, "aws:lambda/function:Function", lambda);
  expect(functions).toHaveLength(9);
  for (const { name, is } of functions) {
    const bundle = graph.bundles[name.replace(/Function$/, "")];
    if (!bundle) throw new Error(`${name} has no bundle.`);
    expect(is.handler).toBe(bundle.handler);
    const file = join(bundle.directory, "bundle.mjs");
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", load(file, "handler")], {
      cwd: bundle.directory,
      env: { ...is.environment.variables, AWS_REGION: "us-east-1" },
      timeout: 20_000,
    });
    const { type, ms, node } = answer.parse(JSON.parse(stdout));
    expect(type).toBe("function");
    expect(node).toMatch(/^24\./);
    const { size } = await stat(file);
    console.info(`${name}: ${(size / 1024 / 1024).toFixed(2)} MB, imported in ${Math.round(ms)} ms`);
  }
});

/** The files of a package in a function's bundle: SST does not minify, so each stands there below its path. */
async function filesOf(packageName: string, directory: string): Promise<string[]> {
  const bundle = await readFile(join(directory, "bundle.mjs"), "utf8");
  const paths = [...bundle.matchAll(/^\/\/ (?:.*\/)?node_modules\/(.+)$/gm)].flatMap(([, path = ""]) => path);
  return paths.filter((path) => path.startsWith(`${packageName}/`));
}

test("of zod a bundle holds zod/mini, and no language but the one in which a dataset's slips are told", async () => {
  for (const { source, directory } of Object.values(graph.bundles)) {
    const files = await filesOf("zod", directory);
    const parts = new Set(files.map((file) => file.split("/")[2]));
    expect([source, [...parts].filter((part) => part !== "locales").sort()]).toEqual([
      source,
      ["core", "mini"],
    ]);
    expect([source, files.filter((file) => /json-schema/.test(file))]).toEqual([source, []]);
    const languages = files.filter((file) => file.startsWith("zod/v4/locales/"));
    expect([source, languages.filter((file) => file !== "zod/v4/locales/en.js")]).toEqual([source, []]);
  }
});

test("the one function that computes with dates, kickoff, holds Temporal, and no other", async () => {
  const holding: string[] = [];
  for (const { source, directory } of Object.values(graph.bundles)) {
    if ((await filesOf("temporal-polyfill", directory)).length > 0) holding.push(source);
  }
  expect(holding).toEqual(["services/kickoff/handler.handler"]);
});

test("Athena's function, and only that, has the datasets' queries beside its bundle", async () => {
  for (const { name } of all(graph, "aws:lambda/function:Function", lambda)) {
    const service = name.replace(/Function$/, "");
    const { directory = "" } = graph.bundles[service] ?? {};
    // SST's own archive. A zip tells its files' names as they are.
    const zip = await readFile(join(directory, "..", service, "code.zip"), "latin1");
    for (const file of await readdir("services/athena/queries")) {
      expect([service, file, zip.includes(`queries/${file}`)]).toEqual([service, file, service === "Athena"]);
    }
  }
});

test("the fetcher finds LibInsight's id and secret beside its code, Tableau's service its token, and nobody else any", async () => {
  const read = `
import { Resource } from ${JSON.stringify(import.meta.resolve("sst/resource"))};
console.log(JSON.stringify(Object.fromEntries(Object.keys(Resource).map((name) => [name, Resource[name].value]))));
`;
  for (const { name, is } of all(graph, "aws:lambda/function:Function", lambda)) {
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", read], {
      cwd: graph.bundles[name.replace(/Function$/, "")]?.directory,
      env: is.environment.variables,
      timeout: 20_000,
    });
    const own = { FetcherFunction: secrets, TableauFunction: tableauSecret };
    const [, expected = {}] = Object.entries(own).find(([owner]) => owner === name) ?? [];
    expect([name, JSON.parse(stdout)]).toEqual([name, expected]);
  }
});
