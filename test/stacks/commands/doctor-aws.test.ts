// The doctor's checks of AWS with stub clients: a healthy account and stage, and each problem. Some responses are those of
// AWS that MiniStack does not give (test/emulator/doctor.test.ts).
import {
  EntityNotFoundException,
  GlueClient,
  type ServiceOutputTypes as GlueOutput,
} from "@aws-sdk/client-glue";
import { IAMClient, NoSuchEntityException } from "@aws-sdk/client-iam";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { NotFound, S3Client, type ServiceOutputTypes as S3Output } from "@aws-sdk/client-s3";
import { SNSClient, type ServiceOutputTypes as SnsOutput } from "@aws-sdk/client-sns";
import { expect, test } from "vitest";
import { folderOf } from "../../../shared/keys.ts";
import { accountChecks, neededConcurrency } from "../../../stacks/commands/doctor/account-checks.ts";
import { bucketChecks, publishedFileCheck } from "../../../stacks/commands/doctor/bucket-checks.ts";
import { type Check, runChecks } from "../../../stacks/commands/doctor/check.ts";
import { alertCheck, audienceCheck, deadLettersCheck } from "../../../stacks/commands/doctor/stage-checks.ts";
import { intercept, offline } from "../../contracts/inject.ts";
import { datasetOf } from "../../factories/dataset-entries.ts";
import { useLocal } from "../../support/local-adapters.ts";

const local = useLocal();
const dataset = datasetOf([]);
const { csv, table } = dataset.publish;
const $metadata = {};

async function examine(checks: Check[]) {
  const results = await runChecks("AWS", () => checks);
  return Object.fromEntries(results.map(({ name, ...finding }) => [name, finding]));
}

/** What AWS throws. Its message quotes what no output may repeat. */
function awsError(name: string, httpStatusCode = 400): Error {
  return Object.assign(new Error("arn:aws:iam::123456789012:user/planted"), {
    name,
    $metadata: { httpStatusCode },
  });
}

type Account = {
  concurrency?: number;
  /** The principals of each database's default permissions. */
  databases?: Record<string, string[]>;
  isRegistered?: boolean;
  hasUser?: boolean;
  error?: Error;
};

function clientsOf({
  concurrency = 1_000,
  databases = {},
  isRegistered = false,
  hasUser = true,
  error,
}: Account) {
  const settings = { ...offline, maxAttempts: 1 };
  const [glue, iam, lambda] = [new GlueClient(settings), new IAMClient(settings), new LambdaClient(settings)];
  intercept(lambda, async () => {
    if (error) throw error;
    return { $metadata, AccountLimit: { UnreservedConcurrentExecutions: concurrency } };
  });
  intercept(glue, async ({ command, input }): Promise<GlueOutput> => {
    if (error) throw error;
    if (command === "GetTable")
      return { $metadata, Table: { Name: table, IsRegisteredWithLakeFormation: isRegistered } };
    const name = "Name" in input ? String(input.Name) : "";
    const principals = databases[name];
    if (!principals) throw new EntityNotFoundException({ message: "", $metadata });
    const CreateTableDefaultPermissions = principals.map((DataLakePrincipalIdentifier) => ({
      Principal: { DataLakePrincipalIdentifier },
    }));
    return { $metadata, Database: { Name: name, CreateTableDefaultPermissions } };
  });
  intercept(iam, async () => {
    if (error) throw error;
    if (!hasUser) throw new NoSuchEntityException({ message: "", $metadata });
    return { $metadata, User: undefined };
  });
  return { glue, iam, lambda };
}

const stage = { athenaDatabase: "library", existingAnalysts: "analysts" };
const examineAccount = (account: Account) => examine(accountChecks(clientsOf(account), stage, [dataset]));
const everyone = ["IAM_ALLOWED_PRINCIPALS"];

test("a healthy account has no problem, with and without databases", async () => {
  const used = await examineAccount({ databases: { default: everyone, library: everyone } });
  expect(Object.values(used).map(({ state }) => state)).toEqual(["ok", "ok", "ok", "ok", "ok"]);
  const unused = await examineAccount({});
  expect(unused["Glue database default"]?.saw).toMatch(
    /^Does not exist yet\. Athena's first query creates it/,
  );
  expect(unused["Glue database library"]?.saw).toMatch(/^Does not exist yet\. The first run creates it/);
  expect(unused["Lake Formation"]?.state).toBe("skipped");
});

test("a quota below the sum of the functions' concurrency is a problem", async () => {
  const needed = neededConcurrency();
  const at = async (concurrency: number) => (await examineAccount({ concurrency }))["Lambda concurrency"];
  expect((await at(needed))?.state).toBe("ok");
  expect(await at(10)).toMatchObject({
    state: "problem",
    saw: expect.stringContaining(`may run 10 times at once, and the stage's ${needed} times.`),
    fix: expect.stringContaining("aws service-quotas request-service-quota-increase"),
  });
});

