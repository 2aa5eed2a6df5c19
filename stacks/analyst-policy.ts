// The permissions of analysts: the policy of the IAM user that Tableau uses to sign in to Athena. Analysts may run queries,
// read published files and store their own results. They may write or delete nothing else.
import { childTables } from "../shared/child-tables.ts";
import { datasets } from "../shared/datasets.ts";
import { folderOf, keys, previousKey } from "../shared/keys.ts";
import { parquetFolder } from "../shared/parquet-file.ts";
import { analystsName, currentStage } from "./stage.ts";
import { data, results } from "./storage.ts";
import { analystsWorkgroup, database } from "./workgroups.ts";

const { production, existingAnalysts } = currentStage();
const accountId = aws.getCallerIdentityOutput().accountId;
const region = aws.getRegionOutput().region;

/** The IAM user of the analysts. Its access key is created by hand, because SST's state would contain it (docs/deploy.md). */
export const analysts = existingAnalysts ?? createUser().name;

const publishedFolders = datasets.flatMap(({ name, columns, publish }) => [
  folderOf(publish.csv),
  // The table reads this copy while the file is replaced.
  folderOf(previousKey(publish.csv)),
  folderOf(publish.jsonl),
  parquetFolder(publish.csv),
  keys.changesFolder(name),
  // Analysts have no view with personal columns, so their answers stay closed too.
  ...childTables({ columns, publish }).flatMap(({ folder, personal }) => (personal ? [] : [folder])),
]);
const pipelineKeys = [
  ...datasets.map(({ publish }) => publish.results),
  keys.columnNames("*"),
  keys.runReport("*", "*"),
];

const policy = new aws.iam.Policy("AnalystsPolicy", {
  name: analystsName($app.stage),
  description: "LibInsight: queries in the analysts' workgroup, on published files",
  policy: aws.iam.getPolicyDocumentOutput({
    statements: [
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
        resources: [analystsWorkgroup.arn],
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
        resources: [glue("catalog"), glue(`database/${database}`), glue(`table/${database}/*`)],
      },
      {
        // Athena reads a view's table with the caller's permissions. The bucket may contain other teams' files.
        sid: "ReadPublished",
        actions: ["s3:GetObject"],
        resources: publishedFolders.map((path) => $interpolate`${data.arn}/${path}*`),
      },
      {
        sid: "ListPublished",
        actions: ["s3:ListBucket"],
        resources: [data.arn],
        conditions: [
          { test: "StringLike", variable: "s3:prefix", values: publishedFolders.map((path) => `${path}*`) },
        ],
      },
      {
        // Athena needs these actions to write results. They cover the whole bucket, because Tableau connections that are
        // older than this workgroup use other folders.
        // https://docs.aws.amazon.com/athena/latest/ug/security-iam-awsmanpol.html (BaseQueryResultsPermissions)
        sid: "FindBuckets",
        actions: ["s3:GetBucketLocation"],
        resources: [data.arn, results.arn],
      },
      {
        sid: "ListResults",
        actions: ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
        resources: [results.arn],
      },
      {
        sid: "ReadAndWriteResults",
        actions: ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
        resources: [$interpolate`${results.arn}/*`],
      },
      {
        // Only the pipeline replaces the newest results file, the column names and the reports: an object written by hand
        // lacks the run metadata that prevents an older run from replacing it. A Deny also overrides the user's other
        // policies.
        sid: "KeepNewestResults",
        effect: "Deny",
        actions: ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"],
        resources: pipelineKeys.map((key) => $interpolate`${results.arn}/${key}`),
      },
    ],
  }).json,
});

new aws.iam.UserPolicyAttachment("AnalystsAttachment", { user: analysts, policyArn: policy.arn });

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
