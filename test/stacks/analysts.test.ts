// Tests the permissions of both kinds of analysts on an evaluated stage: iam.ts decides each call. analysts.md lists the
// policies, and docs/privacy.md which audience reads what.
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { relationsOf } from "../../shared/dataset-schema.ts";
import { datasets } from "../../shared/datasets.ts";
import { folderOf, keys, previousKey } from "../../shared/keys.ts";
import { parquetKey } from "../../shared/parquet-file.ts";
import {
  type Audience,
  allEntries,
  audienceSetting,
  deidentified,
  entryFor,
} from "../../shared/privacy/deidentified.ts";
import { account, type Graph, region } from "./evaluate/graph.ts";
import { isAllowed } from "./iam.ts";
import { bucketArn, cell, readableArn, withDatasetPlaceholders } from "./readable.ts";
import { all, created, evaluateBoth, json, policyDocument, type Stage, stages } from "./stages.ts";
import { only, rule } from "./wiring.ts";

const graphs = await evaluateBoth();

const policies = z.object({ name: z.string(), policy: json(policyDocument) });
const attachment = z.object({ user: z.string(), policyArn: z.string() });
const audiences = audienceSetting.options;
const audienceOf = { production: "full", ada: "deidentified" } as const;
const policyNames = { full: "AnalystsPolicy", deidentified: "DeidentifiedPolicy" };
const workgroupNames = { full: "analysts", deidentified: "deidentified" };
const users = { production: "library-analysts", ada: "libinsight-ada-analysts" };
const databases = { production: "libinsightdatabase", ada: "libinsight_ada" };
const scope = `${region}:${account}`;
const catalog = `arn:aws:glue:${scope}:catalog`;
const dataCatalog = `arn:aws:athena:${scope}:datacatalog/AwsDataCatalog`;
const workgroupArn = (name: string): string => `arn:aws:athena:${scope}:workgroup/${name}`;

/** A call, with every resource that AWS checks for it. */
type Call = { action: string; on: string[]; prefix?: string };

function policyOf(graph: Graph, audience: Audience): z.infer<typeof policyDocument> {
  const found = all(graph, "aws:iam/policy:Policy", policies);
  return only(found.filter(({ name }) => name === policyNames[audience])).is.policy;
}

async function mayCall(stage: Stage, audience: Audience, { action, on, prefix }: Call): Promise<boolean> {
  const context = prefix === undefined ? {} : { "s3:prefix": prefix };
  const { Statement } = policyOf(graphs[stage], audience);
  const allowed = await Promise.all(
    on.map((resource) => isAllowed({ action, resource, context }, Statement)),
  );
  return allowed.every(Boolean);
}

async function deniedOf(stage: Stage, audience: Audience, calls: Call[]): Promise<Call[]> {
  const allowed = await Promise.all(calls.map((call) => mayCall(stage, audience, call)));
  return calls.filter((_, index) => !allowed[index]);
}

/** @param actions a service and its actions, separated by spaces: `s3 GetObject PutObject` */
function each(actions: string, on: string[]): Call[] {
  const [service, ...names] = actions.split(" ");
  return names.map((name) => ({ action: `${service}:${name}`, on }));
}

/** Returns the resources of a stage. */
function placesOf(stage: Stage) {
  const database = databases[stage];
  const inBucket = (bucket: string) => (key: string) => `${bucketArn(graphs[stage], bucket)}/${key}`;
  return {
    database,
    data: inBucket("Data"),
    results: inBucket("Results"),
    work: inBucket("Work"),
    tableArn: (name: string, of = database) => [
      catalog,
      `arn:aws:glue:${scope}:database/${of}`,
      `arn:aws:glue:${scope}:table/${of}/${name}`,
    ],
  };
}

const runId = "reference-transactions-0123456789ab";
const page = { runId, window: 1, attempt: 1, from: "2024-01-01", to: "2024-12-31", page: 1, pages: 1 };
const reading = (keys: string[], placed: (key: string) => string) =>
  keys.flatMap((key) => each("s3 GetObject", [placed(key)]));
const versions = (keys: string[], placed: (key: string) => string) =>
  keys.flatMap((key) => each("s3 GetObjectVersion", [placed(key)]));
const filesOf = (audience: Audience) =>
  datasets
    .map((dataset) => entryFor(audience, dataset).publish)
    .flatMap(({ csv, jsonl }) => [csv, previousKey(csv), jsonl, parquetKey(csv, runId)]);