test("a database that Lake Formation governs is a problem; registered files and another database's setting are warnings", async () => {
  const governed = async (account: Account) => (await examineAccount(account))["Lake Formation"];
  expect(await governed({ databases: { library: [] } })).toMatchObject({
    state: "problem",
    saw: expect.stringContaining("IAM_ALLOWED_PRINCIPALS has no default permission"),
  });
  const registered = { databases: { library: everyone }, isRegistered: true };
  expect(await governed(registered)).toMatchObject({
    state: "warning",
    saw: expect.stringContaining(`The files of ${table} are registered with Lake Formation.`),
  });
  expect((await governed({ databases: { default: [] } }))?.state).toBe("warning");
});

test("an IAM user that does not exist is a problem", async () => {
  expect((await examineAccount({ hasUser: false }))["IAM user analysts"]).toMatchObject({
    state: "problem",
    saw: "The user does not exist, so the deploy fails.",
  });
});

test("a denied call is a warning that names its action, and quotes nothing", async () => {
  const found = await examineAccount({ error: awsError("AccessDeniedException") });
  expect(Object.values(found).map(({ state, saw }) => [state, saw.split(" to your ")[0]])).toEqual([
    ["warning", "AWS denied lambda:GetAccountSettings"],
    ["warning", "AWS denied glue:GetDatabase"],
    ["warning", "AWS denied glue:GetDatabase"],
    ["warning", "AWS denied glue:GetDatabase"],
    ["warning", "AWS denied iam:GetUser"],
  ]);
  expect(JSON.stringify(found)).not.toContain("planted");
});

type S3 = {
  region?: string;
  versioning?: "Enabled" | "Suspended";
  key?: string;
  algorithm?: "AES256" | "aws:kms";
  hasEvents?: boolean;
  keys?: string[];
  metadata?: Record<string, string>;
  error?: Error;
};

function s3Of({
  region = "us-east-1",
  versioning,
  key,
  algorithm = "AES256",
  hasEvents,
  keys = [csv],
  metadata,
  error,
}: S3) {
  const s3 = new S3Client({ ...offline, maxAttempts: 1 });
  intercept(s3, async ({ command }): Promise<S3Output> => {
    if (error) throw error;
    switch (command) {
      case "HeadBucket":
        return { $metadata, BucketRegion: region };
      case "GetBucketVersioning":
        return { $metadata, ...(versioning && { Status: versioning }) };
      case "GetBucketEncryption": {
        const rule = { SSEAlgorithm: algorithm, ...(key !== undefined && { KMSMasterKeyID: key }) };
        const Rules = [{ ApplyServerSideEncryptionByDefault: rule }];
        return { $metadata, ServerSideEncryptionConfiguration: { Rules } };
      }
      case "GetBucketNotificationConfiguration":
        return { $metadata, ...(hasEvents && { EventBridgeConfiguration: {} }) };
      case "ListObjectsV2":
        return {
          $metadata,
          Contents: keys.map((Key) => ({ Key, Size: 1, ETag: "1", LastModified: new Date(0) })),
        };
      case "HeadObject":
        if (!metadata) throw new NotFound({ message: "", $metadata: { httpStatusCode: 404 } });
        return { $metadata, ETag: "1", LastModified: new Date(0), Metadata: metadata };
      default:
        throw new Error(`${command} is not expected.`);
    }
  });
  return s3;
}

const examineBucket = (given: S3, needsEvents = true) =>
  examine(bucketChecks("data bucket", { name: "library", needsEvents }, s3Of(given), "us-east-1"));

test("a healthy bucket has no problem, with any key that AWS manages, and a bucket of the stage needs no EventBridge", async () => {
  const healthy = { versioning: "Enabled", hasEvents: true } as const;
  for (const encryption of [
    {},
    { algorithm: "aws:kms" },
    { algorithm: "aws:kms", key: "alias/aws/s3" },
  ] as const) {
    const found = await examineBucket({ ...healthy, ...encryption });
    expect(Object.values(found).map(({ state }) => state)).toEqual(["ok", "ok", "ok", "ok"]);
  }
  expect(await examineBucket({ versioning: "Enabled" }, false)).not.toHaveProperty("data bucket: events");
});

test("a bucket in another region is a problem; versions, events and a key that are missing are warnings", async () => {
  const key = "arn:aws:kms:us-east-1:123456789012:key/1";
  const found = await examineBucket({ region: "eu-west-1", algorithm: "aws:kms", key });
  expect(Object.entries(found).map(([name, { state }]) => [name, state])).toEqual([
    ["data bucket: region", "problem"],
    ["data bucket: versioning", "warning"],
    ["data bucket: encryption", "warning"],
    ["data bucket: events", "warning"],
  ]);
  expect(found["data bucket: versioning"]?.fix).toContain("--bucket library \\\n");
  expect(found["data bucket: encryption"]?.saw).toContain(key);
  const gone = await examineBucket({
    error: new NotFound({ message: "", $metadata: { httpStatusCode: 404 } }),
  });
  expect(gone["data bucket: region"]).toMatchObject({ state: "problem", saw: "library does not exist." });
});

