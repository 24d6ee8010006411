/**
 * How an image on a web server is named in items and rows: as the URL standard (url.spec.whatwg.org) writes it, without its
 * fragment, and, as any uri, without credentials. What is pinned is seen by everybody who sees a dataset, so a uri that carries a
 * password or a signature is refused rather than kept (docs/decisions/0014). The producer vets what its sources give; the
 * fetcher parses and shows addresses, of redirects too, by the same rules.
 */
import { isIPv4 } from "node:net";
import { isS3Uri, parseObjectUri, uriOfObject } from "./s3-uri.js";

/** A uri that may be pinned, or why not and how it may be shown. */
export type VettedUri =
  | { readonly ok: true; readonly uri: string }
  | { readonly ok: false; readonly shown: string; readonly reason: string };

/**
 * Query parameters that are credentials, in lower case: signatures of S3, Google Cloud Storage, Azure, CloudFront, OSS and
 * COS as their documentation names them, and names that leave no doubt. Not `key`, which names objects as often.
 */
const secretParameters: ReadonlySet<string> = new Set([
  ...["x-amz-signature", "x-amz-credential", "x-amz-security-token", "awsaccesskeyid", "signature"],
  ...["x-goog-signature", "x-goog-credential", "googleaccessid", "sig", "key-pair-id"],
  ...["x-oss-signature", "x-oss-credential", "x-oss-security-token", "ossaccesskeyid", "q-signature", "q-ak"],
  ...["token", "access_token", "auth_token", "id_token", "refresh_token", "security-token", "jwt"],
  ...["api_key", "apikey", "api-key", "password", "passwd", "secret", "client_secret"],
  // As some tools write the credentials of an s3: uri.
  ...["aws_access_key_id", "aws_secret_access_key", "aws_session_token"],
  ...["s3_access_key_id", "s3_secret_access_key", "s3_session_token"],
]);

const schemeOf = /^[a-z][a-z0-9+.-]*:/i;
/** `http:`, `https:` or nothing, the slashes, and the authority. */
const authorityOf = /^(?:https?:)?[\\/]{2}([^\\/?#]*)/i;

/** Whether `uri` has the scheme of a web server. */
export function isHttpUri(uri: string): boolean {
  return /^https?:/i.test(uri);
}

/**
 * `text`, against `base` where it may be relative; null where the URL standard knows no such address. Not by `URL.canParse`:
 * Node 20's says no to host names that are not ASCII once V8 has compiled its caller, after some thousand calls.
 */
export function parseUrl(text: string, base?: string): URL | null {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
}

/**
 * The address behind `text`, against `base` where it may be relative, without its fragment; or why it is refused: another
 * scheme, a user name or password, an IPv4 address in any form but four decimal numbers.
 */
export function parseHttpUrl(text: string, base?: URL): URL | { readonly reason: string } {
  const url = parseUrl(text, base?.href);
  if (url === null) return { reason: "it is not an address that the URL standard knows" };
  if (url.protocol !== "http:" && url.protocol !== "https:")
    return { reason: `expected http or https, got ${url.protocol}` };
  const authority = authorityOf.exec(text)?.[1];
  if (authority === undefined && isHttpUri(text)) return { reason: "expected // after its scheme" };
  if (url.username !== "" || url.password !== "") return { reason: "it holds a user name or password" };
  const host = authority?.replace(/:\d*$/, "");
  // Other programs read 0177.0.0.1 or 2130706433 differently, which is what makes such forms useful to attackers only.
  if (host !== undefined && isIPv4(url.hostname) && host !== url.hostname)
    return { reason: "its host is an IPv4 address that is not written as four decimal numbers" };
  url.hash = "";
  return url;
}

/** A host as hosts are compared: in lower case, and without dots of the root, which lead to the same server. */
export function plainHost(hostname: string): string {
  return hostname.toLowerCase().replace(/\.+$/, "");
}

/** Where a header of one server goes: scheme, host and port, without the port that the scheme has by itself. */
export function plainOrigin({ protocol, hostname, port }: URL): string {
  return `${protocol}//${plainHost(hostname)}${port === "" ? "" : `:${port}`}`;
}

/** The canonical form of any uri but a file's. Only those of http, https and s3 are rewritten. */
export function vetUri(text: string): VettedUri {
  const refuse = (reason: string): VettedUri => ({ ok: false, shown: redactUri(text), reason });
  const way = isS3Uri(text) ? "in the worker's environment (docs/fetch.md)" : "with --header HOST=env:NAME";
  const carries = (what: string) => refuse(`${what}; give credentials ${way} instead`);
  const url = isHttpUri(text) ? parseHttpUrl(text) : null;
  if (url !== null && !(url instanceof URL))
    return /password/.test(url.reason) ? carries(url.reason) : refuse(url.reason);
  // Of an unknown scheme nobody knows where its authority is.
  const userinfo = isS3Uri(text) ? /^s3:[\\/]{2}[^\\/?#]*@/i : /[\\/]{2}[^\\/?#]*@/;
  if (url === null && userinfo.test(text)) return carries("it holds a user name or password");
  const uri = url?.href ?? text;
  const secret = parametersOf(uri).find(isSecret);
  if (secret !== undefined) return carries(`its parameter ${secret} is a credential`);
  return isS3Uri(text) ? vetS3Uri(text, refuse) : { ok: true, uri };
}

function vetS3Uri(text: string, refuse: (reason: string) => VettedUri): VettedUri {
  const place = parseObjectUri(text);
  return "reason" in place ? refuse(place.reason) : { ok: true, uri: uriOfObject(place) };
}

/**
 * `text` as it may stand in rows, messages and logs: without fragment, user name, password or value of a credential. It need
 * not be a uri: what stands behind any `//` may be one. Takes time in proportion to the text: it is a stranger's.
 */
export function redactUri(text: string): string {
  const scheme = schemeOf.exec(text)?.[0];
  const start = scheme?.length ?? text.search(/[\\/]{2}/);
  if (start < 0) return text;
  // A key of an object may hold any character.
  const [whole = ""] = isS3Uri(text) ? [text] : text.split("#", 1);
  return withoutUserinfo(whole, start).replaceAll(/([?&;#])([^?&;#=]*)=[^&;#]*/g, (all, mark: string, name: string) =>
    isSecret(decoded(name)) ? `${mark}${name}=***` : all,
  );
}

/** `start` is where the authority begins, slashes included. */
function withoutUserinfo(text: string, start: number): string {
  const authority = start + (/^[\\/]*/.exec(text.slice(start))?.[0].length ?? 0);
  // Where the authority's end is uncertain, all up to the last @ may be a password.
  const isCertain = (isHttpUri(text) || isS3Uri(text)) && parseUrl(text) !== null;
  const length = isCertain ? text.slice(authority).search(/[\\/?#]|$/) : text.length - authority;
  const end = text.lastIndexOf("@", authority + length - 1);
  return end < authority ? text : `${text.slice(0, authority)}***${text.slice(end)}`;
}

/** Names of what looks like a parameter, in the path and the fragment too. */
function parametersOf(text: string): string[] {
  const pairs = text.split(/[?&;#]/).slice(1);
  return pairs.filter((pair) => pair.includes("=")).map((pair) => decoded(pair.split("=", 1)[0] ?? ""));
}

/** White space in a name is dropped by some readers of addresses, the URL standard's for one. */
const isSecret = (name: string) => secretParameters.has(name.toLowerCase().replaceAll(/\s/g, ""));

/** A name with broken escapes is taken as it is. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll("+", " "));
  } catch {
    return name;
  }
}
