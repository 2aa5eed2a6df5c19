// Tests `npm start -- --all` with a library that has a dataset of each kind (test/fixtures/three-datasets.ts).
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { z } from "zod";
import { command, type Ended, filesIn, runReport, temporaryFolder } from "../../support/npm-start.ts";
import { datasetsCondition } from "../../use-test-library.ts";

const env = { NODE_OPTIONS: `--conditions=${datasetsCondition}` };
const program = join(import.meta.dirname, "../../../stacks/local/main.ts");
/** Two whole months, over a change of the clocks. */
const range = ["--from", "2024-10-01", "--to", "2024-11-30"];
const names = ["reference-transactions", "gates", "platforms"];
const report = z.looseObject({ ...runReport.shape, dataset: z.string() });
const failed = z.strictObject({ dataset: z.string(), failed: z.string() });

/** Starts a process with the library of three datasets, on a fixed day. */
function startAll(cwd: string, ...args: string[]) {
  const code = `const { main } = await import(${JSON.stringify(program)}); process.exitCode = await main(new Date("2024-12-02T12:00:00Z"));`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", code, "--", "start", ...args], {
    cwd,
    env: { PATH: process.env.PATH, RETRY_BASE_SECONDS: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
  const ended = (async (): Promise<Ended> => {
    const [stdout, stderr, [exitCode]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "exit"),
    ]);
    return { code: exitCode, stdout, stderr };
  })();
  return { child, ended };
}

/** Returns the text of a report, without its styles. */
const shown = (html = "") =>
  html
    .replace(/<style>.*?<\/style>/s, "")
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ");

test("every dataset is published to its own folder, and commands update each folder", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await startAll(
    folder.path,
    ...["--all", "--json", "--records", "600", "--out", "copies", ...range],
  ).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const runs = z.array(report).parse(JSON.parse(stdout));
  expect(runs.map(({ dataset, state }) => [dataset, state])).toEqual(
    names.map((name) => [name, "published"]),
  );
  for (const run of runs)
    expect(JSON.parse(await readFile(join(folder.path, run.files.run ?? ""), "utf8"))).toEqual(run);
  // A query's result keeps its own name beside a CSV of the same name.
  const [gates, platforms] = [
    await filesIn(join(folder.path, "copies/gates")),
    await filesIn(join(folder.path, "copies/platforms")),
  ];
  expect(Object.keys(gates)).toEqual([
    ...[
      "dictionary.md",
      "gates-deidentified.csv",
      "gates.csv",
      "gates.jsonl",
      "gates.parquet",
      "report.html",
      "results-gates.csv",
      "run.json",
    ],
  ]);

  expect(gates["dictionary.md"]).toContain("| `quantity` | units | Sum of the column count |");
  expect(shown(gates["report.html"])).toContain("Visits per week");
  expect(shown(gates["report.html"])).toContain(" hourly counts are published for the first time");
  expect(shown(gates["report.html"])).not.toMatch(/\brecords?\b/i);
  const ofPlatforms = shown(platforms["report.html"]);
  expect(ofPlatforms).toContain("LibInsight gives no second total for these dates");
  expect(ofPlatforms).not.toMatch(/\brecords?\b|per week|Weekday and hour|locations/i);
  const top = await readFile(join(folder.path, "copies/report.html"), "utf8");
  expect(shown(top)).toContain("Records per week");

  const run = runs.find(({ dataset }) => dataset === "gates");
  const back = await command("runs", folder.path, ["request", "--dataset", "gates", ...range, "--wait"], env)
    .ended;
  expect(back).toMatchObject({ code: 0, stderr: "" });
  expect(back.stdout).toMatch(/^Copied the live files to copies\/gates: gates\.csv, /m);
  expect(back.stdout).toMatch(/^Copied the live files to copies: LibInsightQueryData\.csv, /m);
  expect(back.stdout).toContain(`Its run.json describes run ${run?.runId}.`);
});

test("a dataset that fails does not stop the others, and the exit code is 1", async () => {
  await using folder = await temporaryFolder();
  // The dataset of e-resources has no whole month in this range.
  const days = ["--records", "600", "--from", "2024-10-02", "--to", "2024-10-29"];
  const first = await startAll(folder.path, "--all", ...days).ended;
  expect(first.code).toBe(1);
  expect(first.stderr).toMatch(/^platforms: The date range 2024-10-02 to 2024-10-29 is too short/);
  expect(first.stdout).toMatch(
    /^Collected 2 of 3 datasets\n\n {2}reference-transactions {2}published \d+ rows, \.local\/out\n {2}gates {19}published [\d,]+ rows, \.local\/out\/gates\n {2}platforms {15}failed, see above\n$/m,
  );
  const again = await startAll(folder.path, "--all", "--json", ...days).ended;
  expect(again.code).toBe(1);
  const ends = z.array(z.union([failed, report])).parse(JSON.parse(again.stdout));
  expect(ends.map((end) => ("failed" in end ? "failed" : end.state))).toEqual([
    ...["published", "published", "failed"],
  ]);
});

test("Ctrl-C ends all, and the same command continues the run of its dataset", async () => {
  await using folder = await temporaryFolder();
  const args = ["--all", "--records", "600", "--latency", "150", ...range];
  const { child, ended } = startAll(folder.path, ...args);
  let seen = "";
  child.stdout.on("data", (chunk) => {
    seen += chunk;
    if (/^Collecting gates/m.test(seen)) child.kill("SIGINT");
  });
  const stopped = await ended;
  expect(stopped).toMatchObject({ code: 130, stderr: "Stopped. The same npm start continues the run.\n" });
  expect(stopped.stdout).not.toContain("Collecting platforms");
  const { code, stdout, stderr } = await startAll(folder.path, ...args).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain("Collected 3 of 3 datasets");
  expect(stdout).toMatch(/unfinished run gates-\w+/);
});
