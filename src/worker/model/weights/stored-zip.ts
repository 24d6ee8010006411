/**
 * Reads the zip archives that torch.save writes: entries are stored, not compressed, and each bears its CRC-32
 * (APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12, 4.3.16). Nothing is unpacked to disk, so names of entries are only keys.
 */
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";

const signatures = { local: 0x04034b50, central: 0x02014b50, end: 0x06054b50 } as const;
const sizes = { local: 30, central: 46, end: 22, longestComment: 65_535 } as const;
const encrypted = 1;
/** Stands for a number that only the zip64 fields hold. */
const inZip64 = 0xffffffff;

interface CentralEntry {
  readonly name: string;
  readonly crc: number;
  readonly bytes: number;
  readonly localOffset: number;
}

/** Whether `file` starts as a zip archive does that holds something. */
export function isZip(file: Uint8Array): boolean {
  return file.length >= 4 && viewOf(file).readUInt32LE(0) === signatures.local;
}

/**
 * The entries of `archive` by name, as views of it, each checked against its CRC. Throws an Error that names the entry or
 * the byte that is not as it should be.
 */
export function readStoredZip(archive: Uint8Array): Map<string, Uint8Array> {
  const view = viewOf(archive);
  const entries = new Map<string, Uint8Array>();
  // Entries that lie over each other could have one file's bytes checked 65,535 times.
  let left = view.length;
  for (const entry of readCentralDirectory(view)) {
    left -= entry.bytes;
    if (left < 0)
      throw new Error(`the zip entries up to ${entry.name} claim more than the file's ${view.length} bytes`);
    if (entries.has(entry.name)) throw new Error(`the zip entry ${entry.name} is there twice`);
    entries.set(entry.name, readEntry(view, entry));
  }
  return entries;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function readCentralDirectory(view: Buffer): CentralEntry[] {
  const end = findEnd(view);
  const count = view.readUInt16LE(end + 10);
  let offset = view.readUInt32LE(end + 16);
  const entries: CentralEntry[] = [];
  for (let index = 0; index < count; index += 1) {
    if (offset + sizes.central > end || view.readUInt32LE(offset) !== signatures.central)
      throw new Error(`expected entry ${index} of the zip directory at byte ${offset}`);
    const nameBytes = view.readUInt16LE(offset + 28);
    const next = offset + sizes.central + nameBytes + view.readUInt16LE(offset + 30) + view.readUInt16LE(offset + 32);
    if (next > end) throw new Error(`the zip directory ends inside the entry at byte ${offset}`);
    entries.push(readCentralEntry(view, offset, nameBytes));
    offset = next;
  }
  return entries;
}

/** The last place where an end record fits to the end of the file with its comment. */
function findEnd(view: Buffer): number {
  const first = Math.max(0, view.length - sizes.end - sizes.longestComment);
  for (let offset = view.length - sizes.end; offset >= first; offset -= 1) {
    const isEnd = view.readUInt32LE(offset) === signatures.end;
    if (isEnd && offset + sizes.end + view.readUInt16LE(offset + 20) === view.length) return offset;
  }
  throw new Error("the zip archive has no directory at its end; the file was cut short");
}

function readCentralEntry(view: Buffer, offset: number, nameBytes: number): CentralEntry {
  const start = offset + sizes.central;
  const name = view.toString("utf8", start, start + nameBytes);
  const [packed, bytes] = [view.readUInt32LE(offset + 20), view.readUInt32LE(offset + 24)];
  const localOffset = view.readUInt32LE(offset + 42);
  if ((view.readUInt16LE(offset + 8) & encrypted) !== 0) throw new Error(`the zip entry ${name} is encrypted`);
  if (bytes === inZip64 || packed === inZip64 || localOffset === inZip64)
    throw new Error(`the zip entry ${name} is of 4 GiB or more`);
  if (view.readUInt16LE(offset + 10) !== 0 || packed !== bytes)
    throw new Error(`the zip entry ${name} is compressed; torch.save stores without compression`);
  return { name, crc: view.readUInt32LE(offset + 16), bytes, localOffset };
}

function readEntry(view: Buffer, { name, crc, bytes, localOffset }: CentralEntry): Uint8Array {
  if (localOffset + sizes.local > view.length || view.readUInt32LE(localOffset) !== signatures.local)
    throw new Error(`expected the zip entry ${name} at byte ${localOffset}`);
  const start = localOffset + sizes.local + view.readUInt16LE(localOffset + 26) + view.readUInt16LE(localOffset + 28);
  if (start + bytes > view.length) throw new Error(`the file ends inside the zip entry ${name}`);
  const data = view.subarray(start, start + bytes);
  if (crc32(data) !== crc)
    throw new Error(
      `the zip entry ${name} is damaged: its CRC-32, from byte ${start}, is not the one of the directory`,
    );
  return data;
}