test("a denied HEAD, which has no error code, names s3:ListBucket", async () => {
  const found = await examineBucket({ error: awsError("UnknownError", 403) });
  expect(Object.values(found).map(({ fix }) => /^Allow (\S+)/.exec(fix ?? "")?.[1])).toEqual([
    "s3:ListBucket",
    "s3:GetBucketVersioning",
    "s3:GetEncryptionConfiguration",
    "s3:GetBucketNotification",
  ]);
});

test("the published file names its run; a file without one and stray objects are reported", async () => {
  const check = async (given: S3) =>
    (await examine([publishedFileCheck(dataset, "library", s3Of(given))]))[
      `published file of ${dataset.name}`
    ];
  expect(await check({ metadata: { "run-id": "run-1" } })).toMatchObject({
    state: "ok",
    saw: `Run run-1 published ${csv} at 1970-01-01 00:00 UTC.`,
  });
  expect(await check({ keys: [] })).toMatchObject({ state: "ok", saw: `${csv} is not published yet.` });
  expect(await check({ metadata: {} })).toMatchObject({
    state: "warning",
    saw: `Another program wrote ${csv} at 1970-01-01 00:00 UTC.`,
    fix: expect.stringMatching("stop the other program"),
  });
  expect(await check({ keys: [csv, `${folderOf(csv)}copy.csv`] })).toMatchObject({
    state: "problem",
    fix: expect.stringContaining(`s3://library/${folderOf(csv)}copy.csv`),
  });
});

test("an audience that can read names and comments is a warning", async () => {
  expect((await examine([audienceCheck("full")])).audience).toMatchObject({
    state: "warning",
    saw: expect.stringContaining("names and comments can be read"),
    fix: expect.stringContaining('Remove `audience: "full"`'),
  });
  expect((await examine([audienceCheck("deidentified")])).audience).toMatchObject({ state: "ok" });
});

const topic = "arn:aws:sns:us-east-1:123456789012:alerts";
const address = "alerts@example.edu";

async function examineAlerts(SubscriptionArn: string | undefined, Attributes: Record<string, string> = {}) {
  const sns = new SNSClient({ ...offline, maxAttempts: 1 });
  intercept(sns, async ({ command }): Promise<SnsOutput> => {
    if (command === "GetSubscriptionAttributes") return { $metadata, Attributes };
    const other = { Endpoint: "other@example.edu", SubscriptionArn: `${topic}:0` };
    const own = SubscriptionArn === undefined ? [] : [{ Endpoint: address, SubscriptionArn }];
    return { $metadata, Subscriptions: [other, ...own] };
  });
  return (await examine([alertCheck(() => topic, address, sns)])).alerts;
}

test("an alert subscription exists, is confirmed, and cannot be removed by a link", async () => {
  const confirmed = { PendingConfirmation: "false", ConfirmationWasAuthenticated: "true" };
  expect((await examineAlerts(`${topic}:1`, confirmed))?.state).toBe("ok");
  for (const removed of [undefined, "Deleted"]) {
    expect(await examineAlerts(removed)).toMatchObject({
      state: "problem",
      fix: expect.stringContaining("aws sns subscribe --protocol email"),
    });
  }
  const pending = await examineAlerts("PendingConfirmation");
  expect(pending).toMatchObject({
    state: "problem",
    fix: expect.stringContaining("aws sns confirm-subscription --authenticate-on-unsubscribe true"),
  });
  const byLink = await examineAlerts(`${topic}:1`, { ...confirmed, ConfirmationWasAuthenticated: "false" });
  expect(byLink).toMatchObject({ state: "warning", saw: expect.stringContaining("unsubscribe link") });
  expect(JSON.stringify([pending, byLink])).not.toContain(address);
});

test("a missing alert address is a warning, and before a deploy there is no topic to look at", async () => {
  const check = async (topicArn: (() => string) | undefined, alertAddress: string | undefined) =>
    (await examine([alertCheck(topicArn, alertAddress, new SNSClient(offline))])).alerts;
  expect((await check(() => topic, undefined))?.state).toBe("warning");
  expect((await check(undefined, undefined))?.state).toBe("warning");
  expect(await check(undefined, address)).toEqual({ state: "ok", saw: "ALERT_ADDRESS is set." });
});

test("dead letters are counted by queue", async () => {
  const [fetcher, athena] = [local.queuePair("fetcher").deadLetters, local.queuePair("athena").deadLetters];
  const check = () =>
    examine([
      deadLettersCheck([
        ["fetcher", () => fetcher],
        ["athena", () => athena],
      ]),
    ]);
  expect((await check())["dead letters"]).toEqual({ state: "ok", saw: "None in 2 queues." });
  await athena.sendAll(["{}", "{}"]);
  expect((await check())["dead letters"]).toMatchObject({
    state: "problem",
    saw: "2 dead letters: athena 2.",
  });
});
