import { failure } from "../shared/errors.js";
import { redactUri, type VettedUri, vetUri } from "../shared/http-uri.js";
import { isTarUri, redactTarUri, tarMemberOfUri, uriOfTarMember } from "../shared/tar-uri.js";
import type { SourceItem } from "./source/source.js";

/** `items` as they may be pinned; what follows sees canonical uris, and no credentials. */
export async function* vetItems(items: AsyncIterable<SourceItem>): AsyncGenerator<SourceItem> {
  for await (const item of items) yield vetItem(item);
}

/**
 * The item as it may be pinned, whichever source gave it: http and https uris in canonical form; one that carries
 * credentials, or is none, fails with ITEM_INVALID and is shown without them. An item that was vetted comes out as it is: in a
 * rerun it passes here twice.
 */
export function vetItem(item: SourceItem): SourceItem {
  if (item.failure !== undefined)
    return { ...item, uri: isTarUri(item.uri) ? redactTarUri(item.uri) : redactUri(item.uri) };
  if (item.uri.startsWith("/") || item.uri.startsWith("file:")) return item;
  const vetted = isTarUri(item.uri) ? vetTarUri(item.uri) : vetUri(item.uri);
  if (vetted.ok) return { ...item, uri: vetted.uri };
  const where = item.line === undefined ? "" : `line ${item.line}: `;
  return { ...item, uri: vetted.shown, failure: failure("ITEM_INVALID", { reason: `${where}${vetted.reason}` }) };
}

/** A member's uri is as good as that of its shard. */
function vetTarUri(uri: string): VettedUri {
  const member = tarMemberOfUri(uri);
  if (member === null) return vetUri(uri);
  if (member.archive.startsWith("file:")) return { ok: true, uri };
  const archive = vetUri(member.archive);
  return archive.ok
    ? { ok: true, uri: uriOfTarMember({ ...member, archive: archive.uri }) }
    : { ...archive, shown: redactTarUri(uri) };
}
