// `npm run adopt` as a process in a copy of the project, against the simulated LibInsight.
import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startLibInsight } from "../../../../stacks/local/libinsight.ts";
import { libInsightEnv, runReport } from "../../../support/npm-start.ts";

let folder = "";
const original = async () =>
  (await readFile("test/fixtures/library.ts", "utf8")).replace("../../shared/", "./");
const libraryFile = () => join(folder, "shared/library.ts");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "libinsight-adopt-"));
  for (const name of ["stacks", "services", "shared"])
    await cp(name, join(folder, name), { recursive: true });
  for (const name of ["package.json", "node_modules"])
    await symlink(join(process.cwd(), name), join(folder, name));
});
beforeEach(async () => writeFile(libraryFile(), await original()));
afterAll(() => rm(folder, { recursive: true, force: true }));

type Ended = { code: number | string; stdout: string; stderr: string };

function run(program: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(LIBINSIGHT|TABLEAU|ALERTS|npm|NODE_OPTIONS)/.test(name),
  );
  const options = { cwd: folder, env: { ...Object.fromEntries(inherited), ...env }, timeout: 60_000 };
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], options, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}
const adopt = (args: string, env?: Record<string, string>) =>
  run("stacks/commands/adopt.ts", args.split(" "), env);

const fields = [
  { name: "Visit type", type: "text" as const, options: ["Drop-in", "Appointment"] as [string, string] },
  { name: "Minutes", type: "integer" as const },
  { name: "What happened?", type: "comment" as const },
];
const site = { datasetId: 777, requestId: null, records: 400, lastDay: "2024-12-01" };

test("a dataset is added, published and compared with its form", async () => {
  await using server = await startLibInsight({ ...site, fields });
  const env = libInsightEnv(server);
  const added = await adopt("--dataset 777 --name visits --time-zone America/Chicago --yes", env);
  expect(added).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^Source: 127\.0\.0\.1:\d+\nRead 3 fields and \d+ records of /),
  });
  expect(added.stdout).toMatch(/^ {2}what_happened +\(personal\) +\(personal\)/m);
  expect(added.stdout).toMatch(
    /\nAdded visits to shared\/library\.ts\. Next:\n {2}npm start -- --dataset visits\n/,
  );
  // The entry is the only difference.
  const [before = "", after] = (await original()).split(/(?= {2}\],\n\}\);\n$)/);
  const text = await readFile(libraryFile(), "utf8");
  expect([text.startsWith(before), text.endsWith(after ?? "?")]).toEqual([true, true]);
  expect(text.slice(before.length)).toContain(
    '      timeZone: "America/Chicago",\n      // Guessed: that of ',
  );
  expect(await readdir(join(folder, "shared"))).not.toContain("library.draft.ts");

  const started = await run("stacks/local/start.mjs", ["--dataset", "visits", "--json"], env);
  expect(started).toMatchObject({ code: 0, stderr: "" });
  const report = runReport.parse(JSON.parse(started.stdout));
  expect(report).toMatchObject({ state: "published", records: 400, undeclared: {}, violations: [] });

  expect(await adopt("--dataset 777", env)).toMatchObject({
    code: 0,
    stdout: "visits is in shared/library.ts. Its form has not changed.\n",
  });
  const [type, minutes, notes] = fields;
  if (!type || !minutes || !notes) throw new Error("The form has three fields.");
  const changed = [
    { ...type, options: ["Drop-in", "Class"] as [string, string] },
    { ...minutes, name: "Length" },
  ];
  server.restart({ ...site, fields: [...changed, notes, { name: "Desk", type: "text" }] });
  expect(await adopt("--dataset 777", env)).toMatchObject({
    code: 1,
    stdout: `visits is in shared/library.ts, and its form has changed:

- "Minutes"
+ "Length", renamed: the same field ID
+ "Desk", new: text, 5 answers
+ "Visit type", new answer: "Class"

Nothing was changed here. docs/datasets.md says how to update the entry.
`,
  });
  expect(await readFile(libraryFile(), "utf8")).toBe(text);
});

