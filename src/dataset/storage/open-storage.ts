import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { LabelmillError } from "../../shared/errors.js";
import { redactUri } from "../../shared/http-uri.js";
import type { StoreSettings } from "../../shared/s3/client.js";
import { isS3Uri, parseS3Uri, type S3Place, uriOfObject } from "../../shared/s3-uri.js";
import { openLocalStorage } from "./local.js";
import { openS3Storage } from "./s3.js";
import type { Storage } from "./storage.js";

/** Of a prefix, so that every file of a dataset has a key that a store takes (1,024 bytes). */
const longestPrefixBytes = 900;

/**
 * Opens the storage at `location`, a local directory as a path or `file:` uri, or `s3://BUCKET/PREFIX`. Writes nothing, and
 * holds nothing open that would have to be closed. Requests to a store end, with its reason, when `signal` aborts. Throws
 * OPTION_INVALID.
 */
export function openStorage(
  location: string,
  store?: StoreSettings,
  signal: AbortSignal = new AbortController().signal,
): Storage {
  if (!isS3Uri(location)) return openLocalStorage(localPath(location, "."));
  const place = storePlace(location);
  if (store === undefined) throw invalid("a local directory, since no object store is reached from here", location);
  return openS3Storage(place, store, signal);
}

/** The one way to write a location: an absolute path, or `s3://BUCKET/PREFIX` without a slash at its end. */
export function canonicalLocation(given: string, cwd: string): string {
  if (!isS3Uri(given)) return localPath(given, cwd);
  const place = storePlace(given);
  return place.key === "" ? `s3://${place.bucket}` : uriOfObject(place);
}

function localPath(given: string, cwd: string): string {
  if (given.startsWith("file://")) return resolve(fileURLToPath(given));
  if (given === "" || /^[a-z][a-z0-9+.-]*:\/\//i.test(given)) {
    throw invalid("a local directory or s3://BUCKET/PREFIX", given);
  }
  return resolve(cwd, given);
}

function storePlace(given: string): S3Place {
  const place = parseS3Uri(given);
  if ("reason" in place) throw invalid(`s3://BUCKET/PREFIX (${place.reason})`, given);
  const key = place.key.replace(/\/+$/, "");
  if (Buffer.byteLength(key) <= longestPrefixBytes) return { bucket: place.bucket, key };
  throw invalid(`s3://BUCKET/PREFIX with a prefix of at most ${longestPrefixBytes} bytes`, given);
}

function invalid(expected: string, value: string): LabelmillError {
  const details = { option: "out", expected, value: redactUri(value), from: "the place of a dataset" };
  return new LabelmillError("OPTION_INVALID", details);
}
