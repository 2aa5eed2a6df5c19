// `npm run doctor` without AWS: the runner and the report, this machine, LibInsight (simulated), Tableau (a stub), and the
// command as a process. doctor-aws.test.ts has the checks of AWS.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import type { Dataset, DatasetInput } from "../../../shared/dataset-schema.ts";
import { defaultDataset } from "../../../shared/datasets.ts";
import { PipelineError } from "../../../shared/errors.ts";
import { secretUrl } from "../../../shared/secret-text.ts";
import { UsageError } from "../../../stacks/cli.ts";
import {
  type Check,
  ok,
  problem,
  type Result,
  runChecks,
  shell,
  warning,
} from "../../../stacks/commands/doctor/check.ts";
import { libInsightChecks } from "../../../stacks/commands/doctor/libinsight-checks.ts";
import { localChecks, type Machine } from "../../../stacks/commands/doctor/local-checks.ts";
import { reportText } from "../../../stacks/commands/doctor/run-doctor.ts";
import { tableauCheck } from "../../../stacks/commands/doctor/tableau-check.ts";
import { webhookCheck } from "../../../stacks/commands/doctor/webhook-check.ts";
import { type LibInsightSettings, startLibInsight } from "../../../stacks/local/libinsight.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { command, libInsightEnv, temporaryFolder } from "../../support/npm-start.ts";
import { startTableau, tokenSecret } from "../../support/tableau-server.ts";

const byName = (results: Result[]) =>
  Object.fromEntries(results.map(({ name, ...finding }) => [name, finding]));

const failing = (error: unknown): Check => ({
  name: "failing",
  async run() {
    throw error;
  },
});

test("results keep the order of the checks, and a check that hangs is a problem", async () => {
  const hanging: Check = { name: "hanging", run: () => new Promise(() => {}) };
  const results = await runChecks(
    "all",
    () => [hanging, { name: "quick", run: async () => ok("Fine.") }],
    50,
  );
  expect(results).toEqual([
    {
      name: "hanging",
      ...problem("There was no result after 0.05 seconds.", expect.stringMatching("HTTPS_PROXY")),
    },
    { name: "quick", state: "ok", saw: "Fine." },
  ]);
});

test("an error of the pipeline is a problem with its advice, and the text of another error is not repeated", async () => {
  const known = new PipelineError("TooBad", { message: "It is full.", advice: "Empty it." });
  const foreign = Object.assign(new Error("a secret"), { name: "ValidationException" });
  const results = await runChecks("all", () => [
    failing(known),
    failing(new UsageError("X is invalid.")),
    failing(foreign),
    failing(Object.assign(new Error("a secret"), { name: "ExpiredTokenException" })),
    failing("a secret"),
  ]);
  expect(results.map(({ state, saw }) => [state, saw])).toEqual([
    ["problem", "It is full."],
    ["problem", "X is invalid."],
    ["problem", "The check failed (ValidationException)."],
    ["problem", "AWS does not accept your credentials, or there are none (ExpiredTokenException)."],
    ["problem", "The check failed (string)."],
  ]);
  expect(JSON.stringify(results)).not.toContain("secret");
  const unmade = await runChecks("AWS", () => Promise.reject(known));
  expect(unmade).toEqual([{ name: "AWS", ...problem("It is full.", "Empty it.") }]);
});

test("a report has a block for each check, at most 80 columns wide, and no command is broken", () => {
  const bucket = "b".repeat(63);
  const command = shell("aws s3api put-bucket-versioning", `--bucket ${bucket}`, "--version Status=Enabled");
  const text = reportText([
    { name: "Node.js", ...ok("Version 24.") },
    {
      name: "data bucket: versioning",
      ...warning(`${"Words and ".repeat(12)}end.`, `Turn it on.\n${command}`),
    },
  ]);
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(text).toMatch(/^ok {7}Node\.js\n {2}Version 24\.\nwarning {2}data bucket: versioning\n {2}Words /);
  expect(text).toContain(
    `  Fix: Turn it on.\n    aws s3api put-bucket-versioning \\\n      --bucket ${bucket} \\\n      --version Status=Enabled\n`,
  );
  expect(text).toMatch(/\n\nproblem 0, warning 1, skipped 0, ok 1\.\n$/);
});

const machine: Machine = {
  nodeVersion: "24.21.0",
  datasets: [defaultDataset],
  folder: ".",
  envFiles: [],
  env: {},
  freeBytes: async () => 10 * 1024 ** 3,
};
const examine = async (given: Partial<Machine>) =>
  byName(await runChecks("machine", () => localChecks({ ...machine, ...given })));

