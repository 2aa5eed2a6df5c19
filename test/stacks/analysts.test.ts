// Tests the permissions of analysts on an evaluated stage: iam.ts decides each call. analysts.md lists the policy.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { viewNames } from "../../shared/dataset-schema.ts";
import { datasets } from "../../shared/datasets.ts";
import { folderOf, keys, previousKey } from "../../shared/keys.ts";
import { parquetKey } from "../../shared/parquet-file.ts";
import { account, type Graph, region } from "./evaluate/graph.ts";
import { isAllowed } from "./iam.ts";
import { bucketArn, cell, readableArn, withDatasetPlaceholders } from "./readable.ts";
import { all, created, evaluateBoth, json, policyDocument, type Stage, stages } from "./stages.ts";
import { only, rule } from "./wiring.ts";

const graphs = await evaluateBoth();

const policies = z.object({ name: z.string(), policy: json(policyDocument) });
const attachment = z.object({ user: z.string(), policyArn: z.string() });
const users = { production: "library-analysts", ada: "libinsight-ada-analysts" };
const databases = { production: "libinsightdatabase", ada: "libinsight_ada" };
const scope = `${region}:${account}`;
const catalog = `arn:aws:glue:${scope}:catalog`;
const dataCatalog = `arn:aws:athena:${scope}:datacatalog/AwsDataCatalog`;
const workgroupArn = (name: string): string => `arn:aws:athena:${scope}:workgroup/${name}`;

/** A call, with every resource that AWS checks for it. */
type Call = { action: string; on: string[]; prefix?: string };

function policyOf(graph: Graph): z.infer<typeof policyDocument> {
  return only(all(graph, "aws:iam/policy:Policy", policies)).is.policy;
}

async function mayCall(stage: Stage, { action, on, prefix }: Call): Promise<boolean> {
  const context = prefix === undefined ? {} : { "s3:prefix": prefix };
  const { Statement } = policyOf(graphs[stage]);
  const allowed = await Promise.all(
    on.map((resource) => isAllowed({ action, resource, context }, Statement)),
  );
  return allowed.every(Boolean);
}

async function deniedOf(stage: Stage, calls: Call[]): Promise<Call[]> {
  const allowed = await Promise.all(calls.map((call) => mayCall(stage, call)));
  return calls.filter((_, index) => !allowed[index]);
}

/** @param actions a service and its actions, separated by spaces: `s3 GetObject PutObject` */
function each(actions: string, on: string[]): Call[] {
  const [service, ...names] = actions.split(" ");
  return names.map((name) => ({ action: `${service}:${name}`, on }));
}

