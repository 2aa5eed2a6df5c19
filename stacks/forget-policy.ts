// The permissions of `npm run privacy -- forget`, which deletes objects for good. No function and no user has this policy: attach
// it to a person for the time of the task (docs/operate.md).
import { parse } from "node:path/posix";
import { datasets } from "../shared/datasets.ts";
import { folderOf, keys } from "../shared/keys.ts";
import { queueNames } from "../shared/topology.ts";
import { queueOf } from "./messaging.ts";
import { forgetName } from "./stage.ts";
import { data, results, work } from "./storage.ts";

/**
 * The names of all other folders of a dataset begin with that of the CSV or of the JSON lines. A pattern for each folder would
 * exceed IAM's limit of 6,144 characters with three datasets.
 */
const published = [
  ...datasets.flatMap(({ publish: { csv, jsonl } }) =>
    [csv, jsonl].map((key) => `${folderOf(key).slice(0, -1)}*`),
  ),
  `${keys.allChanges}*`,
];
const rawResults = [
  ...new Set(datasets.map(({ publish }) => `${publish.queryResults}/*`)),
  ...Object.values(keys.analystsResults).map((folder) => `${folder}*`),
];
const reports = [`${keys.reportsFolder("*")}*`];
/** The newest results of both files of each dataset. */
const resultFiles = datasets.map(({ publish }) => {
  const { dir, name, ext } = parse(publish.results);
  return `${dir}*/${name}*${ext}`;
});

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html */
const deleting = ["s3:DeleteObject", "s3:DeleteObjectVersion"];

new aws.iam.Policy("ForgetPolicy", {
  name: forgetName($app.stage),
  description: "LibInsight: npm run privacy -- forget, which deletes records for good",
  policy: aws.iam.getPolicyDocumentOutput({
    statements: [
      {
        sid: "List",
        actions: ["s3:ListBucket", "s3:ListBucketVersions"],
        resources: [work.arn, data.arn, results.arn],
      },
      {
        sid: "ReadRuns",
        actions: ["s3:GetObject"],
        resources: at(work, ["runs/*.json", `${keys.deadLetters("transformer")}*`, keys.forgotten("*")]),
      },
      {
        sid: "WriteCounts",
        actions: ["s3:PutObject"],
        resources: at(work, ["runs/*/result.json", "runs/*/profile.json", keys.forgotten("*")]),
      },
      {
        sid: "DeleteRows",
        actions: deleting,
        resources: at(
          work,
          [keys.allParts("*"), keys.pages("*"), keys.allRejects("*"), keys.allHeld("*")]
            .map((folder) => `${folder}*`)
            .concat([
              keys.changedRows("*"),
              keys.profile("*"),
              `${keys.keptFolder("*")}*`,
              `${keys.deadLetters("transformer")}*`,
              keys.forgettingNow("*"),
            ]),
        ),
      },
      {
        sid: "RewriteFiles",
        actions: ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", ...deleting],
        resources: [...at(data, published), ...at(results, resultFiles)],
      },
      {
        sid: "ReadResults",
        actions: ["s3:GetObject"],
        resources: at(results, [...reports, keys.columnNames("*")]),
      },
      {
        sid: "DeleteResults",
        actions: deleting,
        resources: at(results, [...rawResults, ...reports]),
      },
      {
        // Nothing is removed while these queues have messages.
        sid: "CountMessages",
        actions: ["sqs:GetQueueAttributes"],
        resources: (["fetcher", "transformer", "assembler", "deidentifier"] as const).map(
          (name) => queueOf(name).queue.arn,
        ),
      },
      {
        sid: "ReadDeadLetters",
        actions: ["sqs:ReceiveMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"],
        resources: queueNames.map((name) => queueOf(name).deadLetters.arn),
      },
      {
        sid: "DeleteDeadLetters",
        actions: ["sqs:DeleteMessage"],
        resources: [queueOf("transformer").deadLetters.arn],
      },
    ],
  }).json,
});

function at({ arn }: sst.aws.Bucket, keysInBucket: readonly string[]) {
  return keysInBucket.map((key) => $interpolate`${arn}/${key}`);
}
