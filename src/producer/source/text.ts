/**
 * Where a text comes from, and how it is unpacked: a file, here or on a web server, plain or in gzip or Zstandard, or stdin.
 * Not what it says: that is the list's and the tables'. Bytes are streamed; nothing is held but a block.
 */
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import type { RemoteFiles } from "./source.js";
import { unzstd } from "./zstd.js";

/** The bytes of a list or table, unpacked. */
export interface Text {
  /** For messages: the path, `stdin`, or the address. */
  readonly name: string;
  /** Where its relative paths start: an absolute directory; or its own address. */
  readonly base: string;
  /** The bytes from `offset` on. Throws RUN_SOURCE_UNREADABLE, RUN_SOURCE_CONTENT. */
  blocks(offset: number): AsyncIterable<Buffer>;
}

export type Packing = "none" | "gzip" | "zstd";

/** What a file starts with that is no text, and what to do about it. Parquet: "PAR1", and the thrift of a page header. */
const signatures: readonly (readonly [string, readonly number[]])[] = [
  ["gzip data; let its name end in .gz", [0x1f, 0x8b]],
  ["Zstandard data; let its name end in .zst", [0x28, 0xb5, 0x2f, 0xfd]],
  ["a Parquet file; let its name end in .parquet", [0x50, 0x41, 0x52, 0x31, 0x15]],
  ["a zip archive; unpack it", [0x50, 0x4b, 0x03, 0x04]],
  ["UTF-16 text; make it UTF-8 (iconv -f UTF-16 -t UTF-8)", [0xff, 0xfe]],
  ["UTF-16 text; make it UTF-8 (iconv -f UTF-16 -t UTF-8)", [0xfe, 0xff]],
];

const longestSignatureBytes = 5;

type Read = (offset: number) => AsyncIterable<Buffer>;

/** `path` is absolute. A packed file is unpacked from its start each time, up to `offset`. */
export function openFileText(path: string, packing: Packing, base: string): Text {
  return openPackedText({ name: path, base }, packing, (offset) => createReadStream(path, { start: offset }));
}

/** `uri` is canonical, and what relative entries are resolved against. */
export function openRemoteText(uri: string, packing: Packing, files: RemoteFiles): Text {
  return openPackedText({ name: uri, base: uri }, packing, async function* (offset) {
    yield* (await files.read(uri, { offset, needsRanges: false })).blocks;
  });
}

function openPackedText(place: Omit<Text, "blocks">, packing: Packing, read: Read): Text {
  return {
    ...place,
    async *blocks(offset) {
      try {
        if (packing === "none") yield* checkStart(place.name, offset, read(offset));
        else yield* skipBytes(offset, checkStart(place.name, 0, unpack(read(0), packing)));
      } catch (error) {
        throw unreadable(place.name, error);
      }
    },
  };
}

/** A stream that can be read once, from its start; `stdin` keeps that rule. */
export function openStreamText(name: string, stream: AsyncIterable<Buffer>, base: string): Text {
  return {
    name,
    base,
    async *blocks(offset) {
      try {
        yield* checkStart(name, offset, stream);
      } catch (error) {
        throw unreadable(name, error);
      }
    },
  };
}

function unreadable(path: string, error: unknown): LabelmillError {
  if (error instanceof LabelmillError) return error;
  return new LabelmillError("RUN_SOURCE_UNREADABLE", { path, reason: messageOf(error) }, { cause: error });
}

async function* unpack(packed: AsyncIterable<Buffer>, packing: Exclude<Packing, "none">): AsyncGenerator<Buffer> {
  if (packing === "zstd") return yield* unzstd(packed);
  const gunzip = createGunzip();
  const source = Readable.from(packed, { objectMode: false });
  // An error on the way in would otherwise end the process, not the read.
  source.on("error", (error) => gunzip.destroy(error));
  try {
    yield* source.pipe(gunzip);
  } finally {
    source.destroy();
  }
}

async function* checkStart(name: string, offset: number, blocks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  // A pipe or server may give its first bytes one by one.
  let start: Buffer | null = offset === 0 ? Buffer.alloc(0) : null;
  for await (const block of blocks) {
    if (start === null) yield block;
    else {
      start = Buffer.concat([start, block]);
      if (start.length < longestSignatureBytes) continue;
      refuseForeign(name, start);
      yield start;
      start = null;
    }
  }
  if (start === null || start.length === 0) return;
  refuseForeign(name, start);
  yield start;
}

function refuseForeign(name: string, start: Buffer): void {
  const found = signatures.find(([, bytes]) => bytes.every((byte, i) => start[i] === byte));
  if (found !== undefined)
    throw new LabelmillError("RUN_SOURCE_CONTENT", {
      source: name,
      expected: "a list or table of UTF-8 text",
      found: found[0],
    });
}

async function* skipBytes(count: number, blocks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let left = count;
  for await (const block of blocks) {
    if (left < block.length) yield left === 0 ? block : block.subarray(left);
    left -= Math.min(left, block.length);
  }
}