test("this machine is fine, or the report says what it lacks", async () => {
  expect(Object.values(await examine({})).map(({ state }) => state)).toEqual(["ok", "ok", "ok", "ok"]);
  expect((await examine({ nodeVersion: "22.1.0" }))["Node.js"]).toMatchObject({
    state: "problem",
    saw: "Version 22.1.0; the functions run on 24.",
  });
  const withFree = async (bytes: number) => (await examine({ freeBytes: async () => bytes }))["."];
  expect(await withFree(0.5 * 1024 ** 3)).toMatchObject({
    state: "warning",
    fix: expect.stringMatching("1 GiB"),
  });
  expect((await withFree(0))?.state).toBe("problem");
  expect((await examine({ env: { LIBINSIGHT_TIMEOUT_MS: "soon" } })).settings).toMatchObject({
    state: "problem",
    saw: expect.stringContaining("LIBINSIGHT_TIMEOUT_MS"),
  });
  const denied = Object.assign(new Error("denied"), { code: "EROFS", syscall: "access" });
  const readOnly = await examine({ freeBytes: () => Promise.reject(denied) });
  expect(readOnly["."]).toMatchObject({ state: "problem", saw: ". is on a read-only file system." });
});

test("a file with settings is reported by its names, without a value", async () => {
  await using folder = await temporaryFolder();
  const [good, bad, missing] = ["good", "bad", "missing"].map((name) => join(folder.path, name));
  await writeFile(good ?? "", "LIBINSIGHT_CLIENT_SECRET=hidden\nAWS_PROFILE=hidden\n");
  await writeFile(bad ?? "", "LIBINSIGHT_SECRET=hidden\n");
  const found = await examine({ envFiles: [good ?? "", bad ?? "", missing ?? ""] });
  expect(found[good ?? ""]).toEqual(ok("Sets AWS_PROFILE, LIBINSIGHT_CLIENT_SECRET."));
  expect(found[bad ?? ""]).toMatchObject({
    state: "warning",
    saw: "Nothing reads LIBINSIGHT_SECRET.",
  });
  expect(found[missing ?? ""]?.state).toBe("skipped");
  expect(JSON.stringify(found)).not.toContain("hidden");
});

/** Starts a simulation. @returns the results of the checks of a dataset that declares all of the simulation's fields */
async function examineLibInsight(
  given: {
    simulation?: LibInsightSettings;
    columns?: (fields: string[]) => DatasetInput["columns"];
    entry?: Partial<Dataset>;
    place?: { clientSecret?: string; baseUrl?: string };
    now?: Date;
  } = {},
) {
  const server = await startLibInsight({ records: 300, ...given.simulation });
  onTestFinished(server.close);
  const honest = await startLibInsight({ records: 300 });
  const fields = new Set([...honest.records()].flatMap((record) => Object.keys(record)));
  await honest.close();
  fields.delete("_id");
  const columns = [...fields].map((name): DatasetInput["columns"][number] => ({ name, type: "text" }));
  const dataset = {
    ...datasetOf(given.columns?.([...fields]) ?? columns),
    libinsightId: server.datasetId,
    requestId: 16,
    firstDate: "2021-12-02",
    ...given.entry,
  };
  const { baseUrl, clientId, clientSecret } = server;
  const place = { baseUrl, clientId, clientSecret, ...given.place };
  const results = await runChecks("LibInsight", () =>
    libInsightChecks(place, [dataset], () => given.now ?? new Date()),
  );
  return { found: byName(results), requests: server.requests };
}
const fieldsCheck = "LibInsight dataset test-dataset";

test("LibInsight is fine: address, sign-in, and one page of the dataset", async () => {
  const { requests, found } = await examineLibInsight();
  expect(found).toEqual({
    "LibInsight address": ok(expect.stringMatching(/^127\.0\.0\.1:\d+ responds, and its clock agrees\.$/)),
    "LibInsight sign-in": ok("LibInsight accepts the client ID and secret."),
    [fieldsCheck]: ok(
      expect.stringMatching(/^Read \d+ of \d+ records from \d{4}-.* All fields are declared\.$/),
    ),
  });
  // The newest years without records are skipped, and one page is read of the next.
  expect(new Set(requests.map(({ query }) => query.page).filter(Boolean))).toEqual(new Set(["1"]));
});

