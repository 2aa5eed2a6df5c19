// The three buckets. SST's buckets refuse plain HTTP and public access by themselves.
import { keys } from "../shared/keys.ts";
import { currentStage } from "./stage.ts";

const { production, existingBuckets } = currentStage();
/** Everywhere else `sst remove` empties the stage's buckets. */
const forceDestroy = !production;
/** Parts of an upload that was broken off cost money and are seen by nobody. */
const abortIncompleteMultipartUpload = { daysAfterInitiation: 7 };

/** All that runs leave behind on their way. A dead letter is replayed within 14 days, a run looked into within 30. */
export const work = new sst.aws.Bucket("Work", {
  cors: false,
  lifecycle: [{ id: "forget-runs", expiresIn: "30 days" }],
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
export const data = publishingBucket("Data", existingBuckets.data);
/** What Athena's queries give, and the newest good result of each dataset. */
export const results = publishingBucket("Results", existingBuckets.results, [
  {
    // Tableau asks again and again, and reads each answer once.
    id: "expire-analysts-results",
    status: "Enabled",
    filter: { prefix: keys.analystsResults },
    expiration: { days: 7 },
    noncurrentVersionExpiration: { noncurrentDays: 1 },
  },
]);

/** Versioned, so that a bad publication can be taken back for 90 days. An existing bucket is used as it is. */
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
