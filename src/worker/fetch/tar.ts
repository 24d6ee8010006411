/**
 * Fetches members of tar shards by the place that their uris carry; nothing of a shard is scanned. The header before a
 * member's bytes is read with them, and must still be that member's: a shard that was replaced since it was listed would
 * give other bytes under the same id, and a uri of a stranger's list could name any part of any file. How bytes are got
 * from a file or a server is for the readers of parts. Called by `open-fetcher` alone.
 */
import { createHash } from "node:crypto";
import { failure } from "../../shared/errors.js";
import { isS3Uri } from "../../shared/s3-uri.js";
import { isPlainFile, readTarHeader, tarBlockBytes } from "../../shared/tar-header.js";
import { encodeMemberName, redactTarUri, type TarMember, tarMemberOfUri } from "../../shared/tar-uri.js";
import { failedWith, succeeded } from "../outcome.js";
import { admitAtOnce, type Fetcher } from "./fetcher.js";
import type { ReadPart } from "./read-part.js";

/** A fetcher of `tar+` uris. `readers` are by the scheme of the shard: `file:`, `https:`. */
export function createTarFetcher(readers: Readonly<Record<string, ReadPart>>, maxItemBytes: number): Fetcher {
  return {
    async fetch(uri, signal, admit = admitAtOnce) {
      signal.throwIfAborted();
      const shown = redactTarUri(uri);
      const member = tarMemberOfUri(uri);
      const read = member === null ? undefined : readers[member.archive.slice(0, member.archive.indexOf(":") + 1)];
      if (member === null || read === undefined) {
        const reason =
          member !== null && isS3Uri(member.archive)
            ? "members of shards in buckets are not fetched; download the shard, and name the file"
            : `expected tar+SHARD#member=NAME&offset=N&length=N with a shard of ${Object.keys(readers).join(", ")}`;
        return failedWith(failure("FETCH_UNSUPPORTED", { uri: shown, reason }));
      }
      const { archive, length } = member;
      if (length > maxItemBytes)
        return failedWith(failure("FETCH_TOO_LARGE", { uri: shown, bytes: length, limit: maxItemBytes }));
      const offset = member.offset - tarBlockBytes;
      const part = await read({ archive, shown, offset, length: tarBlockBytes + length }, signal, admit);
      if (!part.ok) return part;
      const all = Buffer.from(part.value.bytes.buffer, part.value.bytes.byteOffset, part.value.bytes.length);
      const reason = changeOf(all.subarray(0, tarBlockBytes), member);
      if (reason !== null) return failedWith(failure("FETCH_CHANGED", { uri: shown, reason }));
      const bytes = all.subarray(tarBlockBytes);
      return succeeded({ ...part.value, bytes, sha256: createHash("sha256").update(bytes).digest("hex") });
    },
  };
}

/** Of up to 99 characters of ASCII: that stands in the header as it is, where pax and GNU keep a replacement of others. */
const plainName = /^([A-Za-z0-9._~/-]|%[2-7][0-9A-F]){1,99}$/;

/** Why the header is not that of `member`, or null. */
function changeOf(block: Buffer, member: TarMember): string | null {
  const header = readTarHeader(block);
  if ("problem" in header) return "there is no header before its bytes";
  if (!isPlainFile(header)) return "there is something else than a file there";
  if (header.size !== member.length) return `the member there has ${header.size} bytes`;
  return plainName.test(member.name) && encodeMemberName(header.name) !== member.name
    ? "another member is there"
    : null;
}
