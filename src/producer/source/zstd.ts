/**
 * Zstandard (RFC 8878), block by block. fzstd does the decoding; this file takes the stream apart, so that one push yields
 * one block (128 KiB at most, where a few bytes could otherwise become gigabytes at once), and so that the window that a
 * frame claims is checked before fzstd allocates it. Called by `text` only.
 */
import { setImmediate } from "node:timers/promises";
import { Decompress } from "fzstd";

/** What fzstd can look back; zstd itself needs more only above level 19, or with `--long`. */
const largestWindowBytes = 2 ** 25;
const largestBlockBytes = 2 ** 17;
const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;
const rleBlock = 1;
const reservedBlock = 3;

interface Frame {
  readonly headerBytes: number;
  readonly hasChecksum: boolean;
}

/** Decompresses any number of frames. Throws Error on anything that is not Zstandard, is damaged, or ends too early. */
export async function* unzstd(blocks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const input = openBytes(blocks);
  try {
    for (let frames = 0; ; frames += 1) {
      const magic = await input.peek(4);
      if (magic.length === 0 && frames > 0) return;
      if (magic.length < 4) throw new Error(endsEarly);
      if ((magic.readUInt32LE() & 0xfffffff0) >>> 0 === skippableMagic) await skipFrame(input);
      else yield* readFrame(input);
    }
  } finally {
    await input.close();
  }
}

const endsEarly = "the Zstandard data ends too early";

async function* readFrame(input: Bytes): AsyncGenerator<Buffer> {
  const frame = parseHeader(await input.peek(18));
  const out: Uint8Array[] = [];
  const decoder = new Decompress((data) => out.push(data));
  decoder.push(await input.take(frame.headerBytes));
  for (let isLast = false; !isLast; ) {
    const start = await input.peek(3);
    if (start.length < 3) throw new Error(endsEarly);
    const header = start.readUIntLE(0, 3);
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type === reservedBlock || size > largestBlockBytes) throw new Error("the Zstandard data is damaged");
    isLast = (header & 1) === 1;
    const tail = isLast && frame.hasChecksum ? 4 : 0;
    decoder.push(await input.take(3 + (type === rleBlock ? 1 : size) + tail), isLast);
    for (const data of out.splice(0)) yield Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    // Thousands of blocks may lie in what was read at once, and this process may hold locks.
    await setImmediate();
  }
}

/** Section 3.1.1.1. Throws where the window is larger than what can be decoded. */
function parseHeader(bytes: Buffer): Frame {
  if (bytes.readUInt32LE() !== frameMagic) throw new Error("it is not Zstandard data");
  const descriptor = bytes[4] ?? 0;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const sizeAt = 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes;
  if (bytes.length < sizeAt + sizeBytes) throw new Error(endsEarly);
  const window = isSingleSegment ? readSize(bytes, sizeAt, sizeBytes) : windowOf(bytes[5] ?? 0);
  if (window > largestWindowBytes) {
    throw new Error(
      `its Zstandard window is ${window} bytes, more than ${largestWindowBytes}; compress it without --long`,
    );
  }
  return { headerBytes: sizeAt + sizeBytes, hasChecksum: (descriptor & 4) !== 0 };
}

function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function readSize(bytes: Buffer, at: number, length: number): number {
  if (length === 8) return Number(bytes.readBigUInt64LE(at));
  // Two bytes count from 256, since one byte holds what is below.
  return bytes.readUIntLE(at, length) + (length === 2 ? 256 : 0);
}

async function skipFrame(input: Bytes): Promise<void> {
  let left = (await input.take(8)).readUInt32LE(4);
  while (left > 0) {
    const piece = Math.min(left, largestBlockBytes);
    await input.take(piece);
    left -= piece;
  }
}

/** Bytes of a stream, to be taken in pieces of a known size. */
interface Bytes {
  /** The next `size` bytes without taking them, or what is left. */
  peek(size: number): Promise<Buffer>;
  /** The next `size` bytes. Throws where there are fewer. */
  take(size: number): Promise<Buffer>;
  /** Ends the stream that they come from. */
  close(): Promise<void>;
}

function openBytes(blocks: AsyncIterable<Buffer>): Bytes {
  const iterator = blocks[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  const fill = async (size: number) => {
    const pieces = [rest];
    let length = rest.length;
    while (length < size) {
      const { done, value } = await iterator.next();
      if (done === true) break;
      pieces.push(value);
      length += value.length;
    }
    rest = pieces.length === 1 ? rest : Buffer.concat(pieces);
  };
  return {
    async peek(size) {
      await fill(size);
      return rest.subarray(0, size);
    },
    async take(size) {
      await fill(size);
      if (rest.length < size) throw new Error(endsEarly);
      const taken = rest.subarray(0, size);
      rest = rest.subarray(size);
      return taken;
    },
    async close() {
      await iterator.return?.();
    },
  };
}
