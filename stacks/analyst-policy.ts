// The permissions of analysts: the policy of the IAM user with which Tableau signs in to Athena. Analysts may run queries,
// read what the pipeline published and store their own results. They may write or delete nothing else.
import { folder } from "../shared/dataset-schema.ts";
import { datasets } from "../shared/datasets.ts";
import { keys, previousKey } from "../shared/keys.ts";
import { analystsName, currentStage } from "./stage.ts";
import { data, results } from "./storage.ts";
import { analystsWorkgroup, database } from "./workgroups.ts";

const { production, existingAnalysts } = currentStage();
const accountId = aws.getCallerIdentityOutput().accountId;
const region = aws.getRegionOutput().region;

/** The user with which analysts sign in. It gets no access key here, because SST's state would hold it (stacks/README.md). */
export const analysts = existingAnalysts ?? ownUser().name;

const publishedFolders = datasets.flatMap(({ publish: { csv, jsonl } }) => [
  folder(csv),
  // Which the table reads while the file's header changes.
  folder(previousKey(csv)),
  folder(jsonl),
]);
const pipelineKeys = [...datasets.map(({ publish }) => publish.results), keys.columnNames("*")];

const policy = new aws.iam.Policy("AnalystsPolicy", {
  name: analystsName($app.stage),
  description: "LibInsight: queries in the analysts' workgroup, on what the pipeline published",
  policy: aws.iam.getPolicyDocumentOutput({
    statements: [
      {
        // AWS's example for running queries in one workgroup, without saved queries and history. The JDBC driver reads
        // with GetQueryResultsStream.
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
        // The driver lists tables and columns with these. Glue's permissions decide which it sees.
        sid: "LookAround",
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
        // AWS offers no resource for these two. They return names only.
        // https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonathena.html
        sid: "ListNames",
        actions: ["athena:ListWorkGroups", "athena:ListDataCatalogs"],
        resources: ["*"],
      },
      {
        // Athena checks the default database too, whichever database a query names.
        // https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html
        sid: "DefaultDatabase",
        actions: ["glue:GetDatabase"],
        resources: [glue("catalog"), glue("database/default")],
      },
      {
        sid: "ReadTables",
        actions: [
          "glue:GetDatabase",
          // Of this database only: listing all of them would need database/*.
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
        // Athena reads a view's table with the caller's permissions. The bucket may hold other teams' files.
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
        // Athena needs these where it writes results. They cover the whole bucket, because connections made before this
        // workgroup have other folders in it.
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
        // Only the pipeline replaces the newest good result (an object written by hand would lack its run and its order)
        // and the columns' names. A Deny also overrides the user's other policies.
        sid: "KeepNewestResults",
        effect: "Deny",
        actions: ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"],
        resources: pipelineKeys.map((key) => $interpolate`${results.arn}/${key}`),
      },
    ],
  }).json,
});

new aws.iam.UserPolicyAttachment("AnalystsAttachment", { user: analysts, policyArn: policy.arn });

function ownUser(): aws.iam.User {
  return new aws.iam.User("Analysts", {
    name: analystsName($app.stage),
    // Also deletes its access keys, which SST does not know.
    forceDestroy: !production,
  });
}

function glue(resource: string) {
  return $interpolate`arn:aws:glue:${region}:${accountId}:${resource}`;
}
