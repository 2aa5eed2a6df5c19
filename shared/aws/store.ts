// One S3 bucket, as the services use it.

import type { Readable } from "node:stream";
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
import type * as z from "zod/mini";
import { PipelineError } from "../errors.ts";

const megabyte = 1024 * 1024;
/** 10,000 parts at most: 52 GB an object, with two parts in memory at a time. */
export const uploadPartBytes = 5 * megabyte;
export const uploadsAtOnce = 2;

/** Versions that S3 lists in one answer. */
const listedAtOnce = 1_000;

export type ObjectInfo = {
  etag: string;
  bytes: number;
  contentType: string;
  metadata: Record<string, string>;
  /** When it was written, by the second. */
  at: Date;
};
/** An object as S3 lists it. `at`: when it was written, by the second. */
export type ListedObject = { key: string; etag: string; at: Date };
/** One of the objects that a key has had. `at`: when it was written, by the second. */
export type Version = { versionId: string; at: Date; isLatest: boolean };
/** A write that must find the object as it was seen: with this ETag, or `absent`. */
export type Condition = { ifMatch: string } | "absent";

export class Store {
  readonly #s3: S3Client;
  readonly bucket: string;

  constructor(s3: S3Client, bucket: string) {
    this.#s3 = s3;
    this.bucket = bucket;
  }

