// The library of shared/library.ts: what its production stage creates, and what `npm start` publishes for its first dataset.
// Every other test uses the tests' own library (test/use-test-library.ts).
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { outputColumns } from "../../shared/dataset-schema.ts";
import { library } from "../../shared/library.ts";
import { runReport, temporaryFolder } from "../support/npm-start.ts";
import { evaluateStage } from "./evaluate.ts";
import { alertAddress, all, created, evaluationTimeout, secrets } from "./stages.ts";
import { lambda } from "./wiring.ts";

const { production, region, tags, libInsightUrl } = library;

test("production has the library's address, region, tags, buckets, database and user, and personal .env files change none", {
  timeout: evaluationTimeout,
}, async () => {
  const environment = { ALERT_ADDRESS: alertAddress, LIBINSIGHT_BASE_URL: "http://127.0.0.1:8080/v1.0" };
  const graph = await evaluateStage("production", { secrets, environment, deployed: true });
  expect(graph.app.providers.aws).toMatchObject({ region, defaultTags: { tags } });
  const functions = all(graph, "aws:lambda/function:Function", lambda);
  const variables = (service: string) =>
    functions.find(({ name }) => name === `${service}Function`)?.is.environment.variables;
  expect(variables("Fetcher")).toMatchObject({ LIBINSIGHT_BASE_URL: libInsightUrl });
  expect(variables("Athena")).toMatchObject({ ATHENA_DATABASE: production.athenaDatabase });
  const buckets = graph.resources.filter(({ type }) => type === "aws:s3/bucket:Bucket");
  for (const [bucket, name] of Object.entries(production.buckets))
    expect(buckets.map(({ existing }) => existing)).toContain(name ?? bucket);
  expect(created(graph, "aws:iam/user:User")).toHaveLength(production.analystsUser ? 0 : 1);
  const schedules = all(
    graph,
    "aws:scheduler/schedule:Schedule",
    z.object({ scheduleExpression: z.string(), scheduleExpressionTimezone: z.string() }),
  );
  for (const { name, schedule, timeZone } of library.datasets) {
    const collect = schedules.find((found) => found.name.startsWith(`Collect-${name}`));
    expect(collect?.is).toEqual({ scheduleExpression: schedule, scheduleExpressionTimezone: timeZone });
  }
  const startsInstances = schedules.some(({ name }) => name.startsWith("Start-for-"));
  expect(startsInstances).toBe(library.instances.production !== "none");
});

test("npm start publishes the first dataset of the library from the simulation, with a value in every column", async () => {
  const [dataset] = library.datasets;
  await using folder = await temporaryFolder();
  const program = join(import.meta.dirname, "../../stacks/local/main.ts");
  const code = `const { main } = await import(${JSON.stringify(program)}); process.exitCode = await main();`;
  // Without NODE_OPTIONS, which selects the tests' library. The range begins in the first year of the simulated records.
  const { NODE_OPTIONS: _, ...env } = process.env;
  const { status, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", code, "--", "--quiet", "--records", "300"],
    { cwd: folder.path, env, encoding: "utf8" },
  );
  expect([status, stderr]).toEqual([0, ""]);
  const report = runReport.parse(
    JSON.parse(await readFile(join(folder.path, ".local/out/run.json"), "utf8")),
  );
  expect(report).toMatchObject({ state: "published", undeclared: {}, violations: [] });
  expect(report.columns).toEqual(outputColumns(dataset.columns));
  expect(report.rows).toBeGreaterThan(0);
  const { filled, mistyped } = z
    .object({ filled: z.record(z.string(), z.number()), mistyped: z.record(z.string(), z.number()) })
    .parse(report);
  expect(Object.keys(filled).toSorted()).toEqual(report.columns.toSorted());
  expect(mistyped).toEqual({});
});
