// The target of a command: the stage that sst shell selects, or .local. A command loads only the adapters of its target.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { openLocal } from "../../../shared/local/open-local.ts";
import { queueNames } from "../../../shared/topology.ts";
import { openTarget } from "../../../stacks/commands/target.ts";
import { runOf } from "../../factories/requests.ts";
import { type HttpServer, sendJson, startHttpServer } from "../../support/http-server.ts";
import { command, type Ended, type Program, temporaryFolder } from "../../support/npm-start.ts";

/** Starts an AWS with empty queues and buckets and with the clock `now`. */
function startAws(now = () => new Date()): Promise<HttpServer> {
  const attributes = { ApproximateNumberOfMessages: "0", ApproximateNumberOfMessagesNotVisible: "0" };
  return startHttpServer(({ path, headers }, response) => {
    response.setHeader("date", now().toUTCString());
    const operation = String(headers["x-amz-target"] ?? "");
    if (operation.endsWith("PutEvents")) {
      sendJson(response, 200, { FailedEntryCount: 0, Entries: [{ EventId: "1" }] });
    } else if (operation) sendJson(response, 200, { Attributes: attributes });
    else if (path.includes("list-type=2")) response.end("<ListBucketResult></ListBucketResult>");
    else response.writeHead(404).end("<Error><Code>NoSuchKey</Code></Error>");
  });
}

/** Returns the environment that sst shell sets, whose link has the variables of the stage's functions. */
function stageEnv({ url }: HttpServer): Record<string, string> {
  const urls = queueNames.flatMap((name) => [
    [`${name.toUpperCase()}_QUEUE_URL`, `${url}/000000000000/${name}`],
    [`${name.toUpperCase()}_DEAD_LETTERS_URL`, `${url}/000000000000/${name}-dead-letters`],
  ]);
  const buckets = { BUS_NAME: "bus", WORK_BUCKET: "work", DATA_BUCKET: "data", INSTANCES: "none" };
  const variables = { ...Object.fromEntries(urls), ...buckets };
  return {
    AWS_ENDPOINT_URL: url,
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    SST_RESOURCE_App: JSON.stringify({ name: "libinsight-pipeline", stage: "ada" }),
    SST_RESOURCE_Settings: JSON.stringify({ variables, type: "sst.sst.Linkable" }),
  };
}

/** Writes the URL of each module that Node loads into a file. */
const recordLoads = `data:text/javascript,${encodeURIComponent(`
  import { appendFileSync } from "node:fs";
  import { registerHooks } from "node:module";
  registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context);
      appendFileSync(process.env.LOADED_FILE, resolved.url + "\\n");
      return resolved;
    },
  });`)}`;

const aws = /node_modules\/@(aws-sdk|smithy)\//;
const local = /node:sqlite|@duckdb/;

/** Runs a command. @returns how it ended, and the URLs of the modules that it loaded */
async function loadedBy(program: Program, args: string[], folder: string, env: Record<string, string> = {}) {
  const loaded = join(folder, `${program}-loaded`);
  const hooks = { NODE_OPTIONS: `--import=${recordLoads}`, LOADED_FILE: loaded };
  const ended: Ended = await command(program, folder, args, { ...hooks, ...env }).ended;
  return { ended, urls: await readFile(loaded, "utf8") };
}

const verbs: [Program, string[]][] = [
  ["runs", ["list"]],
  ["replay", ["list"]],
  ["instances", ["status"]],
];

test("a command on .local does not load the AWS SDK, even with --wait", async () => {
  await using folder = await temporaryFolder();
  await (await openLocal(join(folder.path, ".local"))).close();
  for (const [program, args] of verbs.slice(1)) {
    const { ended, urls } = await loadedBy(program, [...args, "--wait"], folder.path);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(urls).toMatch(local);
    expect(urls).not.toMatch(aws);
  }
});

test("a command on a stage loads neither SQLite nor DuckDB", async () => {
  await using folder = await temporaryFolder();
  const env = stageEnv(await startAws());
  const printed = [];
  for (const [program, args] of verbs) {
    const { ended, urls } = await loadedBy(program, args, folder.path, env);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(urls).toMatch(aws);
    expect(urls).not.toMatch(local);
    printed.push(ended.stdout);
  }
  expect(printed).toEqual([
    "No runs in the last 30 days.\n",
    "No dead letters.\n",
    expect.stringMatching(/^No instance is configured on this stage\./),
  ]);
});

test("--wait on a stage is a usage error, because its services always run", async () => {
  vi.stubEnv("SST_RESOURCE_App", "{}");
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  await expect(openTarget(true)).rejects.toMatchObject({
    name: "UsageError",
    message: "--wait runs the services on this machine. A stage's services always run.",
  });
});

test("on a stage a run is requested on the bus", async () => {
  const stage = await startAws();
  const ended = await command("runs", "/", ["request", "--from", "2024-01-01", "--json"], stageEnv(stage))
    .ended;
  expect(ended).toMatchObject({ code: 0, stderr: "" });
  const { runId } = z.object({ runId: z.string() }).parse(JSON.parse(ended.stdout));
  const sent = stage.requests.map(({ body }) => JSON.parse(body));
  expect(sent).toMatchObject([{ Entries: [{ EventBusName: "bus", DetailType: "run.requested" }] }]);
  const detail = z.object({ requestId: z.string(), from: z.literal("2024-01-01") });
  expect(runOf(detail.parse(JSON.parse(sent[0].Entries[0].Detail)).requestId).runId).toBe(runId);
});

test("on a stage the time is S3's, even if this machine's clock is a year ahead", async () => {
  const realNow = new Date();
  const stage = await startAws(() => realNow);
  for (const [name, value] of Object.entries(stageEnv(stage))) vi.stubEnv(name, value);
  vi.useFakeTimers({ toFake: ["Date"], now: realNow.getTime() + 365 * 24 * 3600_000 });
  onTestFinished(() => {
    vi.useRealTimers();
    vi.unstubAllEnvs();
  });
  const target = await openTarget(false);
  await target.data().head("file");
  expect(Math.abs(target.now().getTime() - realNow.getTime())).toBeLessThan(60_000);
});