describe.each(stages)("on the stage %s", (stage) => {
  const database = databases[stage];
  const own = workgroupArn(`libinsight-${stage}-analysts`);
  const tableArn = (name: string, of = database) => [
    catalog,
    `arn:aws:glue:${scope}:database/${of}`,
    `arn:aws:glue:${scope}:table/${of}/${name}`,
  ];
  const data = (key: string): string => `${bucketArn(graphs[stage], "Data")}/${key}`;
  const results = (key: string): string => `${bucketArn(graphs[stage], "Results")}/${key}`;

  test("the policy matches the reviewed table", async () => {
    await expect(table(graphs[stage])).toMatchFileSnapshot("analysts.md");
  });

  test("the policy is attached to one user, and no user has another policy", () => {
    const { name, is } = only(
      all(graphs[stage], "aws:iam/userPolicyAttachment:UserPolicyAttachment", attachment),
    );
    expect([name, is]).toEqual([
      "AnalystsAttachment",
      { user: users[stage], policyArn: `arn:aws:iam::${account}:policy/libinsight-${stage}-analysts` },
    ]);
    const others = graphs[stage].resources.filter(({ type }) =>
      /^aws:iam\/(userPolicy|user.*Attachment|group|accessKey|policyAttachment)/i.test(type),
    );
    expect(others.map((each) => each.name)).toEqual(["AnalystsAttachment"]);
  });

  test("analysts may run, stop and read queries in their workgroup", async () => {
    const calls = each(
      "athena GetWorkGroup StartQueryExecution StopQueryExecution GetQueryExecution GetQueryResults GetQueryResultsStream",
      [own],
    );
    expect(await deniedOf(stage, calls)).toEqual([]);
  });

  test("the driver may list the catalog, the database, its views and its tables", async () => {
    const names = datasets.flatMap(({ publish: { table } }) => [table, ...Object.values(viewNames(table))]);
    const calls = [
      ...each("athena ListWorkGroups ListDataCatalogs", ["*"]),
      ...each("athena GetDataCatalog ListDatabases GetDatabase ListTableMetadata GetTableMetadata", [
        dataCatalog,
      ]),
      ...each("glue GetDatabase", [catalog, `arn:aws:glue:${scope}:database/default`]),
      ...each("glue GetDatabase", [catalog, `arn:aws:glue:${scope}:database/${database}`]),
      ...names.flatMap((name) => each("glue GetTable GetTables GetPartitions", tableArn(name))),
    ];
    expect(await deniedOf(stage, calls)).toEqual([]);
  });

  test("analysts may list and read published files", async () => {
    const bucket = bucketArn(graphs[stage], "Data");
    const calls = datasets.flatMap(({ publish: { csv, jsonl } }): Call[] => [
      ...each("s3 GetBucketLocation", [bucket]),
      ...each("s3 GetObject", [data(csv), data(previousKey(csv)), data(jsonl), data(parquetKey(csv, "run"))]),
      { action: "s3:ListBucket", on: [bucket], prefix: folderOf(parquetKey(csv, "run")) },
      { action: "s3:ListBucket", on: [bucket], prefix: folderOf(csv) },
      { action: "s3:ListBucket", on: [bucket], prefix: folderOf(previousKey(csv)) },
      { action: "s3:ListBucket", on: [bucket], prefix: folderOf(jsonl) },
    ]);
    expect(await deniedOf(stage, calls)).toEqual([]);
  });

  test("analysts may write and read results in their folder and in the folders of older connections", async () => {
    const folders = [keys.analystsResults, ...datasets.map(({ publish }) => `${publish.queryResults}/`)];
    const calls = [
      ...each("s3 GetBucketLocation ListBucket ListBucketMultipartUploads", [
        bucketArn(graphs[stage], "Results"),
      ]),
      ...each(
        "s3 GetObject PutObject AbortMultipartUpload ListMultipartUploadParts",
        folders.map((path) => results(`${path}7f0c3a1e.csv`)),
      ),
      ...datasets.flatMap(({ name, publish }) =>
        each("s3 GetObject", [results(publish.results), results(keys.latestReport(name))]),
      ),
    ];
    expect(await deniedOf(stage, calls)).toEqual([]);
  });

  const published = datasets.flatMap(({ publish: { csv, jsonl } }) => [
    csv,
    jsonl,
    parquetKey(csv, "run"),
    `${folderOf(csv)}other.csv`,
  ]);
  const writing = "s3 PutObject PutObjectAcl PutObjectTagging";
  const deleting = "s3 DeleteObject DeleteObjectVersion";

  const forbidden: Record<string, () => Call[]> = {
    "to write or delete in the data bucket": () =>
      published.flatMap((key) =>
        [writing, deleting, "s3 AbortMultipartUpload"].flatMap((actions) => each(actions, [data(key)])),
      ),
    "to delete results, neither the pipeline's nor their own": () =>
      [...datasets.map(({ publish }) => publish.results), `${keys.analystsResults}7f0c3a1e.csv`].flatMap(
        (key) => each(deleting, [results(key)]),
      ),
    "to replace the newest results file": () =>
      datasets.flatMap(({ publish }) => each(writing, [results(publish.results)])),
    "to change the column names": () =>
      each(
        writing,
        datasets.map(({ name }) => results(keys.columnNames(name))),
      ),
    "to change the reports": () =>
      each(
        writing,
        datasets.flatMap(({ name }) => [
          results(keys.latestReport(name)),
          results(keys.runReport(name, `${name}-0123456789ab`)),
        ]),
      ),
    "to read or list other folders of the data bucket": () => [
      ...["other-team/file.csv", "file.csv", "libinsightdata-athena.csv"].flatMap((key) =>
        each("s3 GetObject", [data(key)]),
      ),
      ...[undefined, "", "other-team/", "libinsightdata"].map((prefix) => ({
        action: "s3:ListBucket",
        on: [bucketArn(graphs[stage], "Data")],
        ...(prefix !== undefined && { prefix }),
      })),
    ],
    "to list, read or write other buckets": () =>
      [bucketArn(graphs[stage], "Work"), "arn:aws:s3:::another-bucket"].flatMap((bucket) => [
        ...each("s3 ListBucket GetBucketLocation", [bucket]),
        ...each("s3 GetObject PutObject", [`${bucket}/runs/some-run/run.json`]),
      ]),
    "to change the buckets": () =>
      ["Data", "Results"].flatMap((name) =>
        each(
          "s3 PutBucketPolicy PutLifecycleConfiguration PutBucketVersioning PutBucketNotification DeleteBucket",
          [bucketArn(graphs[stage], name)],
        ),
      ),
    "to run queries in other workgroups, such as the pipeline's": () =>
      [`libinsight-${stage}`, "primary", `libinsight-${stage}-analysts-2`].flatMap((name) =>
        each("athena StartQueryExecution StopQueryExecution GetQueryResults", [workgroupArn(name)]),
      ),
    "to change or delete workgroups and catalogs": () => [
      ...each("athena UpdateWorkGroup DeleteWorkGroup CreateWorkGroup", [own]),
      ...each("athena UpdateDataCatalog DeleteDataCatalog", [dataCatalog]),
    ],
    "to read other databases and their tables": () => [
      ...each("glue GetTable GetTables GetPartitions", tableArn("budget", "finance")),
      ...each("glue GetTable GetTables", tableArn("anything", "default")),
      ...each("glue GetTable", tableArn("anything", `${database}_2`)),
      ...each("glue GetDatabase GetDatabases", [catalog, `arn:aws:glue:${scope}:database/finance`]),
    ],
    "to create, change or delete databases, tables and views": () => [
      ...each("glue CreateTable UpdateTable DeleteTable", tableArn("libinsightdata_analysis")),
      ...each("glue CreateDatabase UpdateDatabase", [catalog, `arn:aws:glue:${scope}:database/${database}`]),
    ],
    "to create keys or permissions for themselves": () =>
      each("iam CreateAccessKey PutUserPolicy AttachUserPolicy", [
        `arn:aws:iam::${account}:user/${users[stage]}`,
      ]),
  };
  test.each(Object.entries(forbidden))("analysts are not allowed %s", async (_, calls) => {
    expect(await deniedOf(stage, calls())).toEqual(calls());
  });

  test("a Deny protects the newest results file, the column names and the reports, whatever other policies allow", () => {
    const denied = policyOf(graphs[stage]).Statement.filter(({ Effect }) => Effect === "Deny");
    expect(denied).toEqual([
      {
        Sid: "KeepNewestResults",
        Effect: "Deny",
        Action: ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"],
        Resource: [
          ...datasets.map(({ publish }) => results(publish.results)),
          results(keys.columnNames("*")),
          results(keys.runReport("*", "*")),
        ],
        Condition: {},
      },
    ]);
  });

  test("the end of an analyst's query does not invoke the pipeline", () => {
    const pattern = z.object({ detail: z.object({ workgroupName: z.array(z.string()) }) });
    const queryEnds = all(graphs[stage], "aws:cloudwatch/eventRule:EventRule", rule).flatMap(
      ({ is }) => pattern.safeParse(is.eventPattern).data?.detail.workgroupName ?? [],
    );
    expect(queryEnds).toEqual([`libinsight-${stage}`]);
  });
});

