// Deletes objects of an S3 bucket for good, with all their versions. No function's bundle includes this.
import {
  DeleteObjectsCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  type S3Client,
} from "@aws-sdk/client-s3";
import type { Eraser, StoredVersion } from "../ports.ts";

/** The most that S3 deletes in one call. */
const deletedAtOnce = 1_000;

export class S3Eraser implements Eraser {
  readonly #s3: S3Client;
  readonly #bucket: string;

  constructor(s3: S3Client, bucket: string) {
    this.#s3 = s3;
    this.#bucket = bucket;
  }

  async *versions(prefix: string): AsyncGenerator<StoredVersion> {
    let after: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } | undefined = {};
    // Ends, because each response begins after the one before.
    while (after) {
      const found: ListObjectVersionsCommandOutput = await this.#s3.send(
        new ListObjectVersionsCommand({ Bucket: this.#bucket, Prefix: prefix, ...after }),
      );
      for (const { Key, VersionId, IsLatest } of [
        ...(found.Versions ?? []),
        ...(found.DeleteMarkers ?? []),
      ]) {
        if (Key === undefined || VersionId === undefined)
          throw new Error("S3 listed a version without its key or id.");
        yield { key: Key, versionId: VersionId, isLatest: IsLatest === true };
      }
      after = found.IsTruncated
        ? { KeyMarker: found.NextKeyMarker, VersionIdMarker: found.NextVersionIdMarker }
        : undefined;
    }
  }

  async erase(versions: readonly StoredVersion[]): Promise<void> {
    for (let from = 0; from < versions.length; from += deletedAtOnce) {
      const Objects = versions
        .slice(from, from + deletedAtOnce)
        .map(({ key, versionId }) => ({ Key: key, VersionId: versionId }));
      const { Errors = [] } = await this.#s3.send(
        new DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects, Quiet: true } }),
      );
      const [first] = Errors;
      if (first)
        throw new Error(`S3 did not delete ${Errors.length} objects, such as ${first.Key} (${first.Code}).`);
    }
  }
}
