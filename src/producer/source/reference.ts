/**
 * How a list's line or a table's cell names an item: a path, relative to where the list or table is, or a uri. One reading
 * for all sources that are written by people, so that the same words mean the same item in each.
 */
import { isUtf8 } from "node:buffer";
import { posix } from "node:path";
import { failure } from "../../shared/errors.js";
import { pathOfUri, uriOfPath } from "../../shared/file-uri.js";
import { isHttpUri, parseHttpUrl, redactUri } from "../../shared/http-uri.js";
import { isS3Uri } from "../../shared/s3-uri.js";
import type { SourceItem } from "./source.js";

type Reference = { readonly uri: string } | { readonly problem: string };

/** The uri of what `bytes` name, or why they name nothing. `base` is an absolute directory, or a web address. */
export function readReference(bytes: Buffer, base: string): Reference {
  if (bytes.includes(0)) return { problem: "it holds a NUL byte" };
  if (isHttpUri(base)) return readWebReference(bytes, base);
  const uri = bytes.toString("utf8").trim();
  if (!/^[a-z][a-z0-9+.-]*:/i.test(uri)) {
    if (holdsUri(uri)) return { problem: "it holds a uri behind other characters; write the uri alone" };
    return { uri: uriOfPath(absolutePath(bytes, base)) };
  }
  if (!isUtf8(bytes)) return { problem: "a uri must be text" };
  if (!uri.toLowerCase().startsWith("file:")) return { uri };
  const path = pathOfUri(uri);
  return path === null ? { problem: "expected a file: uri with an absolute local path" } : { uri: uriOfPath(path) };
}

/**
 * What a web server's list names is on web servers: a stranger must not have a word in which local files are read, or which
 * objects with this machine's credentials.
 */
function readWebReference(bytes: Buffer, base: string): Reference {
  if (!isUtf8(bytes)) return { problem: "a uri must be text" };
  const text = bytes.toString("utf8").trim();
  const place = text.replace(/^tar\+/i, "");
  if (/^file:/i.test(place)) return { problem: "a list from a web server may not name local files" };
  if (isS3Uri(place)) return { problem: "a list from a web server may not name objects of a bucket" };
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return { uri: text };
  if (holdsUri(text)) return { problem: "it holds a uri behind other characters; write the uri alone" };
  // Not any scheme that comes of it: tabs in `file:` are dropped.
  const url = parseHttpUrl(text, new URL(base));
  return url instanceof URL ? { uri: url.href } : { problem: url.reason };
}

/**
 * The same text, without the longer one that it was cut from: V8 makes a slice a view that keeps the whole alive, and items
 * are held by the segment.
 */
export function detach(text: string): string {
  return Buffer.from(text).toString();
}

/** The item of an entry that names none: it fails, and shows the start of what stands there, without credentials. */
export function invalidItem(
  { line, token }: { readonly line: number; readonly token: string },
  shown: string,
  problem: string,
): SourceItem {
  return {
    uri: detach(redactUri(shown).slice(0, 1024)),
    line,
    token,
    failure: failure("ITEM_INVALID", { reason: problem }),
  };
}

/**
 * Whether what would be a path is a uri in quotes, brackets or without its scheme. As a path it would lead nowhere, and a
 * password in it would be pinned. No path needs `://`: it is `:/`.
 */
function holdsUri(text: string): boolean {
  return /:[\\/]{2}|^[\\/]{2}[^\\/]*@/.test(text);
}

/** Resolved and normalised as bytes: latin1 maps each byte to one character and back. */
function absolutePath(path: Buffer, base: string): Buffer {
  const text = path.toString("latin1");
  const joined = text.startsWith("/") ? text : `${Buffer.from(base).toString("latin1")}/${text}`;
  return Buffer.from(posix.normalize(joined), "latin1");
}
