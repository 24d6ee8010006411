/**
 * Where a text comes from, and how it is unpacked: a file, plain or in gzip or Zstandard, or stdin. Not what it says: that
 * is the list's and the tables'. Bytes are streamed; nothing is held but a block.
 */
import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { LabelmillError, messageOf } from "../../shared/errors.js";
import { unzstd } from "./zstd.js";

/** The bytes of a list or table, unpacked. */
export interface Text {
  /** For messages: the path, or `stdin`. */
  readonly name: string;
  /** Where its relative paths start: an absolute directory. */
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

/** `path` is absolute. A packed file is unpacked from its start each time, up to `offset`. */
export function openFileText(path: string, packing: Packing, base: string): Text {
  return {
    name: path,
    base,
    async *blocks(offset) {
      try {
        if (packing === "none") yield* checkStart(path, offset, createReadStream(path, { start: offset }));
        else yield* skipBytes(offset, checkStart(path, 0, unpack(createReadStream(path), packing)));
      } catch (error) {
        throw unreadable(path, error);
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

async function* unpack(
  packed: ReturnType<typeof createReadStream>,
  packing: Exclude<Packing, "none">,
): AsyncGenerator<Buffer> {
  if (packing === "zstd") yield* unzstd(packed);
  else {
    const gunzip = createGunzip();
    // An error on the way in would otherwise end the process, not the read.
    packed.on("error", (error) => gunzip.destroy(error));
    try {
      yield* packed.pipe(gunzip);
    } finally {
      packed.destroy();
    }
  }
}

async function* checkStart(name: string, offset: number, blocks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let isFirst = offset === 0;
  for await (const block of blocks) {
    if (isFirst) refuseForeign(name, block);
    isFirst = false;
    yield block;
  }
}

function refuseForeign(name: string, start: Buffer): void {
  const found = signatures.find(([, bytes]) => bytes.every((byte, i) => start[i] === byte));
  if (found !== undefined) throw new LabelmillError("RUN_SOURCE_CONTENT", { source: name, found: found[0] });
}

async function* skipBytes(count: number, blocks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let left = count;
  for await (const block of blocks) {
    if (left < block.length) yield left === 0 ? block : block.subarray(left);
    left -= Math.min(left, block.length);
  }
}
