// Checks of the buckets to which a stage publishes. It never changes the settings of existing ones.
import {
  GetBucketEncryptionCommand,
  GetBucketNotificationConfigurationCommand,
  GetBucketVersioningCommand,
  HeadBucketCommand,
  NotFound,
  type S3Client,
} from "@aws-sdk/client-s3";
import { S3Store } from "../../../shared/aws/s3.ts";
import type { Dataset } from "../../../shared/dataset-schema.ts";
import { strayObjects, strayText } from "../../../shared/stray-objects.ts";
import { allowed, type Check, type Finding, ok, problem, shell, warning } from "./check.ts";

export type BucketInUse = {
  name: string;
  /** Whether the stage learns of new files by EventBridge, as in an existing data bucket. */
  needsEvents: boolean;
};

/** @param title begins the checks' names */
export function bucketChecks(
  title: string,
  { name: Bucket, needsEvents }: BucketInUse,
  s3: S3Client,
  region: string,
): Check[] {
  return [
    { name: `${title}: region`, run: checkRegion },
    { name: `${title}: versioning`, run: checkVersioning },
    { name: `${title}: encryption`, run: checkEncryption },
    ...(needsEvents ? [{ name: `${title}: events`, run: checkEvents }] : []),
  ];

  async function checkRegion(): Promise<Finding> {
    try {
      const call = () => s3.send(new HeadBucketCommand({ Bucket }));
      const { BucketRegion = region } = await allowed("s3:ListBucket", call);
      if (BucketRegion === region) return ok(`${Bucket} is in ${region}.`);
      const fix = "Use a bucket in the stage's region: S3's events do not reach another one.";
      return problem(`${Bucket} is in ${BucketRegion}, and the stage in ${region}.`, fix);
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
      return problem(`${Bucket} does not exist.`, "Create it, or correct its name in the stage's settings.");
    }
  }

  async function checkVersioning(): Promise<Finding> {
    const call = () => s3.send(new GetBucketVersioningCommand({ Bucket }));
    const { Status = "Off" } = await allowed("s3:GetBucketVersioning", call);
    if (Status === "Enabled") return ok("Enabled, so earlier files can be restored.");
    const enable = "--versioning-configuration Status=Enabled";
    return warning(
      `${Status}. A file that is overwritten cannot be restored.`,
      `Turn it on.\n${shell("aws s3api put-bucket-versioning", `--bucket ${Bucket}`, enable)}`,
    );
  }

  async function checkEncryption(): Promise<Finding> {
    const call = () => s3.send(new GetBucketEncryptionCommand({ Bucket }));
    const { ServerSideEncryptionConfiguration } = await allowed("s3:GetEncryptionConfiguration", call);
    const rule = ServerSideEncryptionConfiguration?.Rules?.[0]?.ApplyServerSideEncryptionByDefault;
    const { SSEAlgorithm = "AES256", KMSMasterKeyID = "alias/aws/s3" } = rule ?? {};
    if (!SSEAlgorithm.startsWith("aws:kms")) return ok(`S3's own keys (${SSEAlgorithm}).`);
    // The policy of this key allows every principal of the account that S3 allows.
    if (KMSMasterKeyID.endsWith("alias/aws/s3")) return ok(`The AWS managed key aws/s3 (${SSEAlgorithm}).`);
    return warning(
      `The KMS key ${KMSMasterKeyID}. Only its policy can allow the stage to use it.`,
      "Allow kms:Decrypt and kms:GenerateDataKey to the stage's roles and the analysts' user in the key's policy, if you have not yet. docs/deploy.md has the statement.",
    );
  }

  async function checkEvents(): Promise<Finding> {
    const call = () => s3.send(new GetBucketNotificationConfigurationCommand({ Bucket }));
    const { EventBridgeConfiguration } = await allowed("s3:GetBucketNotification", call);
    if (EventBridgeConfiguration) return ok("The bucket sends its events to EventBridge.");
    return warning(
      "The bucket sends no events to EventBridge. Athena does not follow a file that a rollback restores.",
      "In the S3 console, turn on Amazon EventBridge under Properties, Event notifications. The console keeps the bucket's other notifications.",
    );
  }
}

/** Returns the check of a dataset's published file and of the folder that Athena reads. */
export function publishedFileCheck(dataset: Dataset, bucket: string, s3: S3Client): Check {
  const { csv } = dataset.publish;
  const data = new S3Store(s3, bucket);
  return {
    name: `published file of ${dataset.name}`,
    async run() {
      const file = await allowed("s3:GetObject", () => data.head(csv));
      const live = file?.metadata["run-id"];
      const stray = await allowed("s3:ListBucket", () => strayObjects(dataset, data, live));
      if (stray.length > 0) {
        const saw = `Other objects are beside ${csv}.`;
        return problem(saw, `${strayText(stray, bucket)}.`);
      }
      if (!file) return ok(`${csv} is not published yet.`);
      const at = `${file.at.toISOString().slice(0, 16).replace("T", " ")} UTC`;
      const { "run-id": runId } = file.metadata;
      if (runId !== undefined) return ok(`Run ${runId} published ${csv} at ${at}.`);
      return warning(
        `Another program wrote ${csv} at ${at}.`,
        "If this pipeline runs already, stop the other program: disable its schedules and triggers. The next run replaces the file.",
      );
    },
  };
}
