// Tests the protection of data, secrets and costs on an evaluated stage: buckets, encryption, tags and logs.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { library } from "#library";
import { datasets } from "../../shared/datasets.ts";
import { daysInWork } from "../../shared/keys.ts";
import { runFolders } from "../../shared/parquet-file.ts";
import { maxMessageBytes } from "../../shared/ports.ts";
import { allEntries } from "../../shared/privacy/deidentified.ts";
import { queueNames } from "../../shared/topology.ts";
import {
  all,
  created,
  evaluateBoth,
  json,
  nameIn,
  policyDocument,
  secrets,
  stages,
  tableauSecret,
  webhookSecret,
} from "./stages.ts";
import { lambda, only, queue } from "./wiring.ts";

const graphs = await evaluateBoth();

const bucketInputs = z.object({ bucket: z.string() });
const buckets = { production: ["Work"], ada: ["Work", "Data", "Results"] };
const versioned = { production: [], ada: ["Data", "Results"] };

describe.each(stages)("on the stage %s", (stage) => {
  test("every bucket blocks public access", () => {
    const blocks = created(graphs[stage], "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock");
    expect(bucketsOf(blocks.map(({ inputs }) => inputs))).toEqual(buckets[stage]);
    for (const { inputs } of blocks) {
      expect(inputs).toMatchObject({
        blockPublicAcls: true,
        blockPublicPolicy: true,
        ignorePublicAcls: true,
        restrictPublicBuckets: true,
      });
    }
    expect(created(graphs[stage], "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration")).toEqual([]);
  });

  test("every bucket policy denies plain HTTP and allows nothing", () => {
    const policies = all(
      graphs[stage],
      "aws:s3/bucketPolicy:BucketPolicy",
      bucketInputs.extend({ policy: json(policyDocument) }),
    );
    expect(bucketsOf(policies.map(({ is }) => is))).toEqual(buckets[stage]);
    for (const { is } of policies) {
      expect(is.policy.Statement).toMatchObject([
        {
          Effect: "Deny",
          Action: ["s3:*"],
          Principal: { "*": ["*"] },
          Resource: [`arn:aws:s3:::${is.bucket}`, `arn:aws:s3:::${is.bucket}/*`],
          Condition: { Bool: { "aws:SecureTransport": ["false"] } },
        },
      ]);
    }
  });

  test("old versions of published files expire after 90 days, runs and raw query results after 30, kept parts after 200, incomplete uploads and analysts' results after 7", () => {
    const versioning = created(graphs[stage], "aws:s3/bucketVersioning:BucketVersioning");
    expect(bucketsOf(versioning.map(({ inputs }) => inputs))).toEqual(versioned[stage]);
    const lifecycles = created(
      graphs[stage],
      "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    );
    const known = nameIn(graphs[stage]);
    for (const { inputs } of lifecycles) {
      const abortIncompleteMultipartUpload = { daysAfterInitiation: 7 };
      if (known(bucketInputs.parse(inputs).bucket) === "Work") {
        expect(inputs.rules).toMatchObject(
          Object.entries(daysInWork).map(([prefix, days]) => ({
            ...{
              status: "Enabled",
              filter: { prefix },
              expiration: { days },
              abortIncompleteMultipartUpload,
            },
          })),
        );
        continue;
      }
      const below = (prefix: string, days: number) => ({
        status: "Enabled",
        filter: { prefix },
        expiration: { days },
        noncurrentVersionExpiration: { noncurrentDays: 1 },
      });
      const folders = new Set(datasets.map(({ publish }) => publish.queryResults));
      const ofResults = [
        below("tableau/", 7),
        below("deidentified/", 7),
        ...[...folders].map((folder) => below(`${folder}/`, 30)),
      ];
      const ofData = allEntries(datasets)
        .flatMap(runFolders)
        .map(({ folder }) => below(folder, 400));
      expect(inputs.rules).toMatchObject([
        {
          status: "Enabled",
          noncurrentVersionExpiration: { noncurrentDays: 90 },
          abortIncompleteMultipartUpload,
        },
        ...(known(bucketInputs.parse(inputs).bucket) === "Results" ? ofResults : []),
        ...(known(bucketInputs.parse(inputs).bucket) === "Data" ? ofData : []),
      ]);
    }
    expect(bucketsOf(lifecycles.map(({ inputs }) => inputs))).toEqual(buckets[stage]);
    // What people read never expires.
    const expiring = [
      "tableau/",
      "deidentified/",
      ...datasets.map(({ publish }) => `${publish.queryResults}/`),
    ];
    for (const { publish } of allEntries(datasets)) {
      const readable = [publish.csv, publish.jsonl, publish.results];
      for (const key of readable) expect(expiring.filter((prefix) => key.startsWith(prefix))).toEqual([]);
    }
  });

  test("every queue is encrypted and accepts the largest message", () => {
    const found = all(graphs[stage], "aws:sqs/queue:Queue", queue);
    // With dead-letter queues, and those of the rules and of the schedules.
    expect(found).toHaveLength(2 * queueNames.length + 2);
    for (const { name, is } of found) {
      expect([name, is.sqsManagedSseEnabled]).toEqual([name, true]);
      // The limit includes the attributes, in which a dead letter stores its error.
      expect([name, is.maxMessageSize]).toEqual([name, 1_048_576]);
    }
    expect(maxMessageBytes).toBeLessThan(1_048_576);
  });

  test("every resource gets the library's tags", () => {
    expect(graphs[stage].app.providers.aws.defaultTags.tags).toEqual(library.tags);
    // The default provider sets them on every resource that supports tags, and there is no other provider.
    expect(created(graphs[stage], "pulumi:providers:aws")).toEqual([]);
    for (const { type, inputs } of graphs[stage].resources) {
      expect([type, Object.keys(inputs).filter((name) => /^tags/i.test(name))]).toEqual([type, []]);
    }
  });

  test("every function runs on Node 24 and arm64, and keeps JSON logs for 90 days", () => {
    const logs = all(
      graphs[stage],
      "aws:cloudwatch/logGroup:LogGroup",
      z.object({ name: z.string(), retentionInDays: z.number() }),
    );
    const functions = all(graphs[stage], "aws:lambda/function:Function", lambda);
    expect(functions).toHaveLength(queueNames.length);
    for (const { is } of functions) {
      expect(is).toMatchObject({ runtime: "nodejs24.x", architectures: ["arm64"] });
      expect(is.loggingConfig.logFormat).toBe("JSON");
      const log = only(logs.filter(({ is: { name } }) => name === is.loggingConfig.logGroup));
      expect(log.is.retentionInDays).toBe(90);
    }
    expect(logs).toHaveLength(functions.length);
  });

  test("no resource or bundle contains a secret in clear text", async () => {
    const planted = Object.values({ ...secrets, ...tableauSecret, ...webhookSecret });
    const encrypted: string[] = [];
    for (const resource of graphs[stage].resources) {
      for (const [name, value] of Object.entries(resource.inputs)) {
        const text = JSON.stringify(value) ?? "";
        if (!planted.some((secret) => text.includes(secret))) continue;
        // Only Pulumi's record of a link may contain a secret, because its state encrypts the property.
        expect([resource.type, resource.encrypted]).toEqual([
          "sst:sst:LinkRef",
          expect.arrayContaining([name]),
        ]);
        encrypted.push(resource.name);
      }
    }
    expect(encrypted.sort()).toEqual([
      ...(stage === "production" ? ["AlertsWebhookUrlLinkRef"] : []),
      "LibInsightClientIdLinkRef",
      "LibInsightClientSecretLinkRef",
      "PseudonymKeyLinkRef",
      ...(stage === "production" ? ["TableauTokenSecretLinkRef"] : []),
    ]);
    for (const { directory } of Object.values(graphs[stage].bundles)) {
      for (const file of await readdir(directory)) {
        const content = await readFile(join(directory, file));
        for (const secret of planted) expect([file, content.includes(secret)]).toEqual([file, false]);
      }
    }
  });

  function bucketsOf(inputs: object[]): string[] {
    const known = nameIn(graphs[stage]);
    return inputs.map((each) => known(bucketInputs.parse(each).bucket));
  }
});

test("production is protected from removal, and its buckets are retained", () => {
  const { production } = graphs;
  expect(production.app).toMatchObject({ protect: true, removal: "retain" });
  const work = only(created(production, "aws:s3/bucket:Bucket"));
  expect(work).toMatchObject({ name: "WorkBucket", retainOnDelete: true, inputs: { forceDestroy: false } });
});

test("a personal stage is removed with its buckets and their objects", () => {
  const { ada } = graphs;
  expect(ada.app).toMatchObject({ protect: false, removal: "remove" });
  for (const { retainOnDelete, inputs } of created(ada, "aws:s3/bucket:Bucket")) {
    expect([retainOnDelete, inputs.forceDestroy]).toEqual([false, true]);
  }
});

test("no resource creates, changes or replaces production's existing buckets", () => {
  const existing = ["library-data", "library-query-results"];
  const { resources } = graphs.production;
  expect(resources.flatMap((each) => each.existing ?? [])).toEqual(existing);
  const touching = resources.filter(
    ({ type, existing: known, inputs }) =>
      type.startsWith("aws:s3/") && !known && existing.includes(String(inputs.bucket)),
  );
  expect(touching).toEqual([]);
});
