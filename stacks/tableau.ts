// What analysts may do, who look at the results with Tableau: the policy of the IAM user as which Tableau signs in to
// Athena. They ask, read what the pipeline published and keep their own answers; they write and delete nothing else.
import { folder } from "../shared/dataset.ts";
import { datasets } from "../shared/datasets.ts";
import { analystsWorkgroup, database } from "./athena.ts";
import { analystsName, currentStage } from "./stage.ts";
import { data, results } from "./storage.ts";

const { production, existingAnalysts } = currentStage();
const accountId = aws.getCallerIdentityOutput().accountId;
const region = aws.getRegionOutput().region;

/** As whom analysts sign in. No access key is made here: it would lie in SST's state (stacks/README.md makes one). */
export const analysts = existingAnalysts ?? ownUser().name;

const publishedFolders = datasets.flatMap(({ publish }) => [folder(publish.csv), folder(publish.jsonl)]);
const resultKeys = datasets.map(({ publish }) => publish.results);

const policy = new aws.iam.Policy("AnalystsPolicy", {
  name: analystsName($app.stage),
  description: "LibInsight: queries in the analysts' workgroup, on what the pipeline published",
  policy: aws.iam.getPolicyDocumentOutput({
    statements: [
      {
        // AWS's example for running queries in one workgroup, without its saved queries and its history.
        // GetQueryResultsStream is how the JDBC driver reads.
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
        // How the driver learns of tables and columns. What it then sees is for Glue's permissions to say.
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
        // These two can't be limited; they tell names.
        // https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonathena.html
        sid: "ListNames",
        actions: ["athena:ListWorkGroups", "athena:ListDataCatalogs"],
        resources: ["*"],
      },
      {
        // Athena looks at the default database, whichever one is used.
        // https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html
        sid: "DefaultDatabase",
        actions: ["glue:GetDatabase"],
        resources: [glue("catalog"), glue("database/default")],
      },
      {
        sid: "ReadTables",
        actions: [
          "glue:GetDatabase",
          // Of this database alone: AWS asks for database/* where all are to be listed.
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
        // Athena reads a view's table with the permissions of who asks. The bucket may hold other teams' files.
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
        // What Athena needs of where it writes results. The whole bucket, because connections made before this
        // workgroup have folders of their own in it.
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
        // The newest good result is the pipeline's to replace: by hand it would lose its run and its order. A Deny, because
        // it also holds against what the user is allowed elsewhere.
        sid: "KeepNewestResults",
        effect: "Deny",
        actions: ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"],
        resources: resultKeys.map((key) => $interpolate`${results.arn}/${key}`),
      },
    ],
  }).json,
});

new aws.iam.UserPolicyAttachment("AnalystsAttachment", { user: analysts, policyArn: policy.arn });

function ownUser(): aws.iam.User {
  return new aws.iam.User("Analysts", {
    name: analystsName($app.stage),
    // With its access keys, which SST does not know of.
    forceDestroy: !production,
  });
}

function glue(resource: string) {
  return $interpolate`arn:aws:glue:${region}:${accountId}:${resource}`;
}
