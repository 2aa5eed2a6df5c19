// The permissions of analysts: a policy for each audience. The stage's setting decides which one the IAM user has that
// Tableau uses to sign in to Athena. Analysts may run queries, read their audience's published files and store their own
// results. They may write or delete nothing else.
import { childTables } from "../shared/child-tables.ts";
import { datasets } from "../shared/datasets.ts";
import { folderOf, keys, previousKey } from "../shared/keys.ts";
import { parquetFolder } from "../shared/parquet-file.ts";
import { type Audience, allEntries, entryFor } from "../shared/privacy/deidentified.ts";
import { analystsName, currentStage } from "./stage.ts";
import { data, results } from "./storage.ts";
import { analystsWorkgroups, database } from "./workgroups.ts";

const { production, existingAnalysts, audience: stageAudience } = currentStage();
const accountId = aws.getCallerIdentityOutput().accountId;
const region = aws.getRegionOutput().region;

/** The IAM user of the analysts. Its access key is created by hand, because SST's state would contain it (docs/deploy.md). */
export const analysts = existingAnalysts ?? createUser().name;

/** What an audience reads, of tables, of the data bucket and of the results bucket. */
type Readable = { tables: string[]; published: string[]; ownResults: string; newestResults: string[] };

function readableBy(audience: Audience): Readable {
  const entries = datasets.map((dataset) => entryFor(audience, dataset));
  const published = entries.flatMap(({ columns, publish }) => [
    folderOf(publish.csv),
    // The table reads this copy while the file is replaced.
    folderOf(previousKey(publish.csv)),
    folderOf(publish.jsonl),
    parquetFolder(publish.csv),
    // Analysts have no view with personal columns, so their answers stay closed too.
    ...childTables({ columns, publish }).flatMap(({ folder, personal }) => (personal ? [] : [folder])),
  ]);
  if (audience === "full") {
    const history = entries.map(({ name }) => keys.changesFolder(name));
    // Tableau connections that are older than the workgroup use other folders for their results.
    return { tables: ["*"], published: [...published, ...history], ownResults: "", newestResults: [] };
  }
  return {
    // The table and its views. A policy has at most 6,144 characters, and no other table's name begins like this.
    tables: entries.map(({ publish }) => `${publish.table}*`),
    published,
    ownResults: keys.analystsResults[audience],
    newestResults: [
      ...entries.map(({ publish }) => publish.results),
      // The reports of the stage are about the files of its audience.
      ...(stageAudience === audience ? [keys.runReport("*", "*")] : []),
    ],
  };
}

const pipelineKeys = [
  ...allEntries(datasets).map(({ publish }) => publish.results),
  keys.columnNames("*"),
  keys.runReport("*", "*"),
];