test("no dataset has results in the analysts' folder", () => {
  for (const { publish } of datasets) {
    expect(`${publish.queryResults}/`).not.toBe(keys.analystsResults);
    expect(publish.results.startsWith(keys.analystsResults)).toBe(false);
  }
});

test("production's existing user gets the policy and is not changed otherwise", () => {
  expect(created(graphs.production, "aws:iam/user:User")).toEqual([]);
  const touching = graphs.production.resources.filter(({ inputs }) =>
    Object.values(inputs).includes("library-analysts"),
  );
  expect(touching.map(({ type }) => type)).toEqual(["aws:iam/userPolicyAttachment:UserPolicyAttachment"]);
});

test("a stage's own user has no key in SST's state and is removed with the stage", () => {
  const user = only(created(graphs.ada, "aws:iam/user:User"));
  expect(user.inputs).toMatchObject({ name: "libinsight-ada-analysts", forceDestroy: true });
  expect(graphs.ada.resources.filter(({ type }) => /accessKey|loginProfile/i.test(type))).toEqual([]);
});

function table(graph: Graph): string {
  const rows = policyOf(graph).Statement.map(({ Effect, Action, Resource, Condition }) => {
    const resources = Resource.map((arn) => withDatasetPlaceholders(readableArn(arn, graph)));
    const conditions = Object.values(Condition).flatMap((variables) =>
      Object.entries(variables).map(
        ([variable, values]) => `${variable} ${values.map(withDatasetPlaceholders).join(" or ")}`,
      ),
    );
    return `| ${Effect} | ${cell(Action)} | ${cell(resources)} | ${cell(conditions)} |`;
  });
  return `# What analysts may do

Generated by \`analysts.test.ts\`. A change here changes what Tableau may do in Athena. After review, accept it with
\`npx vitest run --config test/vitest.config.ts test/stacks/analysts.test.ts -u\`.

| Effect | Actions | Resources | Condition |
|---|---|---|---|
${rows.join("\n")}
`;
}
