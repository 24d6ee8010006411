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
 * Larger than most photos. Only so many bodies above it are read at once (`http.ts`), so that a list of endless ones costs a
 * worker no more memory than it has: 128 requests of 128 MiB would be 16 GiB.
 */
const largeBytes = 8 * 2 ** 20;

export interface BodyReading {
  readonly limit: number;
  /** Told how many bytes have come so far, as they come. */
  readonly onProgress: (bytes: number) => void;
  /** Called once where the body is large, as it comes or decoded; reading goes on when it resolves. */
  readonly admitLarge: () => Promise<void>;
}

/** The whole body. Rejects with TooLarge, and with the errors of `body`, of zlib and of `admitLarge`. */
export async function readBody(
  body: AsyncIterable<Buffer>,
  decoder: ContentDecoder | null,
  { limit, onProgress, admitLarge }: BodyReading,
): Promise<Uint8Array> {
  let admitted: Promise<void> | undefined;
  async function* capped(blocks: AsyncIterable<Buffer>, report: (bytes: number) => void): AsyncGenerator<Buffer> {
    let bytes = 0;
    for await (const block of blocks) {
      bytes += block.length;
      report(bytes);
      if (bytes > limit) throw new TooLarge(bytes);
      if (bytes > largeBytes) {
        admitted ??= admitLarge();
        await admitted;
      }
      yield block;
    }
  }
  const arriving = capped(body, onProgress);
  if (decoder === null) return collect(arriving);
  return pipeline(arriving, decoder(), (decoded: AsyncIterable<Buffer>) => collect(capped(decoded, () => {})));
}

async function collect(blocks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const block of blocks) all.push(block);
  return Buffer.concat(all);
}
