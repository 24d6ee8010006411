/**
 * A prefix of a bucket as a source: `s3://bucket/prefix`. As with a directory, known image extensions are items and the others
 * are counted. A prefix is the start of keys, as in every tool of S3: `s3://b/photos` is `photos/1.jpg` and `photos-old/1.jpg`,
 * `s3://b/photos/` the first alone. The store lists in the order of the keys' bytes, which is the order of the items.
 */
import { createHash } from "node:crypto";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import { redactUri } from "../../shared/http-uri.js";
import { openS3Client, type S3ClientSettings } from "../../shared/s3/client.js";
import { listObjects } from "../../shared/s3/list-objects.js";
import { parseS3Uri, type S3Place, uriOfObject } from "../../shared/s3-uri.js";
import { compileSelection } from "./directory.js";
import type { Selection, Source, SourceItem } from "./source.js";

/** The bucket and prefix that `text` names. Throws RUN_SOURCE_KIND, also for one that holds credentials, as it would be pinned. */
export function parsePrefix(text: string): S3Place {
  const shown = redactUri(text);
  const refuse = (found: string) => new LabelmillError("RUN_SOURCE_KIND", { source: shown, found });
  if (shown !== text) throw refuse("an s3: uri with credentials; give them in the environment instead (docs/fetch.md)");
  const place = parseS3Uri(text);
  if ("reason" in place) throw refuse(`an s3: uri that names nothing: ${place.reason}`);
  return place;
}

/** The resume token is of the item's key: see `tokenOf`. `include` and `exclude` apply to what is behind the last slash of the prefix. */
export function openObjectStore(place: S3Place, selection: Selection, settings: S3ClientSettings): Source {
  const { bucket, key: prefix } = place;
  const leftOut: Record<string, number> = {};
  const reasonToLeave = compileSelection(selection);
  const folder = prefix.slice(0, prefix.lastIndexOf("/") + 1);
  return {
    async *items(after): AsyncGenerator<SourceItem> {
      const last = after === null ? null : placeOf(after);
      let plainKey = last?.key ?? "";
      for await (const key of keysBehind(last, place, settings)) {
        const isSecret = holdsSecret(key);
        if (!isSecret) plainKey = key;
        // Some tools make an empty object of a folder's name.
        const reason = key.endsWith("/") ? "folder" : reasonToLeave(key.slice(folder.length));
        if (reason !== null) {
          leftOut[reason] = (leftOut[reason] ?? 0) + 1;
          continue;
        }
        const token = tokenOf(isSecret ? { key: plainKey, digest: digestOf(key) } : { key });
        yield { uri: uriOfObject({ bucket, key }), token };
      }
    },
    leftOut: () => leftOut,
    roots: [],
  };
}

/** Where a listing goes on: behind `key`, or behind the key of that digest, with which the same follows on `key`. */
interface ListingPlace {
  /** Empty before the first. */
  readonly key: string;
  readonly digest?: string;
}

/**
 * "=KEY"; or "DIGEST=KEY" for a key that holds credentials (mirrors of signed addresses have such names): tokens are pinned
 * beside the items, where these are shown without them.
 */
function tokenOf({ key, digest = "" }: ListingPlace): string {
  return `${digest}=${key}`;
}

function placeOf(token: string): ListingPlace {
  const equals = token.indexOf("=");
  const key = token.slice(equals + 1);
  return equals === 0 ? { key } : { key, digest: token.slice(0, equals) };
}

/** By the rules by which items are vetted; the bucket is of no interest. */
function holdsSecret(key: string): boolean {
  const uri = uriOfObject({ bucket: "bucket", key });
  return redactUri(uri) !== uri;
}

function digestOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

function keysBehind(last: ListingPlace | null, place: S3Place, settings: S3ClientSettings): AsyncIterable<string> {
  const listing = listed({ bucket: place.bucket, prefix: place.key, after: last?.key || null }, settings);
  return last?.digest === undefined ? listing : behindSecret(listing, last.digest, uriOfObject(place));
}

/** The keys behind the one of that digest: only such lie between it and the one before `keys`. Throws RUN_SOURCE_CHANGED. */
async function* behindSecret(keys: AsyncIterable<string>, digest: string, source: string): AsyncGenerator<string> {
  let isBehind = false;
  for await (const key of keys) {
    if (isBehind) yield key;
    else if (digestOf(key) === digest) isBehind = true;
    else if (!holdsSecret(key)) break;
  }
  if (isBehind) return;
  const reason = `the last pinned object of ${source}, which is named by its digest alone, is gone`;
  throw new LabelmillError("RUN_SOURCE_CHANGED", { reason });
}

async function* listed(
  { bucket, prefix, after }: { bucket: string; prefix: string; after: string | null },
  settings: S3ClientSettings,
): AsyncGenerator<string> {
  const client = await openS3Client(settings);
  try {
    yield* listObjects(client, { bucket, prefix, after });
  } catch (error) {
    settings.signal.throwIfAborted();
    if (error instanceof LabelmillError) throw error;
    const path = uriOfObject({ bucket, key: prefix });
    throw new LabelmillError("RUN_SOURCE_UNREADABLE", { path, reason: messageOf(error) }, { cause: error });
  } finally {
    await client.close();
  }
}
