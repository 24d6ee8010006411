/**
 * One header of a tar archive: 512 bytes, as POSIX (IEEE 1003.1, pax, "ustar Interchange Format") and GNU tar ("Basic Tar
 * Format" of its manual) describe them. Not the archive: the source of shards walks from header to header, and the fetcher
 * of members checks that the header before its bytes is still the one that was listed. A library would give streams of
 * members; what is needed here is where a member lies, names as bytes, and the byte of a damage (docs/decisions/0017).
 */

/** Headers and data begin at multiples of it. */
export const tarBlockBytes = 512;

export interface TarHeader {
  /** As bytes, since an archive does not promise UTF-8; of a long name what fits. */
  readonly name: Buffer;
  /** Of the data that follows, in bytes. */
  readonly size: number;
  /** The type flag: `0` is a regular file; old archives have NUL there. */
  readonly type: string;
}

const nameField = [0, 100] as const;
const sizeField = [124, 136] as const;
const checksumField = [148, 156] as const;
const typeAt = 156;
const magicField = [257, 263] as const;
const prefixField = [345, 500] as const;
const space = 0x20;

/** Reads a header of 512 bytes, or says what is wrong with it. */
export function readTarHeader(block: Buffer): TarHeader | { readonly problem: string } {
  const expected = numberOf(block, checksumField);
  if (expected === null || !checksumsOf(block).includes(expected))
    return { problem: "expected a tar header there, but its checksum is wrong" };
  const size = numberOf(block, sizeField);
  if (size === null) return { problem: "the header's size is negative, too large, or no number" };
  return { name: nameOf(block), size, type: String.fromCharCode(block[typeAt] ?? 0) };
}

/** Whether the type is that of a file whose bytes are what they are: not sparse, no link, no directory. */
export function isPlainFile({ type, name }: TarHeader): boolean {
  // Archives from before 1988 mark directories by a slash alone.
  return type === "0" || type === "7" || (type === "\0" && name.at(-1) !== 0x2f);
}

/** `size` with what fills the last block. */
export function paddedBytes(size: number): number {
  return Math.ceil(size / tarBlockBytes) * tarBlockBytes;
}

/** GNU's magic ends in spaces, and other things lie where POSIX has the prefix. */
function nameOf(block: Buffer): Buffer {
  const name = textOf(block, nameField);
  const isPosix = block.toString("latin1", ...magicField) === "ustar\0";
  const prefix = isPosix ? textOf(block, prefixField) : Buffer.alloc(0);
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]);
}

function textOf(block: Buffer, [start, end]: readonly [number, number]): Buffer {
  const field = block.subarray(start, end);
  const nul = field.indexOf(0);
  return nul < 0 ? field : field.subarray(0, nul);
}

/** Octal text, or (GNU) a big-endian number whose first bit is set; null for what is neither, or negative. */
function numberOf(block: Buffer, [start, end]: readonly [number, number]): number | null {
  const field = block.subarray(start, end);
  const [first = 0] = field;
  if (first >= 0x80) {
    let value = first & 0x7f;
    for (const byte of field.subarray(1)) value = value * 256 + byte;
    return first < 0xc0 && Number.isSafeInteger(value) ? value : null;
  }
  const text = textOf(block, [start, end]).toString("latin1").trim();
  return /^[0-7]*$/.test(text) ? Number.parseInt(text || "0", 8) : null;
}

/** As POSIX has it, and of signed bytes, as some old programs wrote it. */
function checksumsOf(block: Buffer): readonly number[] {
  const [start, end] = checksumField;
  let sum = (end - start) * space;
  let signed = sum;
  for (let i = 0; i < tarBlockBytes; i += 1) {
    if (i === start) i = end;
    const byte = block[i] ?? 0;
    sum += byte;
    signed += byte < 0x80 ? byte : byte - 0x100;
  }
  return [sum, signed];
}
