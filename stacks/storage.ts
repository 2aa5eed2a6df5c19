// The three buckets. SST's buckets deny plain HTTP and public access by default.
import { keptDays } from "../shared/child-tables.ts";
import { datasets } from "../shared/datasets.ts";
import { daysInWork, keys } from "../shared/keys.ts";
import { runFolders } from "../shared/parquet-file.ts";
import { allEntries } from "../shared/privacy/deidentified.ts";
import { currentStage } from "./stage.ts";

const { production, existingBuckets } = currentStage();
/** Whether `sst remove` may delete a bucket that has objects. */
const forceDestroy = !production;
/** The parts of an interrupted upload incur cost, and no listing shows them. */
const abortIncompleteMultipartUpload = { daysAfterInitiation: 7 };

/** The intermediate objects of runs, and the parts that incremental runs reuse. */
export const work = new sst.aws.Bucket("Work", {
  cors: false,
  // S3 cannot exclude a prefix from a rule, so each prefix has one.
  lifecycle: Object.entries(daysInWork).map(([prefix, days]) => ({
    id: `expire-${prefix.slice(0, -1)}`,
    prefix,
    expiresIn: `${days} days` as const,
  })),
  transform: {
    bucket: { forceDestroy },
    lifecycle: (args) => {
      args.rules = $output(args.rules).apply((rules = []) =>
        rules.map((rule) => ({ ...rule, abortIncompleteMultipartUpload })),
      );
    },
  },
});

/** The published files. */
export const data = publishingBucket(
  "Data",
  existingBuckets.data,
  allEntries(datasets).flatMap((dataset) =>
    runFolders(dataset).map(({ name, folder }) => ({
      id: `expire-${dataset.name}-${name}`,
      status: "Enabled",
      filter: { prefix: folder },
      expiration: { days: keptDays },
      noncurrentVersionExpiration: { noncurrentDays: 1 },
    })),
  ),
);
/** The results of Athena queries, and the newest results files of each dataset. */
export const results = publishingBucket("Results", existingBuckets.results, [
  // Tableau queries often, and reads each result once.
  ...Object.values(keys.analystsResults).map((prefix) => ({
    id: `expire-${prefix === keys.analystsResults.full ? "analysts" : "deidentified"}-results`,
    status: "Enabled",
    filter: { prefix },
    expiration: { days: 7 },
    noncurrentVersionExpiration: { noncurrentDays: 1 },
  })),
  // The results of the pipeline's own statements and queries. The athena service copies a dataset's result to
  // `publish.results`, which never expires. Dead letters of the service are kept for 14 days, so 30 days cover every replay.
  ...[...new Set(datasets.map(({ publish }) => publish.queryResults))].map((folder) => ({
    id: `expire-${folder}`,
    status: "Enabled",
    filter: { prefix: `${folder}/` },
    expiration: { days: 30 },
    noncurrentVersionExpiration: { noncurrentDays: 1 },
  })),
]);

/** Creates a versioned bucket, so that a bad file can be rolled back for 90 days; or uses an existing bucket unchanged. */
function publishingBucket(
  name: string,
  existing: string | undefined,
  moreRules: aws.types.input.s3.BucketLifecycleConfigurationRule[] = [],
): sst.aws.Bucket {
  if (existing) return sst.aws.Bucket.get(name, existing);
  return new sst.aws.Bucket(name, {
    cors: false,
    versioning: true,
    lifecycle: [{ id: "expire-old-versions" }],
    transform: {
      bucket: { forceDestroy },
      lifecycle: {
        rules: [
          {
            id: "expire-old-versions",
            status: "Enabled",
            noncurrentVersionExpiration: { noncurrentDays: 90 },
            abortIncompleteMultipartUpload,
          },
          ...moreRules,
        ],
      },
    },
  });
}