function statementsFor(audience: Audience): aws.types.input.iam.GetPolicyDocumentStatementArgs[] {
  const { tables, published, ownResults, newestResults } = readableBy(audience);
  return [
    {
      // Follows AWS's example for one workgroup, without saved queries and history. The JDBC driver reads results with
      // GetQueryResultsStream.
      // https://docs.aws.amazon.com/athena/latest/ug/example-policies-workgroup.html
      // https://docs.aws.amazon.com/athena/latest/ug/jdbc-v3-driver.html
      sid: "Query",
      actions: [
        "athena:GetWorkGroup",
        "athena:StartQueryExecution",
        "athena:StopQueryExecution",
        "athena:GetQueryExecution",
        "athena:GetQueryResults",
        "athena:GetQueryResultsStream",
      ],
      resources: [analystsWorkgroups[audience].arn],
    },
    {
      // The driver lists tables and columns with these calls. Glue's permissions decide which ones it sees.
      sid: "ReadMetadata",
      actions: [
        "athena:GetDataCatalog",
        "athena:ListDatabases",
        "athena:GetDatabase",
        "athena:ListTableMetadata",
        "athena:GetTableMetadata",
      ],
      resources: [$interpolate`arn:aws:athena:${region}:${accountId}:datacatalog/AwsDataCatalog`],
    },
    {
      // These two actions support no resource-level permissions. They return names only.
      // https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonathena.html
      sid: "ListNames",
      actions: ["athena:ListWorkGroups", "athena:ListDataCatalogs"],
      resources: ["*"],
    },
    {
      // Athena also checks the default database for every query.
      // https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html
      sid: "DefaultDatabase",
      actions: ["glue:GetDatabase"],
      resources: [glue("catalog"), glue("database/default")],
    },
    {
      sid: "ReadTables",
      actions: [
        "glue:GetDatabase",
        // Lists this database only: listing all databases needs database/*.
        "glue:GetDatabases",
        "glue:GetTable",
        "glue:GetTables",
        "glue:GetPartition",
        "glue:GetPartitions",
        "glue:BatchGetPartition",
      ],
      resources: [
        glue("catalog"),
        glue(`database/${database}`),
        ...tables.map((table) => glue(`table/${database}/${table}`)),
      ],
    },
    {
      // Athena reads a view's table with the caller's permissions. The bucket may contain other teams' files.
      sid: "ReadPublished",
      actions: ["s3:GetObject"],
      resources: published.map((path) => $interpolate`${data.arn}/${path}*`),
    },
    {
      sid: "ListPublished",
      actions: ["s3:ListBucket"],
      resources: [data.arn],
      conditions: [below(published)],
    },
    {
      // Athena needs these actions to write results.
      // https://docs.aws.amazon.com/athena/latest/ug/security-iam-awsmanpol.html (BaseQueryResultsPermissions)
      sid: "FindBuckets",
      actions: ["s3:GetBucketLocation"],
      resources: [data.arn, results.arn],
    },
    {
      sid: "ListResults",
      actions: ["s3:ListBucket"],
      resources: [results.arn],
      conditions: ownResults === "" ? [] : [below([ownResults])],
    },
    {
      // This action supports no condition on the prefix. It returns keys only.
      sid: "ListUploads",
      actions: ["s3:ListBucketMultipartUploads"],
      resources: [results.arn],
    },
    {
      sid: "ReadAndWriteResults",
      actions: ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
      resources: [$interpolate`${results.arn}/${ownResults}*`],
    },
    ...(newestResults.length === 0
      ? []
      : [{ sid: "ReadNewestResults", actions: ["s3:GetObject"], resources: newestResults.map(inResults) }]),
    {
      // Only the pipeline replaces the newest results file, the column names and the reports: an object written by hand
      // lacks the run metadata that prevents an older run from replacing it. A Deny also overrides the user's other
      // policies.
      sid: "KeepNewestResults",
      effect: "Deny",
      actions: ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"],
      resources: pipelineKeys.map(inResults),
    },
  ];
}

function inResults(key: string) {
  return $interpolate`${results.arn}/${key}`;
}

function below(folders: readonly string[]) {
  return { test: "StringLike", variable: "s3:prefix", values: folders.map((folder) => `${folder}*`) };
}

function policyFor(audience: Audience, logicalName: string, files: string): aws.iam.Policy {
  return new aws.iam.Policy(logicalName, {
    name: analystsName($app.stage, audience),
    description: `LibInsight: queries in the analysts' workgroup, on ${files} files`,
    policy: aws.iam.getPolicyDocumentOutput({ statements: statementsFor(audience) }).json,
  });
}

/** The policy that is not attached can be attached to another user by hand (docs/deploy.md). */
const policies = {
  full: policyFor("full", "AnalystsPolicy", "published"),
  deidentified: policyFor("deidentified", "DeidentifiedPolicy", "de-identified"),
};

new aws.iam.UserPolicyAttachment("AnalystsAttachment", {
  user: analysts,
  policyArn: policies[stageAudience].arn,
});

function createUser(): aws.iam.User {
  return new aws.iam.User("Analysts", {
    name: analystsName($app.stage),
    // Also deletes the user's access keys, which SST does not manage.
    forceDestroy: !production,
  });
}

function glue(resource: string) {
  return $interpolate`arn:aws:glue:${region}:${accountId}:${resource}`;
}
