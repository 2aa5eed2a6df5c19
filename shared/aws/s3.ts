// The object store on an S3 bucket.
import { Readable } from "node:stream";
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  type ObjectVersion,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import {
  type Condition,
  type ListedObject,
  type ObjectInfo,
  ObjectStore,
  tooManyObjects,
  type UploadOptions,
  type Version,
} from "../ports.ts";

const megabyte = 1024 * 1024;
/** S3 allows 10,000 parts, so an object may have 52 GB. Two parts are in memory at a time. */
export const uploadPartBytes = 5 * megabyte;
export const uploadsAtOnce = 2;

/** The most versions in one response of S3. */
const listedAtOnce = 1_000;

export class S3Store extends ObjectStore {
  readonly #s3: S3Client;
  readonly bucket: string;

  constructor(s3: S3Client, bucket: string) {
    super();
    this.#s3 = s3;
    this.bucket = bucket;
  }

  protected async write(
    key: string,
    body: string | Uint8Array,
    contentType: string,
    condition?: Condition,
  ): Promise<string | undefined> {
    try {
      const { ETag } = await this.#s3.send(
        new PutObjectCommand({
          Bucket: this.bucket,
          Key: key,
          Body: body,
          // The SDK treats an empty text as a stream of unknown length.
          ContentLength: Buffer.byteLength(body),
          ContentType: contentType,
          ...(condition && conditionOf(condition)),
        }),
      );
      return present(ETag, "ETag", key);
    } catch (error) {
      if (condition === undefined || !isConditionFailure(error)) throw error;
      // After a 409, another write of the key is in progress and may still fail. The caller retries later.
      if (condition === "absent" && error.name !== "PreconditionFailed") throw error;
      return undefined;
    }
  }

  async getBytes(key: string): Promise<Uint8Array | undefined> {
    try {
      const { Body } = await this.#s3.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }));
      return await present(Body, "Body", key).transformToByteArray();
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async getStart(key: string, bytes: number): Promise<string> {
    try {
      const { Body } = await this.#s3.send(
        new GetObjectCommand({ Bucket: this.bucket, Key: key, Range: `bytes=0-${bytes - 1}` }),
      );
      return await present(Body, "Body", key).transformToString("utf-8");
    } catch (error) {
      // S3 has no range of an empty object.
      if (error instanceof S3ServiceException && error.name === "InvalidRange") return "";
      throw error;
    }
  }

  async stream(key: string, versionId?: string): Promise<Readable> {
    const { Body } = await this.#s3.send(
      new GetObjectCommand({ Bucket: this.bucket, Key: key, ...(versionId && { VersionId: versionId }) }),
    );
    // In Node the body is a Readable. The SDK's type includes browsers.
    const body = present(Body, "Body", key);
    if ("pipe" in body) return body;
    throw new Error(`The body of ${key} is not a Node stream.`);
  }

  async head(key: string, versionId?: string): Promise<ObjectInfo | undefined> {
    try {
      const response = await this.#s3.send(
        new HeadObjectCommand({ Bucket: this.bucket, Key: key, ...(versionId && { VersionId: versionId }) }),
      );
      return {
        etag: present(response.ETag, "ETag", key),
        bytes: response.ContentLength ?? 0,
        // The default of S3.
        contentType: response.ContentType ?? "binary/octet-stream",
        metadata: response.Metadata ?? {},
        at: present(response.LastModified, "LastModified", key),
      };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** Delete markers count toward `max`. A bucket that never kept versions returns at most one. */
  async listVersions(key: string, max: number): Promise<Version[]> {
    const found: Version[] = [];
    let seen = 0;
    let after: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } | undefined = {};
    // Ends, because each round but the last finds more versions of the key.
    while (after && seen < max) {
      const response: ListObjectVersionsCommandOutput = await this.#s3.send(
        new ListObjectVersionsCommand({
          Bucket: this.bucket,
          // The key itself is the first of the keys with this prefix.
          Prefix: key,
          MaxKeys: Math.min(max - seen, listedAtOnce),
          ...after,
        }),
      );
      const versions = (response.Versions ?? []).filter(({ Key }) => Key === key);
      const deletions = (response.DeleteMarkers ?? []).filter(({ Key }) => Key === key);
      found.push(...versions.map((version) => versionOf(version, key)));
      seen += versions.length + deletions.length;
      const isLast = !response.IsTruncated || versions.length + deletions.length === 0;
      after = isLast
        ? undefined
        : { KeyMarker: response.NextKeyMarker, VersionIdMarker: response.NextVersionIdMarker };
    }
    return found;
  }

  async *objects(prefix: string, limit: number): AsyncGenerator<ListedObject> {
    for await (const { Contents = [] } of this.#listing({ Prefix: prefix }, limit)) {
      for (const { Key, ETag = "", Size = 0, LastModified = new Date(0) } of Contents) {
        if (Key !== undefined) yield { key: Key, etag: ETag, bytes: Size, at: LastModified };
      }
    }
  }

  async listFolders(prefix: string, limit: number): Promise<string[]> {
    const folders: string[] = [];
    for await (const { CommonPrefixes = [] } of this.#listing({ Prefix: prefix, Delimiter: "/" }, limit)) {
      folders.push(...CommonPrefixes.flatMap(({ Prefix }) => Prefix ?? []));
    }
    return folders;
  }

  async *#listing(
    input: { Prefix: string; Delimiter?: string },
    limit: number,
  ): AsyncGenerator<ListObjectsV2CommandOutput> {
    let found = 0;
    let token: string | undefined;
    do {
      const response: ListObjectsV2CommandOutput = await this.#s3.send(
        new ListObjectsV2Command({
          Bucket: this.bucket,
          ...input,
          ...(token && { ContinuationToken: token }),
        }),
      );
      found += (response.Contents?.length ?? 0) + (response.CommonPrefixes?.length ?? 0);
      token = response.NextContinuationToken;
      if (found > limit) throw tooManyObjects(input.Prefix, limit);
      yield response;
    } while (token);
  }

  /** Aborts the upload if the stream fails. */
  async upload(
    key: string,
    body: AsyncIterable<Uint8Array>,
    options: UploadOptions,
  ): Promise<string | undefined> {
    const stream = body instanceof Readable ? body : Readable.from(body, { objectMode: false });
    const upload = new Upload({
      client: this.#s3,
      queueSize: uploadsAtOnce,
      partSize: uploadPartBytes,
      params: {
        Bucket: this.bucket,
        Key: key,
        Body: stream,
        ContentType: options.contentType,
        Metadata: options.metadata,
        ...conditionOf(options.condition),
      },
    });
    try {
      const { ETag } = await upload.done();
      return present(ETag, "ETag", key);
    } catch (error) {
      if (isConditionFailure(error)) return undefined;
      throw error;
    } finally {
      stream.destroy();
    }
  }
}

function conditionOf(condition: Condition): { IfNoneMatch: "*" } | { IfMatch: string } {
  return condition === "absent" ? { IfNoneMatch: "*" } : { IfMatch: condition.ifMatch };
}

function isMissing(error: unknown): boolean {
  return error instanceof S3ServiceException && error.$metadata.httpStatusCode === 404;
}

/** 412: the object is not as expected. 404: it was deleted. 409: another conditional write won. */
function isConditionFailure(error: unknown): error is S3ServiceException {
  if (!(error instanceof S3ServiceException)) return false;
  return ["PreconditionFailed", "NoSuchKey", "ConditionalRequestConflict"].includes(error.name);
}

function versionOf({ VersionId, LastModified, IsLatest }: ObjectVersion, key: string): Version {
  return {
    versionId: present(VersionId, "VersionId", key),
    at: present(LastModified, "LastModified", key),
    isLatest: IsLatest === true,
  };
}

function present<T>(value: T | undefined, what: string, key: string): T {
  if (value !== undefined) return value;
  throw new Error(`S3 responded without ${what} for ${key}.`);
}