test("LibInsight that refuses the secret is one problem, and the secret is not repeated", async () => {
  const { found } = await examineLibInsight({ place: { clientSecret: "PlantedSecret" } });
  expect(found["LibInsight sign-in"]).toMatchObject({
    state: "problem",
    saw: "LibInsight refused the client id or the client secret.",
  });
  expect(found[fieldsCheck]).toEqual({ state: "skipped", saw: "The sign-in failed." });
  expect(JSON.stringify(found)).not.toContain("PlantedSecret");
});

test("an unreachable LibInsight, a wrong clock and an unknown dataset are reported", async () => {
  const { found: unreachable } = await examineLibInsight({ place: { baseUrl: "http://127.0.0.1:9/v1.0" } });
  expect(unreachable["LibInsight address"]).toMatchObject({
    state: "problem",
    saw: "LibInsight's host or the proxy refused the connection.",
  });
  const { found: late } = await examineLibInsight({ now: new Date(Date.now() + 3600_000) });
  expect(late["LibInsight address"]).toMatchObject({
    state: "warning",
    saw: expect.stringMatching("by 60 minutes"),
  });
  const { found: unknown } = await examineLibInsight({ entry: { libinsightId: 1 } });
  expect(unknown[fieldsCheck]).toMatchObject({
    state: "problem",
    saw: expect.stringMatching("no dataset"),
  });
  const { found: empty } = await examineLibInsight({ simulation: { records: 0 } });
  expect(empty[fieldsCheck]).toMatchObject({
    state: "warning",
    saw: expect.stringMatching("There are no records"),
  });
});

test("fields that are missing and fields that are not declared are named", async () => {
  const simulation = { renames: [{ field: "mode", label: "Mode of contact" }] };
  const { found: renamed } = await examineLibInsight({ simulation });
  expect(renamed[fieldsCheck]).toMatchObject({
    state: "warning",
    saw: expect.stringMatching(
      /No record has "mode"\. Not declared: "Mode of contact" \(undeclared: "append"\)\.$/,
    ),
    fix: expect.stringMatching("labels"),
  });
  const { found: rejecting } = await examineLibInsight({ simulation, entry: { undeclared: "reject" } });
  expect(rejecting[fieldsCheck]).toMatchObject({ state: "problem", saw: expect.stringMatching("rejected") });
  const columns = (fields: string[]): DatasetInput["columns"] => [
    ...fields.map((name) => ({ name, drop: true }) as const),
    { name: "Barcode", type: "text", required: true },
    { name: "Both", join: ["left", "right"] },
  ];
  const { found: required } = await examineLibInsight({ columns });
  expect(required[fieldsCheck]).toMatchObject({
    state: "problem",
    saw: expect.stringMatching(/No record has "Barcode", "left", "right"\. Records would be rejected\.$/),
  });
});

test("Tableau is signed in to and out of, and content that it lacks is a problem", async () => {
  const tableau = await startTableau();
  tableau.add("datasources", "Desk");
  const { url, tokenName, site } = tableau;
  const settings = { url, tokenName, site, apiVersion: "3.21" };
  const content = (...names: string[]) => ({
    ...defaultDataset,
    tableau: { dataSources: names.map((name) => ({ name })), workbooks: [] },
  });
  const check = async (secret: string, ...names: string[]) =>
    (await runChecks("Tableau", () => [tableauCheck(settings, () => secret, [content(...names)])]))[0];

  expect(await check(tokenSecret, "Desk")).toMatchObject({
    state: "ok",
    saw: expect.stringMatching(/^Signed in to 127\.0\.0\.1:\d+ with REST API 3\.21\. It has everything/),
  });
  expect(tableau.steps).toEqual(["signin", "find datasources", "signout"]);
  expect(await check(tokenSecret, "Desk", "Gates")).toMatchObject({
    state: "problem",
    saw: expect.stringMatching(/sees no data source named "Gates" in Tableau\.$/),
  });
  expect(await check(tokenSecret)).toMatchObject({ state: "warning" });
  const refused = await check("PlantedSecret", "Desk");
  expect(refused).toMatchObject({ state: "problem", saw: "Tableau refused the personal access token." });
  expect(JSON.stringify(refused)).not.toContain("Planted");
  expect([tableau.sessions.size, tableau.refreshed]).toEqual([0, []]);
});