test("--print prints the entry and nothing else, from the simulation if no LibInsight is set", async () => {
  const { code, stdout, stderr } = await adopt("--dataset 9 --print");
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringMatching(
      /^Source: the simulated LibInsight\nRead 16 fields and \d+ simulated records of /,
    ),
  });
  expect(new Function(`return [${stdout}][0];`)()).toMatchObject({ name: "dataset-9", libinsightId: 9 });
  expect(await readFile(libraryFile(), "utf8")).toBe(await original());
});

test.each(["gate-count", "e-resources"])(
  "an entry of the kind %s has no columns of its own",
  async (kind) => {
    const { code, stdout } = await adopt(`--dataset 9 --kind ${kind} --first-date 2025-07-01 --yes`);
    expect(code).toBe(0);
    const text = (await readFile(libraryFile(), "utf8")).slice((await original()).length - 20);
    expect(text).toContain(
      `      kind: "${kind}",\n      libinsightId: 9,\n      firstDate: "2025-07-01",\n`,
    );
    expect(text).not.toContain("columns");
    expect(stdout).toMatch(/^dataset_9_typed, every column with its type: the first 3 rows$/m);
    expect(await adopt("--dataset 9")).toMatchObject({
      code: 0,
      stdout: `dataset-9 is in shared/library.ts. A dataset of the kind ${kind} has no form.\n`,
    });
  },
);

test("a shared dataset has its own path for the field list", async () => {
  await using server = await startLibInsight({ ...site, fields });
  const { stdout } = await adopt("--dataset 777 --shared --print", libInsightEnv(server));
  expect(stdout).toContain("      shared: true,\n");
  expect(server.requests.map(({ path }) => path)).toContain("/v1.0/shared-dataset/777/fields");
});

test("without a field list the records decide, and everything that is no drop-down is personal", async () => {
  const faults = [{ kind: "status" as const, status: 404, where: { endpoint: "fields" as const }, times: 9 }];
  await using server = await startLibInsight({ ...site, records: 9_000, fields, faults });
  const { stdout, stderr } = await adopt("--dataset 777 --print", libInsightEnv(server));
  expect(stderr).toMatch(/^Read \d+ records of /m);
  expect(stdout).toContain(`        // Guessed: the answers are those of the records.
        { name: "Visit type", type: "text", privacy: "keep" },
        // Guessed: personal, because LibInsight does not say what it holds; not in the de-identified file.
        { name: "Minutes", type: "integer", personal: true },
        // Guessed: personal, because LibInsight does not say what it holds; not in the de-identified file.
        { name: "What happened?", type: "text", personal: true },
`);
});

test.each([
  ["const list = [", "has no call defineLibrary({ datasets: [...] })"],
  ["[].concat", "would have other settings afterwards"],
])("a library that is written in another way (%s) stays as it is", async (_, problem) => {
  const text = await original();
  const other = problem.startsWith("has no")
    ? text.replace("datasets: [", "datasets: Array.of(").replace(/\],\n\}\);\n$/, ") as never,\n});\n")
    : text.replace(/\],\n\}\);\n$/, "].slice(0, 1) as never,\n});\n");
  await writeFile(libraryFile(), other);
  const { code, stderr } = await adopt("--dataset 9 --yes");
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringContaining(`because shared/library.ts ${problem}.`),
  });
  expect(await readFile(libraryFile(), "utf8")).toBe(other);
});

test.each([
  [
    "--dataset 9",
    "adopt needs a terminal to ask for confirmation. Add --yes to add the entry without a question",
  ],
  ["--dataset 9 --shared --kind gate-count --yes", "--shared is for records only."],
  ["--dataset 9 --name reference-transactions --yes", "Another dataset has this name."],
  ["--dataset 9 --time-zone EST5 --yes", "Use an IANA time zone"],
])("%s is a usage error", async (args, text) => {
  expect(await adopt(args)).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(text) });
});

test("a dataset that LibInsight does not have gives an error about --dataset", async () => {
  await using server = await startLibInsight({ ...site, fields });
  expect(await adopt("--dataset 778 --yes", libInsightEnv(server))).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(/^LibInsight has no dataset with this id\. Check --dataset\./m),
  });
});
