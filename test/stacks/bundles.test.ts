// Each function's bundle: what it holds, and that it loads as Lambda loads it, in a process with the function's variables.
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { all, evaluateBoth, secrets, tableauSecret } from "./stages.ts";
import { lambda } from "./wiring.ts";

const run = promisify(execFile);

const graph = (await evaluateBoth()).production;

/** Runs code as a module in a function's bundle, as in /var/task on Lambda. @returns what it printed, as JSON */
async function runIn(name: string, variables: Record<string, string>, code: string): Promise<unknown> {
  const cwd = graph.bundles[name.replace(/Function$/, "")]?.directory;
  const options = { cwd, env: { ...variables, AWS_REGION: "us-east-1" }, timeout: 20_000 };
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", code], options);
  return JSON.parse(stdout);
}

test("every bundle loads under Node 24 and exports its handler", async () => {
  const functions = all(graph, "aws:lambda/function:Function", lambda);
  expect(functions).toHaveLength(9);
  for (const { name, is } of functions) {
    expect(is.handler).toBe(graph.bundles[name.replace(/Function$/, "")]?.handler);
    const code = `
const { handler } = await import(process.cwd() + "/bundle.mjs");
console.log(JSON.stringify([typeof handler, process.versions.node]));`;
    expect(await runIn(name, is.environment.variables, code)).toEqual([
      "function",
      expect.stringMatching(/^24\./),
    ]);
  }
});

/** Returns the files in a function's bundle. SST does not minify, so esbuild's comment with its path precedes each. */
async function filesIn(directory: string): Promise<string[]> {
  const bundle = await readFile(join(directory, "bundle.mjs"), "utf8");
  return [...bundle.matchAll(/^\/\/ (\S+\.\w+)$/gm)].flatMap(([, path = ""]) => path);
}

/** Returns the files of one package in a function's bundle. */
async function filesOf(packageName: string, directory: string): Promise<string[]> {
  const paths = (await filesIn(directory)).map((path) => path.replace(/^(.*\/)?node_modules\//, ""));
  return paths.filter((path) => path.startsWith(`${packageName}/`));
}

test("a bundle holds the AWS clients that its function calls and no others", async () => {
  const clients: Record<string, string[]> = {};
  for (const [name, { directory }] of Object.entries(graph.bundles)) {
    const found = (await filesIn(directory)).flatMap(
      (path) => /node_modules\/@aws-sdk\/((?:client|lib)-[\w-]+)\//.exec(path)?.[1] ?? [],
    );
    clients[name] = [...new Set(found)].sort();
  }
  const s3 = ["client-s3", "client-sqs", "lib-storage"];
  expect(clients).toEqual({
    Kickoff: ["client-eventbridge", ...s3],
    Fetcher: s3,
    Transformer: ["client-eventbridge", ...s3],
    Assembler: ["client-eventbridge", "client-glue", ...s3],
    Athena: ["client-athena", "client-eventbridge", "client-glue", ...s3],
    Tableau: ["client-eventbridge", "client-sqs"],
    Reporter: ["client-ec2", "client-s3", "client-sns", "client-sqs", "lib-storage"],
    Ec2: ["client-ec2", "client-eventbridge", ...s3],
    Replay: ["client-sqs"],
  });
});

test("no bundle holds the adapters of one machine", async () => {
  for (const { source, directory } of Object.values(graph.bundles)) {
    const files = await filesIn(directory);
    expect(files).toContain(source.replace(/\.handler$/, ".ts"));
    expect([source, files.filter((path) => /shared\/local\/|stacks\/|duckdb/.test(path))]).toEqual([
      source,
      [],
    ]);
    const bundle = await readFile(join(directory, "bundle.mjs"), "utf8");
    expect([source, /["']node:sqlite["']|@duckdb/.test(bundle)]).toEqual([source, false]);
  }
});

test("of zod a bundle holds only zod/mini, in English", async () => {
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

test("only kickoff, which computes with dates, holds Temporal", async () => {
  const holding: string[] = [];
  for (const { source, directory } of Object.values(graph.bundles)) {
    if ((await filesOf("temporal-polyfill", directory)).length > 0) holding.push(source);
  }
  expect(holding).toEqual(["services/kickoff/handler.handler"]);
});

test("only the athena function has the datasets' queries beside its bundle", async () => {
  for (const { name } of all(graph, "aws:lambda/function:Function", lambda)) {
    const service = name.replace(/Function$/, "");
    const { directory = "" } = graph.bundles[service] ?? {};
    // SST's archive: a zip holds its file names in clear text.
    const zip = await readFile(join(directory, "..", service, "code.zip"), "latin1");
    for (const file of await readdir("services/athena/queries")) {
      expect([service, file, zip.includes(`queries/${file}`)]).toEqual([service, file, service === "Athena"]);
    }
  }
});

test("the fetcher gets LibInsight's id and secret, the tableau function its token, and the others no secret", async () => {
  const read = `
import { Resource } from ${JSON.stringify(import.meta.resolve("sst/resource"))};
console.log(JSON.stringify(Object.fromEntries(Object.keys(Resource).map((name) => [name, Resource[name].value]))));
`;
  for (const { name, is } of all(graph, "aws:lambda/function:Function", lambda)) {
    const own = { FetcherFunction: secrets, TableauFunction: tableauSecret };
    const [, expected = {}] = Object.entries(own).find(([owner]) => owner === name) ?? [];
    expect([name, await runIn(name, is.environment.variables, read)]).toEqual([name, expected]);
  }
});
