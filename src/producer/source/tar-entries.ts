/**
 * What a tar archive holds, header by header: where each file's bytes lie, never the bytes themselves. A damage ends the
 * walk, since nothing says where the next header is; what comes before it is given. Not which entries are items: that is
 * `tar`'s, which calls this.
 *
 *     start ──> extension* ──> member ──> start          start ──> block of zeros ──> rest must be zeros ──> end
 */
import { crc32 } from "node:zlib";
import { isPlainFile, paddedBytes, readTarHeader, type TarHeader, tarBlockBytes } from "../../shared/tar-header.js";
import { longNameOf, type MemberExtension, paxOf } from "./tar-extensions.js";

/** An archive's bytes. */
export interface TarInput {
  /** Of the whole archive, in bytes. */
  readonly size: number;
  /** `length` bytes, fewer only at the archive's end. Each offset is at or behind the end of the one before. */
  read(offset: number, length: number): Promise<Buffer>;
}

export type TarEntry =
  | {
      readonly kind: "file";
      readonly name: Buffer;
      readonly offset: number;
      readonly length: number;
      readonly place: EntryPlace;
    }
  /** Something without bytes of its own, in words. */
  | { readonly kind: "other"; readonly what: string; readonly place: EntryPlace }
  /** A file that this version does not read, and why. */
  | {
      readonly kind: "refused";
      readonly name: Buffer;
      readonly problem: string;
      readonly place: EntryPlace;
    }
  /** Nothing can be read behind `byte`. */
  | { readonly kind: "damage"; readonly byte: number; readonly problem: string };

/** Where an entry is, and what it was: enough to go on behind it, and to see that it is still the same. */
export interface EntryPlace {
  /** Of its own header, in bytes. */
  readonly header: number;
  /** CRC-32 of that header, which holds the size and time of a file, and its name or the start of it. */
  readonly sum: number;
  /** Offset of the next header. */
  readonly next: number;
}

/** Of a path that an operating system knows (PATH_MAX of Linux). Without a bound, a segment of items could be any size. */
const longestNameBytes = 4096;
/** Names have kB at most; pax records of some programs hold extended attributes. */
const largestExtensionBytes = 2 ** 20;
/** GNU tar fills archives to records of 10 kB, and of 1 MB at most where somebody sets it (`--blocking-factor`). */
const mostFillBytes = 2 ** 20;
const readBytes = 2 ** 16;
const shownNameBytes = 256;
const nothing: MemberExtension = {};

const others: Readonly<Record<string, string>> = {
  "1": "link in a shard",
  "2": "link in a shard",
  "3": "special file in a shard",
  "4": "special file in a shard",
  "5": "directory in a shard",
  "6": "special file in a shard",
  "\0": "directory in a shard",
};

/** Whether the header of an entry is still there. */
export async function isSameEntry(input: TarInput, { header, sum }: EntryPlace): Promise<boolean> {
  const block = await input.read(header, tarBlockBytes);
  return block.length === tarBlockBytes && crc32(block) === sum;
}

/** Entries from `start` on, which is 0 or where the next one of an entry is. Rejects with the errors of `input` alone. */
export async function* readTarEntries(input: TarInput, start: number): AsyncGenerator<TarEntry> {
  let at = start;
  let extension = nothing;
  for (;;) {
    const block = await input.read(at, tarBlockBytes);
    const problem = problemOfBlock(block, { isFirst: at === 0, isBetween: extension !== nothing });
    if (problem !== null) return yield { kind: "damage", byte: at, problem };
    if (isZero(block)) {
      const end = await endDamage(input, at + tarBlockBytes);
      if (end !== null) yield end;
      return;
    }
    const header = readTarHeader(block);
    if ("problem" in header) return yield { kind: "damage", byte: at, problem: header.problem };
    if ("xgLK".includes(header.type)) {
      const added = await readExtension(input, header, at + tarBlockBytes);
      if ("problem" in added) return yield { kind: "damage", byte: at, problem: added.problem };
      // A header for all members announces none: `git archive` writes one of an empty tree.
      if (header.type !== "g") extension = { ...extension, ...added };
      at += tarBlockBytes + paddedBytes(header.size);
      continue;
    }
    const entry = await entryOf(input, header, { extension, block, at });
    yield entry;
    if (entry.kind === "damage") return;
    at = entry.place.next;
    extension = nothing;
  }
}

