import { readCurrentEmbeddings } from "../dataset/current-embeddings.js";
import { findRows } from "../dataset/current-rows.js";
import type { OpenedResults } from "./open.js";

/** An embedding within a block of them. */
export interface PlacedEmbedding {
  readonly floats: Float32Array;
  readonly start: number;
  readonly width: number;
}

/** Parts kept at once, of 2 MB at 256 rows of 2,048 floats: datasets in about the same order are read once. */
const mostParts = 16;

/**
 * The embeddings of a dataset by the row's item index, a few parts in memory. Where the rows that are asked for lie far apart,
 * each costs the reading of its part.
 */
export function openEmbeddings({ storage, head, files }: OpenedResults) {
  const { chunkSize } = head.identity;
  const cached = new Map<number, Map<number, PlacedEmbedding>>();
  const load = async (chunk: number) => {
    const found = findRows(files, chunk);
    const placed = new Map<number, PlacedEmbedding>();
    if (found === null) return placed;
    const rows = { ...found, firstChunk: chunk, chunks: 1 };
    for await (const { itemIndices, width, floats } of readCurrentEmbeddings(storage, rows, chunkSize))
      for (const [i, index] of itemIndices.entries()) placed.set(index, { floats, start: i * width, width });
    return placed;
  };
  return {
    /** Null where the row has none. Throws RUN_DATASET_CORRUPT, STORAGE_*. */
    async at(itemIndex: number): Promise<PlacedEmbedding | null> {
      const chunk = Math.floor(itemIndex / chunkSize);
      const known = cached.get(chunk) ?? (await load(chunk));
      cached.delete(chunk);
      cached.set(chunk, known);
      const [oldest] = cached.keys();
      if (cached.size > mostParts && oldest !== undefined) cached.delete(oldest);
      return known.get(itemIndex) ?? null;
    },
  };
}

/** Of the angle between two embeddings of one width, in float64; not a number where one of them is all zeros. */
export function cosineOf(a: PlacedEmbedding, b: PlacedEmbedding): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.width; i += 1) {
    const x = a.floats[a.start + i] as number;
    const y = b.floats[b.start + i] as number;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  // Bit-equal embeddings are to be at 1, which the quotient misses by an ulp.
  return Math.max(-1, Math.min(1, dot / Math.sqrt(aa * bb)));
}
