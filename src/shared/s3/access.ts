/**
 * How an S3 store is reached by this process: where its buckets are, and requests signed for them. The endpoint is the user's
 * own setting; of an item's uri only the bucket and the key go into a request. It sends nothing: the worker's fetcher and
 * `client.ts` do, each in its own way.
 */
import { LabelmillError } from "../errors.js";
import { parseUrl, redactUri } from "../http-uri.js";
import { type CredentialSettings, createCredentialSource } from "./credentials.js";
import { bodySha256Of, encodeName, encodePath, encodeQuery, signRequest } from "./sign.js";

export type S3Method = "GET" | "HEAD" | "PUT" | "DELETE";

export interface S3Request {
  readonly method: S3Method;
  readonly bucket: string;
  /** Empty for the bucket itself. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Signed as well; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Its digest is signed, so that a store takes exactly these bytes. */
  readonly body?: Uint8Array;
}

/** What is sent, at one time: a signature is good for 15 minutes. */
export interface PreparedRequest {
  readonly method: S3Method;
  readonly origin: string;
  readonly hostname: string;
  /** Encoded, with the query; to be sent as it is. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** For which region; see `learnRegion`. */
  readonly region: string;
  readonly isSigned: boolean;
}

export interface S3Access {
  /** As messages name it. */
  readonly endpoint: string;
  /** What a message says where a request that was not signed is refused. */
  readonly whyUnsigned: string;
  /** Signs where there are credentials. Throws OPTION_INVALID, STORAGE_FAILED from a source of credentials. */
  prepare(request: S3Request): Promise<PreparedRequest>;
  /** Remembers that the store says so; whether a request that was prepared for `asked` may fare better now. */
  learnRegion(bucket: string, region: string, asked: string): boolean;
  /** Has the credentials looked for again. */
  forgetCredentials(): void;
}

export interface S3AccessSettings {
  /** Null: AWS. May have a path, as `https://example.org/storage/s3`. */
  readonly endpoint: string | null;
  readonly region: string | null;
  readonly credentials: Omit<CredentialSettings, "isAws">;
}

const defaultRegion = "us-east-1";
/** A bucket that can be a label of a host name under AWS's certificates; others stand in the path. */
const labelForm = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;
const awsHost = /^s3([.-][a-z0-9-]+)*\.amazonaws\.com(\.cn)?$/;

/** Throws OPTION_INVALID for an endpoint that is no address of a server. */
export function createS3Access({ endpoint, region, credentials: settings }: S3AccessSettings): S3Access {
  const given = endpoint === null ? null : parseEndpoint(endpoint);
  const isAws = given === null || awsHost.test(given.hostname);
  const credentials = createCredentialSource({ ...settings, isAws });
  const regions = new Map<string, string>();
  const baseOf = (regionName: string) => given ?? new URL(awsEndpoint(regionName));
  return {
    endpoint: withoutSlash(baseOf(region ?? defaultRegion).href),
    whyUnsigned: `the request was not signed, as no credentials were found (${credentials.places})`,
    async prepare({ method, bucket, key, query = {}, headers: given = {}, body }) {
      const signer = await credentials.get();
      const regionName = regions.get(bucket) ?? region ?? defaultRegion;
      const base = baseOf(regionName);
      const isInHost = isAws && labelForm.test(bucket);
      const host = isInHost ? `${bucket}.${base.host}` : base.host;
      const path = `${withoutSlash(base.pathname)}/${isInHost ? "" : `${encodeName(bucket)}/`}${encodePath(key)}`;
      const signable = { method, host, path, query, headers: given, bodySha256: bodySha256Of(body) };
      const headers = signer === null ? given : signRequest(signable, signer, { region: regionName, at: new Date() });
      const search = encodeQuery(query);
      return {
        method,
        origin: `${base.protocol}//${host}`,
        hostname: isInHost ? `${bucket}.${base.hostname}` : base.hostname,
        path: search === "" ? path : `${path}?${search}`,
        headers,
        region: regionName,
        isSigned: signer !== null,
      };
    },
    learnRegion(bucket, found, asked) {
      regions.set(bucket, found);
      return found !== asked;
    },
    forgetCredentials: credentials.forget,
  };
}

function parseEndpoint(endpoint: string): URL {
  const url = parseUrl(endpoint);
  const isPlain = url !== null && url.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (url !== null && isPlain && /^https?:$/.test(url.protocol)) return url;
  const expected = "an http: or https: address without user name, password or query";
  const value = redactUri(endpoint);
  throw new LabelmillError("OPTION_INVALID", { option: "s3Endpoint", expected, value, from: "--s3-endpoint" });
}

function awsEndpoint(region: string): string {
  return `https://s3.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}

const withoutSlash = (text: string) => text.replace(/\/+$/, "");