test("a webhook is an https URL in the format of Slack or Teams, or a problem without its value", async () => {
  const check = async (value: string) =>
    (await runChecks("webhook", () => [webhookCheck(() => secretUrl("AlertsWebhookUrl", value))]))[0];
  expect(await check("")).toMatchObject({ name: "webhook", state: "skipped" });
  const slack = await check("https://hooks.slack.com/services/Planted\n");
  expect(slack).toMatchObject({ state: "ok", saw: expect.stringMatching("format of Slack") });
  const teams = await check("https://prod-1.westus.logic.azure.com/workflows/Planted");
  expect(teams).toMatchObject({ state: "ok", saw: expect.stringMatching("format of Teams") });
  const plain = await check("http://hooks.slack.com/services/Planted");
  expect(plain).toMatchObject({ state: "problem", saw: "The secret AlertsWebhookUrl is not an https URL." });
  const broken = await check("https://hooks.slack.com/services/\nPlanted");
  expect(broken).toMatchObject({ state: "problem", saw: expect.stringMatching("line break") });
  expect(JSON.stringify([slack, teams, plain, broken])).not.toContain("Planted");
});

const report = z.object({ checks: z.array(z.object({ name: z.string(), state: z.string() })) });

test("npm run doctor exits with 0 without a problem, with 1 with one, and with 2 after a usage error", async () => {
  await using folder = await temporaryFolder();
  const run = (args: string[], env: Record<string, string> = {}) =>
    command("doctor", folder.path, args, env).ended;
  const fine = await run([]);
  expect(fine).toMatchObject({ code: 0, stderr: "" });
  expect(fine.stdout).toMatch(/^skipped {2}AWS\n {2}No stage is selected\./m);
  const posting = await run([], { ALERTS_WEBHOOK_URL: "https://hooks.slack.com/services/Planted" });
  expect(posting).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ok {7}webhook$/m) });
  expect(posting.stdout).not.toContain("Planted");

  await using server = await startLibInsight({ records: 300, datasetId: defaultDataset.libinsightId });
  const wrong = { ...libInsightEnv(server), LIBINSIGHT_CLIENT_SECRET: "PlantedSecret" };
  const refused = await run(["--json"], wrong);
  expect(refused).toMatchObject({ code: 1, stderr: "" });
  expect(report.parse(JSON.parse(refused.stdout)).checks).toContainEqual({
    name: "LibInsight sign-in",
    state: "problem",
  });
  expect(refused.stdout).not.toContain("PlantedSecret");

  expect(await run(["--stage"])).toMatchObject({ code: 2, stdout: "" });
  const shell = { SST_RESOURCE_App: JSON.stringify({ name: "libinsight", stage: "ada" }) };
  expect(await run(["--stage", "production"], shell)).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^sst shell selects the stage ada\. Remove --stage production\./),
  });
});

test("a half-set LibInsight, an unusable Tableau and missing AWS credentials are problems", async () => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, ".local"));
  await writeFile(join(folder.path, ".env.ada"), "TABLEAU_URL=https://tableau.example.edu\nINSTANCES=many\n");
  const env = {
    LIBINSIGHT_CLIENT_ID: "id",
    // The SDK looks in no file and asks no metadata service.
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/nonexistent",
    AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
  };
  const problemsOf = async (stage: string) => {
    const { code, stdout } = await command("doctor", folder.path, ["--stage", stage], env).ended;
    expect(code).toBe(1);
    return [...stdout.matchAll(/^problem {2}(.*)\n {2}(.{12})/gm)].map(([, ...block]) => block);
  };
  expect(await problemsOf("ada")).toEqual([
    ["settings", "Invalid sett"],
    ["LibInsight", "To collect f"],
    ["Tableau", "The settings"],
    ["AWS", "The settings"],
  ]);
  expect(await problemsOf("production")).toEqual([
    ["LibInsight", "To collect f"],
    ["AWS", "AWS does not"],
  ]);
});

test("an invalid entry of shared/library.ts is a problem too", async () => {
  await using folder = await temporaryFolder();
  const hook = `import { registerHooks } from "node:module";
    registerHooks({ load: (url, context, next) => url.endsWith("/shared/library.ts")
      ? { format: "module", shortCircuit: true, source: 'export const library = undefined; throw new Error("shared/library.ts: the entry is wrong.")' }
      : next(url, context) });`;
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}` };
  expect(await command("doctor", folder.path, [], env).ended).toEqual({
    code: 1,
    stdout:
      "problem  shared/library.ts\n  shared/library.ts: the entry is wrong.\n  Fix: Correct the entry. The other checks need it.\n",
    stderr: "",
  });
});