  /** @returns the object's ETag */
  async put(key: string, body: string, contentType: string): Promise<string> {
    const { ETag } = await this.#s3.send(
      new PutObjectCommand({
        Bucket: this.bucket,
        Key: key,
        Body: body,
        // The SDK takes an empty text for a stream of unknown length.
        ContentLength: Buffer.byteLength(body),
        ContentType: contentType,
      }),
    );
    return present(ETag, "ETag", key);
  }

  /** Writes JSON unless the key is taken. @returns whether this call wrote it */
  async putOnce(key: string, value: unknown): Promise<boolean> {
    try {
      await this.#putJson(key, value, { IfNoneMatch: "*" });
      return true;
    } catch (error) {
      // A 409 (another write of this key is under way) is not an answer yet: it is thrown and tried again later.
      if (error instanceof S3ServiceException && error.name === "PreconditionFailed") return false;
      throw error;
    }
  }

  /** Writes JSON over an object that still has this ETag. @returns whether it had */
  async replaceJson(key: string, value: unknown, etag: string): Promise<boolean> {
    try {
      await this.#putJson(key, value, { IfMatch: etag });
      return true;
    } catch (error) {
      if (isConditionFailure(error)) return false;
      throw error;
    }
  }

  async #putJson(
    key: string,
    value: unknown,
    condition: { IfNoneMatch: "*" } | { IfMatch: string },
  ): Promise<void> {
    await this.#s3.send(
      new PutObjectCommand({
        Bucket: this.bucket,
        Key: key,
        Body: JSON.stringify(value),
        ContentType: "application/json",
        ...condition,
      }),
    );
  }

  /** The object as parsed JSON, or undefined where there is none. */
  async getJson<T extends z.ZodMiniType>(key: string, schema: T): Promise<z.infer<T> | undefined> {
    const text = await this.getText(key);
    return text === undefined ? undefined : schema.parse(JSON.parse(text));
  }

  async getText(key: string): Promise<string | undefined> {
    try {
      const { Body } = await this.#s3.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }));
      return await present(Body, "Body", key).transformToString("utf-8");
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** The object as it was when it had this ETag; `changed` where it has another one or is gone. */
  async getBytes(key: string, etag: string): Promise<Uint8Array | "changed"> {
    try {
      const { Body } = await this.#s3.send(
        new GetObjectCommand({ Bucket: this.bucket, Key: key, IfMatch: etag }),
      );
      return await present(Body, "Body", key).transformToByteArray();
    } catch (error) {
      if (isConditionFailure(error)) return "changed";
      throw error;
    }
  }

  /** The first `bytes` of an object, as text. */
  async getStart(key: string, bytes: number): Promise<string> {
    const { Body } = await this.#s3.send(
      new GetObjectCommand({ Bucket: this.bucket, Key: key, Range: `bytes=0-${bytes - 1}` }),
    );
    return present(Body, "Body", key).transformToString("utf-8");
  }

  /** The object's bytes as they arrive; those of an earlier version where one is named. */
  async stream(key: string, versionId?: string): Promise<Readable> {
    const { Body } = await this.#s3.send(
      new GetObjectCommand({ Bucket: this.bucket, Key: key, ...(versionId && { VersionId: versionId }) }),
    );
    // In Node the SDK's body is a Readable; its type also covers browsers.
    const body = present(Body, "Body", key);
    if ("pipe" in body) return body;
    throw new Error(`The body of ${key} is not a Node stream.`);
  }

  /** What is known of the object, or of an earlier version; undefined where it is not there. */
  async head(key: string, versionId?: string): Promise<ObjectInfo | undefined> {
    try {
      const answer = await this.#s3.send(
        new HeadObjectCommand({ Bucket: this.bucket, Key: key, ...(versionId && { VersionId: versionId }) }),
      );
      return {
        etag: present(answer.ETag, "ETag", key),
        bytes: answer.ContentLength ?? 0,
        // S3's own default.
        contentType: answer.ContentType ?? "binary/octet-stream",
        metadata: answer.Metadata ?? {},
        at: present(answer.LastModified, "LastModified", key),
      };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /**
   * The newest versions of one key, the newest first: at most `max`, deletions counted but not told. Where the object was
   * deleted none is the latest; in a bucket that never kept versions there is one at most.
   */
  async listVersions(key: string, max: number): Promise<Version[]> {
    const found: Version[] = [];
    let seen = 0;
    let after: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } | undefined = {};
    // Ends: each round sees more of the key's versions, or is the last.
    while (after && seen < max) {
      const answer: ListObjectVersionsCommandOutput = await this.#s3.send(
        new ListObjectVersionsCommand({
          Bucket: this.bucket,
          // The key itself is the first of those that begin with it.
          Prefix: key,
          MaxKeys: Math.min(max - seen, listedAtOnce),
          ...after,
        }),
      );
      const versions = (answer.Versions ?? []).filter(({ Key }) => Key === key);
      const deletions = (answer.DeleteMarkers ?? []).filter(({ Key }) => Key === key);
      found.push(...versions.map((version) => versionOf(version, key)));
      seen += versions.length + deletions.length;
      const isLast = !answer.IsTruncated || versions.length + deletions.length === 0;
      after = isLast
        ? undefined
        : { KeyMarker: answer.NextKeyMarker, VersionIdMarker: answer.NextVersionIdMarker };
    }
    return found;
  }

  /**
   * What lies below a prefix, in the order of keys, a thousand objects a call; whoever stops early asks for no more.
   * @throws PipelineError `TooManyObjects` beyond `limit`
   */
  async *objects(prefix: string, limit: number): AsyncGenerator<ListedObject> {
    for await (const { Contents = [] } of this.#listing({ Prefix: prefix }, limit)) {
      for (const { Key, ETag = "", LastModified = new Date(0) } of Contents) {
        if (Key !== undefined) yield { key: Key, etag: ETag, at: LastModified };
      }
    }
  }

  /** All keys below a prefix, in order. @throws PipelineError `TooManyObjects` beyond `limit` */
  async list(prefix: string, limit: number): Promise<string[]> {
    return Array.fromAsync(this.objects(prefix, limit), ({ key }) => key);
  }

  /** All keys below a prefix with the time of their last change. @throws PipelineError `TooManyObjects` */
  async listChanges(prefix: string, limit: number): Promise<Map<string, Date>> {
    return new Map(await Array.fromAsync(this.objects(prefix, limit), ({ key, at }) => [key, at] as const));
  }

  /** The folders right below a prefix, each with its "/". @throws PipelineError `TooManyObjects` */
  async listFolders(prefix: string, limit: number): Promise<string[]> {
    const folders: string[] = [];
    for await (const { CommonPrefixes = [] } of this.#listing({ Prefix: prefix, Delimiter: "/" }, limit)) {
      folders.push(...CommonPrefixes.flatMap(({ Prefix }) => Prefix ?? []));
    }
    return folders;
  }

  async *#listing(
    asked: { Prefix: string; Delimiter?: string },
    limit: number,
  ): AsyncGenerator<ListObjectsV2CommandOutput> {
    let found = 0;
    let token: string | undefined;
    do {
      const answer: ListObjectsV2CommandOutput = await this.#s3.send(
        new ListObjectsV2Command({
          Bucket: this.bucket,
          ...asked,
          ...(token && { ContinuationToken: token }),
        }),
      );
      found += (answer.Contents?.length ?? 0) + (answer.CommonPrefixes?.length ?? 0);
      token = answer.NextContinuationToken;
      if (found > limit) {
        throw new PipelineError("TooManyObjects", {
          message: `There are more than ${limit} objects below ${asked.Prefix}.`,
          advice: "Narrow the dataset's range, or raise the limit where it is written down.",
          ids: { prefix: asked.Prefix },
        });
      }
      yield answer;
    } while (token);
  }

  /**
   * Writes a stream as one object, in one atomic step at its end, if the object there is still as `condition` says.
   * Memory: some parts of 5 MiB. On any error nothing is written and the upload is aborted.
   * @returns the new object's ETag, or undefined when the condition did not hold
   */
  async upload(
    key: string,
    body: Readable,
    options: { contentType: string; metadata: Record<string, string>; condition: Condition },
  ): Promise<string | undefined> {
    const { condition } = options;
    const upload = new Upload({
      client: this.#s3,
      queueSize: uploadsAtOnce,
      partSize: uploadPartBytes,
      params: {
        Bucket: this.bucket,
        Key: key,
        Body: body,
        ContentType: options.contentType,
        Metadata: options.metadata,
        ...(condition === "absent" ? { IfNoneMatch: "*" } : { IfMatch: condition.ifMatch }),
      },
    });
    try {
      const { ETag } = await upload.done();
      return present(ETag, "ETag", key);
    } catch (error) {
      if (isConditionFailure(error)) return undefined;
      throw error;
    } finally {
      body.destroy();
    }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof S3ServiceException && error.$metadata.httpStatusCode === 404;
}

/** 412: the object is not as expected; 404: it is gone; 409: another conditional write won at this moment. */
function isConditionFailure(error: unknown): boolean {
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
  throw new Error(`S3 answered without ${what} for ${key}.`);
}