/** Why the walk ends at a block, or null. */
function problemOfBlock(
  block: Buffer,
  { isFirst, isBetween }: { isFirst: boolean; isBetween: boolean },
): string | null {
  if (block.length === 0 && isFirst) return "it is empty";
  if (block.length === 0)
    return "the archive ends there, and has no end mark (blocks of zeros): it may have been cut off";
  if (block.length < tarBlockBytes) return "the archive is cut off in the middle of a header";
  return isBetween && isZero(block) ? "a header announces a member, and none follows" : null;
}

async function readExtension(
  input: TarInput,
  { type, size }: TarHeader,
  offset: number,
): Promise<MemberExtension | { readonly problem: string }> {
  if (size > largestExtensionBytes)
    return { problem: `an extension header says that it has ${size} bytes; ${largestExtensionBytes} are read` };
  const data = await input.read(offset, size);
  if (data.length < size) return { problem: "the archive is cut off in the middle of an extension header" };
  if (type === "L") return longNameOf(data);
  if (type === "K") return {};
  const pax = paxOf(data);
  if (type === "x" || "problem" in pax) return pax;
  // Of all members that follow, which no program writes: resuming behind it would not know of it.
  return pax.name === undefined && pax.size === undefined && pax.isSparse === undefined
    ? {}
    : { problem: "a global pax header sets the name or size of all members" };
}

async function entryOf(
  input: TarInput,
  header: TarHeader,
  { extension, block, at }: { extension: MemberExtension; block: Buffer; at: number },
): Promise<TarEntry> {
  const { name = header.name, size = header.size, isSparse = header.type === "S" } = extension;
  const what = isPlainFile({ ...header, name }) ? undefined : others[header.type];
  const behind = at + tarBlockBytes;
  const placeBefore = (next: number): EntryPlace => ({ header: at, sum: crc32(block), next });
  // Their size says something else, or nothing: no data follow.
  if (what !== undefined) return { kind: "other", what, place: placeBefore(behind) };
  const offset = header.type === "S" ? await behindSparseMap(input, block, behind) : behind;
  const place = placeBefore(offset + paddedBytes(size));
  if (offset + size > input.size) {
    const shown = JSON.stringify(name.subarray(0, shownNameBytes).toString("utf8"));
    return { kind: "damage", byte: at, problem: `it is cut off in the middle of ${shown}, which has ${size} bytes` };
  }
  if (name.length > longestNameBytes) {
    const problem = `its name has ${name.length} bytes; ${longestNameBytes} are read`;
    return { kind: "refused", name, problem, place };
  }
  if (isSparse) return { kind: "refused", name, problem: "it is a sparse file; pack it without --sparse", place };
  if (isPlainFile({ ...header, name })) return { kind: "file", name, offset, length: size, place };
  return { kind: "other", what: "special file in a shard", place };
}

/** Where the data of a sparse file begin: GNU's header goes on in further blocks as long as a byte of each says so. */
async function behindSparseMap(input: TarInput, header: Buffer, start: number): Promise<number> {
  let end = start;
  for (let goesOn = header[482] === 1; goesOn && end < start + largestExtensionBytes; end += tarBlockBytes)
    goesOn = (await input.read(end, tarBlockBytes))[504] === 1;
  return end;
}

/** What is behind the end mark and is not zeros: an archive that was appended is read by `tar -i` alone. */
async function endDamage(input: TarInput, start: number): Promise<TarEntry | null> {
  const end = Math.min(input.size, start + mostFillBytes);
  for (let at = start; at < end; at += readBytes) {
    const bytes = await input.read(at, Math.min(readBytes, end - at));
    const found = bytes.findIndex((byte) => byte !== 0);
    if (found >= 0)
      return {
        kind: "damage",
        byte: at + found,
        problem: "there is more behind the end mark, perhaps another archive; what is there is not read",
      };
  }
  return null;
}

function isZero(block: Buffer): boolean {
  return block.every((byte) => byte === 0);
}
