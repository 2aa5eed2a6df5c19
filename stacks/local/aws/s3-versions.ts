// Versions of objects as S3 documents them: the XML that switches them on, and the list of them.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html
import { S3Error } from "./s3-error.ts";
import { escapeXml, parseXml } from "./xml.ts";

const maxListed = 1_000;
const declaration = '<?xml version="1.0" encoding="UTF-8"?>';
const namespace = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

/** @throws S3Error unless the document is a VersioningConfiguration that enables versions */
export function checkVersioning(document: string): void {
  const root = parseXml(document);
  if (root?.name !== "VersioningConfiguration") {
    throw new S3Error(400, "MalformedXML", "The body is not a VersioningConfiguration document.");
  }
  const [setting, ...others] = root.children;
  if (setting?.name === "Status" && setting.text === "Enabled" && others.length === 0) return;
  throw new S3Error(501, "NotImplemented", "The local S3 can only enable versions, not suspend them.");
}

export function formatVersioning(isEnabled: boolean): string {
  const status = isEnabled ? "<Status>Enabled</Status>" : "";
  return `${declaration}<VersioningConfiguration ${namespace}>${status}</VersioningConfiguration>`;
}

export type ListedVersion = {
  key: string;
  versionId: string;
  isLatest: boolean;
  /** Without quotes. */
  etag: string;
  /** Bytes. */
  size: number;
  /** HTTP's form. */
  lastModified: string;
};

/** What a ListObjectVersions request asks for. */
export type VersionsAsked = {
  prefix: string;
  max: number;
  /** The last of the page before: of its key's versions, or where none is named, of its keys. */
  after?: { key: string; versionId?: string };
};

/** @throws S3Error `InvalidArgument` */
export function parseVersionsAsked(query: URLSearchParams): VersionsAsked {
  if (query.has("delimiter")) {
    throw new S3Error(501, "NotImplemented", "The local S3 lists versions without a delimiter only.");
  }
  const max = query.get("max-keys") ?? String(maxListed);
  if (!/^\d{1,9}$/.test(max)) throw new S3Error(400, "InvalidArgument", "max-keys is not a whole number.");
  const key = query.get("key-marker") ?? "";
  const versionId = query.get("version-id-marker") ?? "";
  if (key === "" && versionId !== "") {
    throw new S3Error(
      400,
      "InvalidArgument",
      "A version-id marker cannot be specified without a key marker.",
    );
  }
  return {
    prefix: query.get("prefix") ?? "",
    max: Math.min(Number(max), maxListed),
    ...(key !== "" && { after: { key, ...(versionId !== "" && { versionId }) } }),
  };
}

/** Keys in S3's order, by their UTF-8 bytes. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/**
 * The page that was asked for.
 * @param versionsOf of one key, the newest first
 */
export async function pageOfVersions(
  keys: readonly string[],
  { max, after }: VersionsAsked,
  versionsOf: (key: string) => Promise<ListedVersion[]>,
): Promise<{ listed: ListedVersion[]; isTruncated: boolean }> {
  const listed: ListedVersion[] = [];
  for (const key of keys.toSorted(compareKeys)) {
    const order = after ? compareKeys(key, after.key) : 1;
    if (order < 0 || (order === 0 && after?.versionId === undefined)) continue;
    const versions = await versionsOf(key);
    const marker = versions.findIndex(({ versionId }) => versionId === after?.versionId);
    // A marker that is not there any more was the oldest.
    const first = order > 0 ? 0 : marker === -1 ? versions.length : marker + 1;
    for (const version of versions.slice(first)) {
      if (listed.length === max) return { listed, isTruncated: max > 0 };
      listed.push(version);
    }
  }
  return { listed, isTruncated: false };
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html */
export function formatVersions(
  bucket: string,
  { prefix, max }: VersionsAsked,
  { listed, isTruncated }: { listed: readonly ListedVersion[]; isTruncated: boolean },
): string {
  const last = isTruncated ? listed.at(-1) : undefined;
  return [
    `${declaration}<ListVersionsResult ${namespace}>`,
    tag("Name", bucket),
    tag("Prefix", prefix),
    tag("MaxKeys", String(max)),
    tag("IsTruncated", String(isTruncated)),
    ...(last ? [tag("NextKeyMarker", last.key), tag("NextVersionIdMarker", last.versionId)] : []),
    ...listed.map(formatVersion),
    "</ListVersionsResult>",
  ].join("");
}

function formatVersion({ key, versionId, isLatest, etag, size, lastModified }: ListedVersion): string {
  return [
    "<Version>",
    tag("Key", key),
    tag("VersionId", versionId),
    tag("IsLatest", String(isLatest)),
    tag("LastModified", new Date(lastModified).toISOString()),
    tag("ETag", `"${etag}"`),
    tag("Size", String(size)),
    tag("StorageClass", "STANDARD"),
    "</Version>",
  ].join("");
}

function tag(name: string, text: string): string {
  return `<${name}>${escapeXml(text)}</${name}>`;
}
