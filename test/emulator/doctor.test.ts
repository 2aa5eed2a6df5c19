// `npm run doctor` on an emulated stage and account: what it reports of a healthy one, of a broken one, and without
// permissions. MiniStack's own Glue has no databases, as an account that never used Athena.
import { CreateDatabaseCommand, GlueClient } from "@aws-sdk/client-glue";
import { CreateAccessKeyCommand, CreateUserCommand } from "@aws-sdk/client-iam";
import {
  CreateBucketCommand,
  PutBucketEncryptionCommand,
  PutBucketNotificationConfigurationCommand,
  PutBucketVersioningCommand,
} from "@aws-sdk/client-s3";
import { SubscribeCommand } from "@aws-sdk/client-sns";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { defaultDataset } from "../../shared/datasets.ts";
import { folderOf } from "../../shared/keys.ts";
import { deadLetterNames } from "../../shared/topology.ts";
import { stageSettings } from "../../stacks/stage.ts";
import { command, temporaryFolder } from "../support/npm-start.ts";
import { deploy, type Stage, shellEnvironment } from "./emulated-stage.ts";
import { awsEnvironment, clientSettings } from "./emulator-clients.ts";
import { dataOf, deadLettersOf, pause } from "./handles.ts";

let stage: Stage;
let glue: GlueClient;
const alertAddress = "alerts@example.edu";
beforeAll(async () => {
  stage = await deploy();
  await pause(stage, "athena");
  glue = new GlueClient(clientSettings(stage.emulator));
});
afterAll(async () => {
  glue?.destroy();
  await stage?.close();
});

const report = z.object({
  checks: z.array(
    z.object({ name: z.string(), state: z.string(), saw: z.string(), fix: z.string().optional() }),
  ),
});
type Finding = { state: string; saw: string; fix?: string | undefined };

/** Runs the doctor. @returns its exit code, and its results by name */
async function examine(args: string[], env: Record<string, string | undefined>) {
  await using place = await temporaryFolder();
  const { code, stdout, stderr } = await command("doctor", place.path, [...args, "--json"], env).ended;
  expect(stderr).toBe("");
  const found: Record<string, Finding> = {};
  for (const { name, ...finding } of report.parse(JSON.parse(stdout)).checks) found[name] = finding;
  return { code, found };
}

const secret = (value: string) => JSON.stringify({ value, type: "sst.sst.Secret" });
/** Returns the environment of `npx sst shell --stage ada`. */
const shell = () => ({
  ...shellEnvironment(stage),
  SST_RESOURCE_LibInsightClientId: secret(stage.libInsight.clientId),
  SST_RESOURCE_LibInsightClientSecret: secret(stage.libInsight.clientSecret),
  LIBINSIGHT_BASE_URL: stage.libInsight.baseUrl,
  AUDIENCE: "deidentified",
});

const statesOf = (found: Record<string, Finding>, state: string) =>
  Object.keys(found).filter((name) => found[name]?.state === state);

test("a subscription that is missing or not confirmed is a problem, with the command for it", async () => {
  const missing = await examine([], { ...shell(), ALERT_ADDRESS: "you@example.edu" });
  expect(missing.code).toBe(1);
  expect(missing.found.alerts?.fix).toContain("aws sns subscribe --protocol email");
  // MiniStack confirms email addresses immediately, but not URLs.
  const Endpoint = "https://127.0.0.1:9/alerts";
  const TopicArn = stage.settings.ALERTS_TOPIC_ARN;
  await stage.clients.sns.send(new SubscribeCommand({ TopicArn, Protocol: "https", Endpoint }));
  const { found } = await examine([], { ...shell(), ALERT_ADDRESS: Endpoint });
  expect(found.alerts?.saw).toMatch(/not confirmed/);
  expect(found.alerts?.fix).toContain("--authenticate-on-unsubscribe true");
});

test("a new stage in an account that never used Athena has no problem and no warning", async () => {
  const { code, found } = await examine([], { ...shell(), ALERT_ADDRESS: alertAddress });

  expect({ problem: statesOf(found, "problem"), warning: statesOf(found, "warning") }).toEqual({
    problem: [],
    warning: [],
  });
  expect(code).toBe(0);
  expect(found["dead letters"]?.saw).toBe(`None in ${deadLetterNames.length} queues.`);
  expect(found["Glue database default"]?.saw).toBe("Does not exist yet. Athena's first query creates it.");
  expect(statesOf(found, "ok")).toEqual([
    "Node.js",
    "shared/library.ts",
    ".local",
    "settings",
    "LibInsight address",
    "LibInsight sign-in",
    `LibInsight dataset ${defaultDataset.name}`,
    "Lambda concurrency",
    "Glue database default",
    "Glue database libinsight_ada",
    "data bucket: region",
    "data bucket: versioning",
    "data bucket: encryption",
    "results bucket: region",
    "results bucket: versioning",
    "results bucket: encryption",
    `published file of ${defaultDataset.name}`,
    "audience",
    "alerts",
    "dead letters",
  ]);
});

