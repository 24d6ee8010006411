/**
 * How a member of a tar shard is named in items and rows: `tar+` and the shard's uri, and in the fragment the member's name
 * and where its bytes lie, so that nobody has to look for it again:
 *
 *     tar+file:///data/train-0001.tar#member=dogs/0001.jpg&offset=1536&length=10234
 *     tar+https://example.org/train-0001.tar#member=dogs/0001.jpg&offset=1536&length=10234
 */
import { percentEncode } from "./file-uri.js";
import { redactUri } from "./http-uri.js";
import { tarBlockBytes } from "./tar-header.js";

export interface TarMember {
  /** Uri of the shard, without fragment: `file:///…`, `https://…`. */
  readonly archive: string;
  /** Its name in the shard, percent-encoded. */
  readonly name: string;
  /** Of its first byte in the shard. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
}

const form = /^tar\+([^#]+)#member=([^&#]*)&offset=(\d+)&length=(\d+)$/;

/** Whether `uri` is meant to name a member of a shard. */
export function isTarUri(uri: string): boolean {
  return uri.startsWith("tar+");
}

/** The one uri of a member. */
export function uriOfTarMember({ archive, name, offset, length }: TarMember): string {
  return `tar+${archive}#member=${name}&offset=${offset}&length=${length}`;
}

/** A member's name as it stands in its uri. */
export function encodeMemberName(name: Buffer): string {
  return percentEncode(name);
}

/** What `uri` names; null where it has another form, or a place where no member can lie. */
export function tarMemberOfUri(uri: string): TarMember | null {
  const [, archive, name, ...numbers] = form.exec(uri) ?? [];
  const [offset = 0, length = 0] = numbers.map(Number);
  if (archive === undefined || name === undefined || !Number.isSafeInteger(offset + length)) return null;
  return offset >= tarBlockBytes && offset % tarBlockBytes === 0 ? { archive, name, offset, length } : null;
}

/** The uri as it may stand in messages: without what is secret in its shard's. */
export function redactTarUri(uri: string): string {
  const member = tarMemberOfUri(uri);
  return member === null ? redactUri(uri) : uriOfTarMember({ ...member, archive: redactUri(member.archive) });
}
