/**
 * How an object of an S3 store is named in items and rows: `s3://bucket/key`, where the key stands as it is, as AWS's own
 * tools write it, and is not percent-encoded. It names no server: which store is asked is for whoever runs the worker.
 */

/** A bucket, and the key of an object or the start of keys; empty for all of the bucket. */
export interface S3Place {
  readonly bucket: string;
  readonly key: string;
}

/** Of AWS for a key, in bytes of UTF-8 (S3 user guide, "Naming Amazon S3 objects"). */
const longestKeyBytes = 1024;
/** Of AWS today; in other stores, and in old buckets, also upper case and `_`. Nothing that a host name or path could be changed with. */
const bucketForm = /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/;

/** Whether `uri` has the scheme of an object store. */
export function isS3Uri(uri: string): boolean {
  return /^s3:/i.test(uri);
}

/** The uri of an object. */
export function uriOfObject({ bucket, key }: S3Place): string {
  return `s3://${bucket}/${key}`;
}

/** The object that `uri` names, or why it names none. */
export function parseObjectUri(uri: string): S3Place | { readonly reason: string } {
  const place = parseS3Uri(uri);
  return "key" in place && place.key === "" ? { reason: "it names a bucket, and no object" } : place;
}

/**
 * What `text` names, or why it names nothing. Keys with a part that is `.` or `..` are refused: servers and proxies take them
 * for a path, and answer with another object or with a signature that does not match.
 */
export function parseS3Uri(text: string): S3Place | { readonly reason: string } {
  const [, bucket = "", key = ""] = /^s3:\/\/([^/]*)\/?(.*)$/is.exec(text) ?? [];
  if (!bucketForm.test(bucket) || bucket.includes("..")) return { reason: "expected s3://BUCKET/KEY" };
  if (/\p{Surrogate}/u.test(key)) return { reason: "its key holds half of a surrogate pair" };
  if (Buffer.byteLength(key) > longestKeyBytes) return { reason: `its key is longer than ${longestKeyBytes} bytes` };
  if (key.split("/").some((part) => part === "." || part === ".."))
    return { reason: "a part of its key is . or .., which servers take for a path" };
  return { bucket, key };
}