const listing = (bucket: string, prefix: string) => ({ action: "s3:ListBucket", on: [bucket], prefix });
const readingFiles = (stage: Stage, audience: Audience) => [
  ...reading(filesOf(audience), placesOf(stage).data),
  ...filesOf(audience).map((key) => listing(bucketArn(graphs[stage], "Data"), folderOf(key))),
];
const readingResults = (stage: Stage, folder: string) => [
  ...reading([`${folder}7f0c3a1e.csv`], placesOf(stage).results),
  listing(bucketArn(graphs[stage], "Results"), folder),
];
const tablesOf = (audience: Audience) =>
  datasets.flatMap((dataset) => relationsOf(entryFor(audience, dataset)));
const querying = (name: string) =>
  each("athena StartQueryExecution GetQueryExecution GetQueryResults GetQueryResultsStream", [
    workgroupArn(name),
  ]);

const ofStage = "if it is the stage's audience";
type May = "yes" | "no" | typeof ofStage;
/**
 * Who can read what. Each row is allowed or denied as a whole: every one of its calls, on the files of every dataset. A query
 * in Athena needs the workgroup, the table and the table's files.
 */
type Read = { what: string; full: May; deidentified: May; calls: (stage: Stage) => Call[] };
const reads: Read[] = [
  {
    what: "Full files: CSV, its copy during a header change, JSON Lines, Parquet",
    full: "yes",
    deidentified: "no",
    calls: (stage) => readingFiles(stage, "full"),
  },
  {
    what: "De-identified files: the same",
    full: "no",
    deidentified: "yes",
    calls: (stage) => readingFiles(stage, "deidentified"),
  },
  {
    what: "Old versions of any of these files",
    full: "no",
    deidentified: "no",
    calls: (stage) => versions(audiences.flatMap(filesOf), placesOf(stage).data),
  },
  {
    what: "Changes since each publication, with old words (`changes/`)",
    full: "yes",
    deidentified: "no",
    calls: (stage) =>
      reading(
        datasets.map(({ name }) => keys.changesFile(name, runId)),
        placesOf(stage).data,
      ),
  },
  {
    what: "Tables and views of the full files",
    full: "yes",
    deidentified: "no",
    calls: (stage) =>
      tablesOf("full").flatMap((name) =>
        each("glue GetTable GetTables GetPartitions", placesOf(stage).tableArn(name)),
      ),
  },
  {
    what: "Tables and views of the de-identified files",
    full: "yes",
    deidentified: "yes",
    calls: (stage) =>
      tablesOf("deidentified").flatMap((name) =>
        each("glue GetTable GetTables GetPartitions", placesOf(stage).tableArn(name)),
      ),
  },
  {
    what: "Workgroup and results of queries on the full files (`tableau/`)",
    full: "yes",
    deidentified: "no",
    calls: (stage) => [...querying(`libinsight-${stage}-analysts`), ...readingResults(stage, "tableau/")],
  },
  {
    what: "Results of queries on the de-identified files (`deidentified/`)",
    full: "yes",
    deidentified: "yes",
    calls: (stage) => readingResults(stage, "deidentified/"),
  },
  {
    what: "Workgroup for queries on the de-identified files",
    full: "no",
    deidentified: "yes",
    calls: (stage) => querying(`libinsight-${stage}-deidentified`),
  },
  {
    what: "Workgroup of the pipeline",
    full: "no",
    deidentified: "no",
    calls: (stage) => querying(`libinsight-${stage}`),
  },
  {
    what: "Raw results of the pipeline's queries (`queryResults`)",
    full: "yes",
    deidentified: "no",
    calls: (stage) => datasets.flatMap(({ publish }) => readingResults(stage, `${publish.queryResults}/`)),
  },
  {
    what: "Newest result of the full files (`publish.results`)",
    full: "yes",
    deidentified: "no",
    calls: (stage) =>
      reading(
        datasets.map(({ publish }) => publish.results),
        placesOf(stage).results,
      ),
  },
  {
    what: "Newest result of the de-identified files",
    full: "yes",
    deidentified: "yes",
    calls: (stage) =>
      reading(
        datasets.map((dataset) => deidentified(dataset).publish.results),
        placesOf(stage).results,
      ),
  },
  {
    what: "Reports",
    full: "yes",
    deidentified: ofStage,
    calls: (stage) =>
      reading(
        datasets.flatMap(({ name }) => [keys.latestReport(name), keys.runReport(name, runId)]),
        placesOf(stage).results,
      ),
  },
  {
    what: "Old versions of results and reports",
    full: "no",
    deidentified: "no",
    calls: (stage) =>
      versions(
        [
          ...Object.values(keys.analystsResults).map((folder) => `${folder}7f0c3a1e.csv`),
          ...datasets.flatMap((dataset) =>
            audiences.map((audience) => entryFor(audience, dataset).publish.results),
          ),
          ...datasets.map(({ name }) => keys.latestReport(name)),
        ],
        placesOf(stage).results,
      ),
  },
  {
    what: "Work bucket: pages, parts, rejects, held files, changes, kept parts, the forgotten list, names",
    full: "no",
    deidentified: "no",
    calls: (stage) => {
      const { work } = placesOf(stage);
      const objects = [
        ...[keys.page(page), keys.part(page), keys.rejects(page), keys.result(runId)],
        ...[
          keys.held(runId),
          keys.heldLines(runId),
          keys.heldParquet(runId),
          keys.heldChild(runId, "topics"),
        ],
        ...[keys.changedRows(runId), keys.profile(runId), keys.kept("d", "0"), keys.queryOrigin("1")],
        ...[
          keys.deadLetter("fetcher", "1"),
          "forgotten/reference-transactions.json",
          "privacy/reference-transactions/names.txt",
        ],
      ];
      const bucket = bucketArn(graphs[stage], "Work");
      return [...reading(objects, work), ...versions(objects, work), listing(bucket, "runs/")];
    },
  },
  {
    what: "Queues, dead letters and logs",
    full: "no",
    deidentified: "no",
    calls: (stage) => [
      ...each("sqs ReceiveMessage", [`arn:aws:sqs:${scope}:libinsight-${stage}-FetcherQueue`]),
      ...each("logs GetLogEvents", [
        `arn:aws:logs:${scope}:log-group:/libinsight/${stage}/fetcher:log-stream:1`,
      ]),
    ],
  },
];

