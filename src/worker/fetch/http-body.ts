/**
 * Reads the body of an answer into memory: never more of it than the limit, neither as it comes nor as it is once its
 * content encoding is undone, however little a compressed body promises to be. Called by `http-request.ts`.
 */
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";

/** More than the limit has come, or is claimed. */
export class TooLarge extends Error {
  readonly bytes: number;

  constructor(bytes: number) {
    super(`${bytes} bytes`);
    this.bytes = bytes;
  }
}

const decoders = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
} as const;

/** Undoes a content encoding; null where there is none. `undefined` is one that is not known. */
export type ContentDecoder = (typeof decoders)[keyof typeof decoders];

/** Several encodings one after the other are not known: only bombs have them. */
export function contentDecoderOf(encoding: string): ContentDecoder | null | undefined {
  const name = encoding.trim().toLowerCase();
  if (name === "" || name === "identity") return null;
  return Object.entries(decoders).find(([known]) => known === name)?.[1];
}

/**
 * The whole body. Rejects with TooLarge, and with the errors of `body` and of zlib. `onProgress` is told how many bytes have
 * come so far, as they come.
 */
export async function readBody(
  body: AsyncIterable<Buffer>,
  decoder: ContentDecoder | null,
  { limit, onProgress }: { readonly limit: number; readonly onProgress: (bytes: number) => void },
): Promise<Uint8Array> {
  const arriving = capped(body, limit, onProgress);
  if (decoder === null) return collect(arriving);
  return pipeline(arriving, decoder(), (decoded: AsyncIterable<Buffer>) => collect(capped(decoded, limit, () => {})));
}

async function* capped(blocks: AsyncIterable<Buffer>, limit: number, onProgress: (bytes: number) => void) {
  let bytes = 0;
  for await (const block of blocks) {
    bytes += block.length;
    onProgress(bytes);
    if (bytes > limit) throw new TooLarge(bytes);
    yield block;
  }
}

async function collect(blocks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const block of blocks) all.push(block);
  return Buffer.concat(all);
}
