// Tests the bundle of each function: what it contains, and that it loads in a process with the function's variables.
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { z } from "zod";
import { all, evaluateBoth, secrets, tableauSecret, webhookSecret } from "./stages.ts";
import { lambda } from "./wiring.ts";

const run = promisify(execFile);
const loadedBundle = z.object({
  handler: z.string(),
  node: z.string(),
  secrets: z.record(z.string(), z.string()),
});

const graph = (await evaluateBoth()).production;

const functions = all(graph, "aws:lambda/function:Function", lambda).map(({ name, is }) => {
  const service = name.replace(/Function$/, "");
  return { ...is, service, bundle: graph.bundles[service] };
});

/** Loads the bundle and the secrets of a function in the bundle's folder, which is /var/task on Lambda. */
const loadCode = `
import { Resource } from ${JSON.stringify(import.meta.resolve("sst/resource"))};
const { handler } = await import(process.cwd() + "/bundle.mjs");
const secrets = Object.fromEntries(Object.keys(Resource).map((name) => [name, Resource[name].value]));
console.log(JSON.stringify({ handler: typeof handler, node: process.versions.node, secrets }));
`;
const loaded = await Promise.all(
  functions.map(async ({ service, bundle, environment }) => {
    const env = { ...environment.variables, AWS_REGION: "us-east-1" };
    const options = { cwd: bundle?.directory, env, timeout: 20_000 };
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", loadCode], options);
    return { service, ...loadedBundle.parse(JSON.parse(stdout)) };
  }),
);

test("every bundle loads under Node 24 and exports its handler", () => {
  expect(functions).toHaveLength(11);
  for (const { handler, bundle } of functions) expect(handler).toBe(bundle?.handler);
  for (const { handler, node } of loaded)
    expect([handler, node]).toEqual(["function", expect.stringMatching(/^24\./)]);
});

/** Returns the files in a function's bundle. SST does not minify, so a comment with its path precedes each file. */
async function filesIn(directory: string): Promise<string[]> {
  const bundle = await readFile(join(directory, "bundle.mjs"), "utf8");
  return [...bundle.matchAll(/^\/\/ (\S+\.\w+)$/gm)].flatMap(([, path = ""]) => path);
}

/** Returns the files of one package in a function's bundle. */
async function filesOf(packageName: string, directory: string): Promise<string[]> {
  const paths = (await filesIn(directory)).map((path) => path.replace(/^(.*\/)?node_modules\//, ""));
  return paths.filter((path) => path.startsWith(`${packageName}/`));
}

test("a bundle contains the AWS clients that its function calls and no others", async () => {
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
    Deidentifier: ["client-eventbridge", "client-glue", ...s3],
    Athena: ["client-athena", "client-eventbridge", "client-glue", ...s3],
    Tableau: ["client-eventbridge", "client-sqs"],
    Reporter: ["client-ec2", "client-s3", "client-sns", "client-sqs", "lib-storage"],
    Renderer: s3,
    Ec2: ["client-ec2", "client-eventbridge", ...s3],
    Replay: ["client-sqs"],
  });
});

test("no bundle contains local adapters", async () => {
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

test("bundles contain only zod/mini of zod, in English", async () => {
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

test("only the archive of the athena function contains the datasets' queries", async () => {
  for (const { service, bundle } of functions) {
    // A zip file stores the names of its files in clear text.
    const zip = await readFile(join(bundle?.directory ?? "", "..", service, "code.zip"), "latin1");
    for (const file of await readdir("services/athena/queries")) {
      expect([service, file, zip.includes(`queries/${file}`)]).toEqual([service, file, service === "Athena"]);
    }
  }
});

test("the fetcher gets LibInsight's id and secret, the deidentifier its key, the tableau function its token, the reporter the webhook, and the others no secret", () => {
  const found = Object.fromEntries(loaded.map(({ service, secrets }) => [service, secrets]));
  const none = Object.fromEntries(functions.map(({ service }) => [service, {}]));
  const { PseudonymKey, ...fetcher } = secrets;
  const others = { Tableau: tableauSecret, Reporter: webhookSecret };
  expect(found).toEqual({ ...none, ...others, Fetcher: fetcher, Deidentifier: { PseudonymKey } });
});
