/**
 * What a tar archive says of a member in the headers before the member's own: POSIX's pax records and GNU's long names. Of
 * all that they may say, the name and the size are of interest, and whether the member is sparse. Called by `tar-entries`.
 */

/** What the headers before a member's own change of it. */
export interface MemberExtension {
  readonly name?: Buffer;
  readonly size?: number;
  /** Its data are not its bytes, but a map of holes and what lies between them. */
  readonly isSparse?: boolean;
}

const newline = 0x0a;
const space = 0x20;
const nul = 0;

/** GNU's long name: up to the first NUL. */
export function longNameOf(data: Buffer): MemberExtension {
  const end = data.indexOf(nul);
  return { name: end < 0 ? data : data.subarray(0, end) };
}

/** Pax records: "LENGTH KEY=VALUE\n", where LENGTH counts all of it. A later record of a key is the one that counts. */
export function paxOf(data: Buffer): MemberExtension | { readonly problem: string } {
  let extension: MemberExtension = {};
  for (let at = 0; at < data.length; ) {
    const length = recordLength(data, at);
    const record = length === null ? null : data.subarray(data.indexOf(space, at) + 1, at + length - 1);
    const equals = record?.indexOf("=") ?? -1;
    if (length === null || record === null || equals < 1) return { problem: "its pax records are broken" };
    const value = record.subarray(equals + 1);
    const changed = changeOf(record.toString("latin1", 0, equals), value);
    if (changed === null) return { problem: "its pax records hold a name or size that cannot be one" };
    extension = { ...extension, ...changed };
    at += length;
  }
  return extension;
}

/** Null where the record is not whole. */
function recordLength(data: Buffer, at: number): number | null {
  const digits = /^(\d{1,9}) /.exec(data.toString("latin1", at, at + 10))?.[1];
  const length = Number(digits);
  if (digits === undefined || length < digits.length + 3) return null;
  return at + length <= data.length && data[at + length - 1] === newline ? length : null;
}

/** Null where the value is none that the key can have. */
function changeOf(key: string, value: Buffer): MemberExtension | null {
  // A value that is empty takes back what a record for all members said (pax, "extended header records").
  if (value.length === 0) return {};
  if (key === "path" || key === "GNU.sparse.name") return value.includes(nul) ? null : { name: value };
  if (key.startsWith("GNU.sparse.")) return { isSparse: true };
  if (key !== "size") return {};
  const size = Number(value.toString("latin1"));
  return /^\d+$/.test(value.toString("latin1")) && Number.isSafeInteger(size) ? { size } : null;
}
