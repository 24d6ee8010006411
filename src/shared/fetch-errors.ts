/** The codes of items whose bytes could not be got: a part of the table in `errors.ts`, which alone reads it. */
import { item } from "./error-spec.js";

export const fetchErrors = {
  FETCH_NOT_FOUND: item(
    "Nothing is at {uri}",
    "The file does not exist, or a link points to nothing; or the server or object store answered 404 or 410.",
  ),
  FETCH_FAILED: item(
    "Could not read {uri}: {reason}",
    "The operating system refused or broke off the read, or the server refused or broke the connection.",
    true,
  ),
  FETCH_DENIED: item(
    "Not allowed to read {uri}",
    "The worker's user lacks permission for the file or for a directory above it; or an object store answered 401 or 403, with the code that the message shows.",
  ),
  FETCH_TOO_LARGE: item(
    "{uri} has {bytes} bytes, more than --max-item-bytes {limit}",
    "The encoded file is larger than one item may be, on the wire or once its content encoding is undone; the number is what it claims, or where reading stopped. Raise `--max-item-bytes` where such files are wanted.",
  ),
  FETCH_UNSUPPORTED: item(
    "Cannot fetch {uri}: {reason}",
    "The scheme of the uri, or the content encoding of the answer, is not one that this version knows; or a server gives no part of a tar shard alone.",
  ),
  FETCH_STATUS: item(
    "{uri} was answered with status {status}{after}",
    "The server answered, but not with an image's bytes. 408, 425, 429 and 5xx are tried again first; a retry may help for those alone.",
    true,
  ),
  FETCH_TIMEOUT: item(
    "{uri} took too long: {reason}",
    "A deadline passed: `--connect-timeout-ms`, `--headers-timeout-ms`, `--idle-timeout-ms` or `--fetch-timeout-ms`. Tried again first.",
    true,
  ),
  FETCH_BLOCKED: item(
    "{uri} may not be fetched: {reason}",
    "The address policy forbids the host or every address that it has: see [fetch](fetch.md#which-addresses-are-refused), `--allow-host`, `--deny-host` and `--allow-private`. Nothing was sent there.",
  ),
  FETCH_REDIRECT: item(
    "The redirects of {uri} lead nowhere: {reason}",
    "More than five redirects, or one without a usable address.",
  ),
  FETCH_TLS: item(
    "No secure connection for {uri}: {reason}",
    "The server's certificate is expired, self-signed, for another name or not trusted here (`NODE_EXTRA_CA_CERTS` adds an authority), or the two sides know no common protocol.",
  ),
  FETCH_DNS: item(
    "The host of {uri} has no address: {reason}",
    "The name does not exist, or no name server answered. Tried again first where it may help.",
    true,
  ),
  POLICY_ROBOTS: item(
    "The server of {uri} asks not to use it: X-Robots-Tag says {tag}",
    "Only with `--respect-robots-tag`: the answer says `noai`, `noimageai`, `noindex` or `none` to everybody or to labelmill.",
  ),
  FETCH_TRUNCATED: item(
    "{uri} ended after {bytes} bytes: {reason}",
    "The connection ended before the body was whole, which is tried again first; or a tar shard is shorter than it was when it was listed.",
    true,
  ),
  FETCH_CHANGED: item(
    "{uri} is not what was listed: {reason}",
    "A tar shard has another member, or none, where this one was when its headers were read. Label the shard anew, with another `--out`.",
  ),
} as const;
