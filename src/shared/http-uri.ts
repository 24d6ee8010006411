/**
 * How an image on a web server is named in items and rows: as the URL standard (url.spec.whatwg.org) writes it, without its
 * fragment, and without credentials. What is pinned is seen by everybody who sees a dataset, so a uri that carries a
 * password or a signature is refused rather than kept (docs/decisions/0014). The producer vets what its sources give; the
 * fetcher parses and shows addresses, of redirects too, by the same rules.
 */
import { isIPv4 } from "node:net";

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

/** The canonical form of any uri but a file's. Only those of http and https are rewritten. */
export function vetUri(text: string): VettedUri {
  const refuse = (reason: string): VettedUri => ({ ok: false, shown: redactUri(text), reason });
  const secret = parametersOf(text).find(isSecret);
  const carries = (what: string) => refuse(`${what}; give credentials with --header HOST=env:NAME instead`);
  if (!isHttpUri(text)) {
    if (/^[^:]+:[\\/]{2}[^\\/?#]*@/.test(text)) return carries("it holds a user name or password");
    return secret === undefined ? { ok: true, uri: text } : carries(`its parameter ${secret} is a credential`);
  }
  const url = parseHttpUrl(text);
  if (!(url instanceof URL)) return /password/.test(url.reason) ? carries(url.reason) : refuse(url.reason);
  return secret === undefined ? { ok: true, uri: url.href } : carries(`its parameter ${secret} is a credential`);
}

/** `text` as it may stand in rows, messages and logs: without fragment, user name, password or value of a credential. */
export function redactUri(text: string): string {
  if (!schemeOf.test(text)) return text;
  const [whole = ""] = text.split("#", 1);
  // Where the authority's end is uncertain, all up to the last @ may be a password.
  const userinfo = parseUrl(whole) !== null ? /^([^:]+:[\\/]*)[^\\/?#]*@/ : /^([^:]+:[\\/]*).*@/s;
  return whole
    .replace(userinfo, "$1***@")
    .replaceAll(/([?&;])([^=&;]*)=[^&;]*/g, (all, start: string, name: string) =>
      isSecret(decoded(name)) ? `${start}${name}=***` : all,
    );
}

function parametersOf(text: string): string[] {
  const query = /\?([^#]*)/.exec(text)?.[1] ?? "";
  return query.split(/[&;]/).map((pair) => decoded(pair.split("=", 1)[0] ?? ""));
}

const isSecret = (name: string) => secretParameters.has(name.toLowerCase());

/** A name with broken escapes is taken as it is. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll("+", " "));
  } catch {
    return name;
  }
}