const cases = stages.flatMap((stage) => audiences.map((audience) => ({ stage, audience })));

describe.each(cases)("on the stage $stage, analysts with the policy $audience", ({ stage, audience }) => {
  const { database, data, results, tableArn } = placesOf(stage);
  const own = workgroupArn(`libinsight-${stage}-${workgroupNames[audience]}`);
  const entries = datasets.map((dataset) => entryFor(audience, dataset));
  const denied = (calls: Call[]) => deniedOf(stage, audience, calls);

  test.each(reads)("may read as the table of docs/privacy.md says: $what", async (read) => {
    const may = read[audience] === ofStage ? audienceOf[stage] === audience : read[audience] === "yes";
    const calls = read.calls(stage);
    expect(calls.length).toBeGreaterThan(0);
    expect(await denied(calls)).toEqual(may ? [] : calls);
  });

  test("may run, stop and read queries in their workgroup", async () => {
    const calls = each(
      "athena GetWorkGroup StartQueryExecution StopQueryExecution GetQueryExecution GetQueryResults GetQueryResultsStream",
      [own],
    );
    expect(await denied(calls)).toEqual([]);
  });

  test("may list the catalog, the database, its views and its tables", async () => {
    const calls = [
      ...each("athena ListWorkGroups ListDataCatalogs", ["*"]),
      ...each("athena GetDataCatalog ListDatabases GetDatabase ListTableMetadata GetTableMetadata", [
        dataCatalog,
      ]),
      ...each("glue GetDatabase", [catalog, `arn:aws:glue:${scope}:database/default`]),
      ...each("glue GetDatabase", [catalog, `arn:aws:glue:${scope}:database/${database}`]),
    ];
    expect(await denied(calls)).toEqual([]);
  });

  test("may find the buckets, and write and read results in their folder", async () => {
    const folders =
      audience === "full"
        ? // Older connections have other folders.
          ["tableau/", ...datasets.map(({ publish }) => `${publish.queryResults}/`)]
        : ["deidentified/"];
    const calls = [
      ...each("s3 GetBucketLocation", [bucketArn(graphs[stage], "Data")]),
      ...each("s3 GetBucketLocation ListBucketMultipartUploads", [bucketArn(graphs[stage], "Results")]),
      ...each(
        "s3 GetObject PutObject AbortMultipartUpload ListMultipartUploadParts",
        folders.map((path) => results(`${path}7f0c3a1e.csv`)),
      ),
    ];
    expect(await denied(calls)).toEqual([]);
  });

  const published = entries.flatMap(({ publish: { csv, jsonl } }) => [
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
      [
        ...entries.map(({ publish }) => publish.results),
        `${keys.analystsResults[audience]}7f0c3a1e.csv`,
      ].flatMap((key) => each(deleting, [results(key)])),
    "to replace the newest results file": () =>
      entries.flatMap(({ publish }) => each(writing, [results(publish.results)])),
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
      ...[undefined, "", "other-team/", "libinsightdata", "libinsightdata-athena"].map((prefix) => ({
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
  test.each(Object.entries(forbidden))("are not allowed %s", async (_, calls) => {
    expect(await denied(calls())).toEqual(calls());
  });

  test("a Deny protects the newest results file, the column names and the reports, whatever other policies allow", () => {
    const { Statement } = policyOf(graphs[stage], audience);
    expect(Statement.filter(({ Effect }) => Effect === "Deny")).toEqual([
      {
        Sid: "KeepNewestResults",
        Effect: "Deny",
        Action: ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"],
        Resource: [
          ...allEntries(datasets).map(({ publish }) => results(publish.results)),
          results(keys.columnNames("*")),
          results(keys.runReport("*", "*")),
        ],
        Condition: {},
      },
    ]);
  });
});

describe.each(stages)("on the stage %s", (stage) => {
  test("the policy of its audience is attached to one user, and no user has another policy", () => {
    const { name, is } = only(
      all(graphs[stage], "aws:iam/userPolicyAttachment:UserPolicyAttachment", attachment),
    );
    const policy = `libinsight-${stage}-${workgroupNames[audienceOf[stage]]}`;
    expect([name, is]).toEqual([
      "AnalystsAttachment",
      { user: users[stage], policyArn: `arn:aws:iam::${account}:policy/${policy}` },
    ]);
    const others = graphs[stage].resources.filter(({ type }) =>
      /^aws:iam\/(userPolicy|user.*Attachment|group|accessKey|policyAttachment)/i.test(type),
    );
    expect(others.map((each) => each.name)).toEqual(["AnalystsAttachment"]);
  });

  test("the end of an analyst's query does not invoke the pipeline", () => {
    const pattern = z.object({ detail: z.object({ workgroupName: z.array(z.string()) }) });
    const queryEnds = all(graphs[stage], "aws:cloudwatch/eventRule:EventRule", rule).flatMap(
      ({ is }) => pattern.safeParse(is.eventPattern).data?.detail.workgroupName ?? [],
    );
    expect(queryEnds).toEqual([`libinsight-${stage}`]);
  });
});

test("the policies match the reviewed tables", async () => {
  const { production, ada } = graphs;
  await expect(
    `${heading}${table(production, "full")}\n## De-identified files\n\n${table(ada, "deidentified")}`,
  ).toMatchFileSnapshot("analysts.md");
  expect(table(ada, "full")).toBe(table(production, "full"));
  // Production's reports are about the full files.
  const withReports = "<br>`s3 Results/reports/*/*.html` |  |";
  expect(table(ada, "deidentified")).toContain(withReports);
  expect(table(production, "deidentified")).toBe(table(ada, "deidentified").replace(withReports, " |  |"));
});

test("docs/privacy.md has the table of who can read what", async () => {
  const rows = reads.map(({ what, full, deidentified }) => `| ${what} | ${full} | ${deidentified} |`);
  const page = await readFile("docs/privacy.md", "utf8");
  expect(page).toContain(
    ["| What | Policy of the full files | De-identified |", "|---|---|---|", ...rows].join("\n"),
  );
});

test("no dataset has results in an analysts' folder", () => {
  for (const folder of Object.values(keys.analystsResults)) {
    for (const { publish } of allEntries(datasets)) {
      expect(`${publish.queryResults}/`).not.toBe(folder);
      expect(publish.results.startsWith(folder)).toBe(false);
    }
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

const heading = `# What analysts may do

Generated by \`analysts.test.ts\`. A change here changes what Tableau may do in Athena. After review, accept it with
\`npx vitest run --config test/vitest.config.ts test/stacks/analysts.test.ts -u\`. \`docs/privacy.md\` says who can read what.

## Full files

`;

function table(graph: Graph, audience: Audience): string {
  const rows = policyOf(graph, audience).Statement.map(({ Effect, Action, Resource, Condition }) => {
    const resources = Resource.map((arn) => withDatasetPlaceholders(readableArn(arn, graph)));
    const conditions = Object.values(Condition).flatMap((variables) =>
      Object.entries(variables).map(
        ([variable, values]) => `${variable} ${values.map(withDatasetPlaceholders).join(" or ")}`,
      ),
    );
    return `| ${Effect} | ${cell(Action)} | ${cell(resources)} | ${cell(conditions)} |`;
  });
  return `| Effect | Actions | Resources | Condition |
|---|---|---|---|
${rows.join("\n")}
`;
}