test("credentials without permissions get a warning that names the action of each read", async () => {
  const { iam } = stage.clients;
  await iam.send(new CreateUserCommand({ UserName: "visitor" }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: "visitor" }));
  const { code, found } = await examine([], {
    ...shell(),
    ALERT_ADDRESS: alertAddress,
    AWS_ACCESS_KEY_ID: AccessKey?.AccessKeyId,
    AWS_SECRET_ACCESS_KEY: AccessKey?.SecretAccessKey,
  });
  expect({ code, problems: statesOf(found, "problem") }).toEqual({ code: 0, problems: [] });
  // MiniStack allows lambda:GetAccountSettings to everyone.
  const actions = statesOf(found, "warning").map((name) => [
    name,
    /^Allow (\S+) for/.exec(found[name]?.fix ?? "")?.[1],
  ]);
  expect(Object.fromEntries(actions)).toEqual({
    "Glue database default": "glue:GetDatabase",
    "Glue database libinsight_ada": "glue:GetDatabase",
    "Lake Formation": "glue:GetDatabase",
    "data bucket: region": "s3:ListBucket",
    "data bucket: versioning": "s3:GetBucketVersioning",
    "data bucket: encryption": "s3:GetEncryptionConfiguration",
    "results bucket: region": "s3:ListBucket",
    "results bucket: versioning": "s3:GetBucketVersioning",
    "results bucket: encryption": "s3:GetEncryptionConfiguration",
    [`published file of ${defaultDataset.name}`]: "s3:GetObject",
    alerts: "sns:ListSubscriptionsByTopic",
    "dead letters": "sqs:GetQueueAttributes",
  });
});

test("dead letters, stray objects and the file of another program are reported", async () => {
  const { csv } = defaultDataset.publish;
  await deadLettersOf(stage, "fetcher").send("{}");
  await dataOf(stage).put(csv, "a file of the predecessor", "text/csv");
  const env = { ...shell(), ALERT_ADDRESS: alertAddress };
  const foreign = (await examine([], env)).found;
  expect(foreign[`published file of ${defaultDataset.name}`]).toMatchObject({
    state: "warning",
    saw: expect.stringMatching(`^Another program wrote ${csv} at `),
  });
  expect(foreign["dead letters"]).toMatchObject({ state: "problem", saw: "1 dead letter: fetcher 1." });

  await dataOf(stage).put(`${folderOf(csv)}copy.csv`, "copy", "text/csv");
  const { found } = await examine([], env);
  expect(found[`published file of ${defaultDataset.name}`]).toMatchObject({
    state: "problem",
    saw: `Other objects are beside ${csv}.`,
  });
});

test("before the first deploy it checks the existing buckets and the analysts' user", async () => {
  const { s3 } = stage.clients;
  const { existingBuckets, existingAnalysts, athenaDatabase, audience } = stageSettings("production", {});
  const buckets = Object.values(existingBuckets);
  const readable = audience === "full" ? ["audience"] : [];
  const env = awsEnvironment(stage.emulator);
  const missing = (await examine(["--stage", "production"], env)).found;
  for (const place of Object.keys(existingBuckets))
    expect(missing[`${place} bucket: region`]).toMatchObject({
      state: "problem",
      saw: expect.stringMatching("does not exist"),
    });
  for (const place of Object.keys(existingBuckets))
    expect(missing[`${place} bucket: versioning`]?.state).toBe("skipped");
  expect(missing[`IAM user ${existingAnalysts}`]).toMatchObject({ state: "problem" });
  expect(missing.alerts).toMatchObject({ state: "warning" });
  expect(missing).not.toHaveProperty("dead letters");

  await stage.clients.iam.send(new CreateUserCommand({ UserName: existingAnalysts }));
  await glue.send(new CreateDatabaseCommand({ DatabaseInput: { Name: athenaDatabase } }));
  for (const Bucket of buckets) {
    await s3.send(new CreateBucketCommand({ Bucket }));
    const ApplyServerSideEncryptionByDefault = { SSEAlgorithm: "aws:kms" as const, KMSMasterKeyID: "key-1" };
    const ServerSideEncryptionConfiguration = { Rules: [{ ApplyServerSideEncryptionByDefault }] };
    await s3.send(new PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration }));
  }
  const made = (await examine(["--stage", "production"], { ...env, ALERT_ADDRESS: "you@example.edu" })).found;
  // MiniStack keeps no default permissions of a database.
  expect(statesOf(made, "problem")).toEqual(["Lake Formation"]);
  expect(statesOf(made, "warning")).toEqual([
    ...["data", "results"].flatMap((place) =>
      (place in existingBuckets
        ? ["versioning", "encryption", ...(place === "data" ? ["events"] : [])]
        : []
      ).map((what) => `${place} bucket: ${what}`),
    ),
    ...readable,
  ]);

  for (const Bucket of buckets) {
    const VersioningConfiguration = { Status: "Enabled" as const };
    await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
    const NotificationConfiguration = { EventBridgeConfiguration: {} };
    await s3.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration }));
  }
  const prepared = (await examine(["--stage", "production"], { ...env, ALERT_ADDRESS: "you@example.edu" }))
    .found;
  expect(statesOf(prepared, "warning")).toEqual([
    ...Object.keys(existingBuckets).map((place) => `${place} bucket: encryption`),
    ...readable,
  ]);
});
