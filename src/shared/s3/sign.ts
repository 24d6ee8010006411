/**
 * Signature Version 4 in headers, as the S3 API reference defines it ("Authenticating Requests: Using the Authorization
 * Header"). Pure: time and credentials are given. Paths are signed as they are sent, encoded once and never normalised, which
 * is the rule for S3 alone.
 */
import { createHash, createHmac } from "node:crypto";

/** Kept out of every message, log line, row and job; `toString` has nothing to show. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of credentials for a time; null for others. */
  readonly sessionToken: string | null;
}

export interface SignableRequest {
  readonly method: string;
  /** With the port, unless it is the scheme's own. */
  readonly host: string;
  /** Encoded, from `/`. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** What is signed beside `host` and the `x-amz-` headers of the signature; names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Lower-case hex digest of the body. */
  readonly bodySha256: string;
}

/** As it stands in a request; of none, that of no bytes. */
export function bodySha256Of(body: Uint8Array | undefined): string {
  return sha256(body ?? "");
}

/** `text` as it stands in paths (where slashes stay) and queries: all but unreserved characters of RFC 3986 in %XX of UTF-8. */
export function encodeName(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The path of a key or bucket. */
export function encodePath(path: string): string {
  return path.split("/").map(encodeName).join("/");
}

/** Sorted by encoded name, as it is signed and sent. */
export function encodeQuery(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => `${encodeName(name)}=${encodeName(value)}`)
    .sort()
    .join("&");
}

/** The headers to send for a signed `request`, but `host`. */
export function signRequest(
  request: SignableRequest,
  credentials: S3Credentials,
  { region, at }: { readonly region: string; readonly at: Date },
): Record<string, string> {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const time = at.toISOString().replaceAll(/[:-]|\.\d{3}/g, "");
  const scope = [time.slice(0, 8), region, "s3", "aws4_request"];
  const token = sessionToken === null ? {} : { "x-amz-security-token": sessionToken };
  const sent = { ...request.headers, "x-amz-content-sha256": request.bodySha256, "x-amz-date": time, ...token };
  const signed = Object.entries({ ...sent, host: request.host }).sort(([a], [b]) => (a < b ? -1 : 1));
  const signedNames = signed.map(([name]) => name).join(";");
  const canonical = [
    ...[request.method, request.path, encodeQuery(request.query)],
    ...signed.map(([name, value]) => `${name}:${value.trim()}`),
    ...["", signedNames, request.bodySha256],
  ].join("\n");
  const toSign = ["AWS4-HMAC-SHA256", time, scope.join("/"), sha256(canonical)].join("\n");
  const key = scope.reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${secretAccessKey}`);
  const signature = Buffer.from(hmac(key, toSign)).toString("hex");
  const credential = `Credential=${accessKeyId}/${scope.join("/")}`;
  const authorization = `AWS4-HMAC-SHA256 ${credential},SignedHeaders=${signedNames},Signature=${signature}`;
  return { ...sent, authorization };
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text, "utf8").digest();
}
