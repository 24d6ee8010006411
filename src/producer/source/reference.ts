/**
 * How a list's line or a table's cell names an item: a path, relative to where the list or table is, or a uri. One reading
 * for all sources that are written by people, so that the same words mean the same item in each.
 */
import { isUtf8 } from "node:buffer";
import { posix } from "node:path";
import { failure } from "../../shared/errors.js";
import { pathOfUri, uriOfPath } from "../../shared/file-uri.js";
import { isHttpUri, parseUrl } from "../../shared/http-uri.js";
import type { SourceItem } from "./source.js";

type Reference = { readonly uri: string } | { readonly problem: string };

/** The uri of what `bytes` name, or why they name nothing. `base` is an absolute directory, or a web address. */
export function readReference(bytes: Buffer, base: string): Reference {
  if (bytes.includes(0)) return { problem: "it holds a NUL byte" };
  if (isHttpUri(base)) return readWebReference(bytes, base);
  if (!/^[a-z][a-z0-9+.-]*:/i.test(bytes.toString("latin1"))) return { uri: uriOfPath(absolutePath(bytes, base)) };
  if (!isUtf8(bytes)) return { problem: "a uri must be text" };
  const uri = bytes.toString("utf8").trim();
  if (!uri.toLowerCase().startsWith("file:")) return { uri };
  const path = pathOfUri(uri);
  return path === null ? { problem: "expected a file: uri with an absolute local path" } : { uri: uriOfPath(path) };
}

/** What a web server's list names is on web servers: a stranger must not have a word in which local files are read. */
function readWebReference(bytes: Buffer, base: string): Reference {
  if (!isUtf8(bytes)) return { problem: "a uri must be text" };
  const text = bytes.toString("utf8").trim();
  if (/^(tar\+)?file:/i.test(text)) return { problem: "a list from a web server may not name local files" };
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return { uri: text };
  const url = parseUrl(text, base);
  return url === null ? { problem: "it is no address" } : { uri: url.href };
}

/** The item of an entry that names none: it fails, and shows the start of what stands there. */
export function invalidItem(
  { line, token }: { readonly line: number; readonly token: string },
  shown: string,
  problem: string,
): SourceItem {
  return { uri: shown.slice(0, 1024), line, token, failure: failure("ITEM_INVALID", { reason: problem }) };
}

/** Resolved and normalised as bytes: latin1 maps each byte to one character and back. */
function absolutePath(path: Buffer, base: string): Buffer {
  const text = path.toString("latin1");
  const joined = text.startsWith("/") ? text : `${Buffer.from(base).toString("latin1")}/${text}`;
  return Buffer.from(posix.normalize(joined), "latin1");
}
