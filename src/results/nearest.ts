import { readCurrentEmbeddings } from "../dataset/current-embeddings.js";
import type { CurrentRows } from "../dataset/current-rows.js";
import type { Storage } from "../dataset/storage/storage.js";

/** A row by how near its embedding is. */
export interface Neighbour {
  readonly itemIndex: number;
  /** Of the angle between the embeddings, in float64. */
  readonly cosine: number;
}

/** Where to search. */
export interface Searched {
  readonly files: readonly CurrentRows[];
  /** Of the run. */
  readonly chunkSize: number;
}

export interface NearestQuery {
  readonly embedding: Float32Array;
  readonly top: number;
  /** Row that is passed over, since it is the query itself; null for none. */
  readonly except: number | null;
  /** Looked at before each file. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The `top` of the `searched` rows that are nearest by cosine, nearest first, equal ones by index. Exact: every
 * embedding is compared. One of zeros has no direction and is passed over. Throws RangeError where widths differ.
 */
export async function findNearest(
  storage: Storage,
  searched: Searched,
  { embedding: query, top, except, signal }: NearestQuery,
): Promise<Neighbour[]> {
  let best: Neighbour[] = [];
  const length = Math.sqrt(query.reduce((sum, x) => sum + x * x, 0));
  for await (const { itemIndices, width, floats } of blocksOf(storage, searched, signal)) {
    if (itemIndices.length > 0 && width !== query.length) {
      throw new RangeError(`Expected an embedding of ${width} floats, got ${query.length}`);
    }
    for (const [row, itemIndex] of itemIndices.entries()) {
      if (itemIndex === except) continue;
      const cosine = cosineAt(floats, row * width, query) / length;
      const last = best.at(-1);
      // Parts and rows come in order, so of equal ones the first stays.
      if (Number.isNaN(cosine) || (best.length === top && last !== undefined && cosine <= last.cosine)) continue;
      best = mergeNearest([best, [{ itemIndex, cosine }]], top);
    }
  }
  return best;
}

async function* blocksOf(storage: Storage, { files, chunkSize }: Searched, signal: AbortSignal | undefined) {
  for (const rows of files) {
    signal?.throwIfAborted();
    yield* readCurrentEmbeddings(storage, rows, chunkSize);
  }
}

/** The nearest of several answers. */
export function mergeNearest(answers: readonly (readonly Neighbour[])[], top: number): Neighbour[] {
  return answers
    .flat()
    .sort((a, b) => b.cosine - a.cosine || a.itemIndex - b.itemIndex)
    .slice(0, top);
}

/** The dot product with the vector that starts at `start`, divided by that one's length. */
function cosineAt(floats: Float32Array, start: number, query: Float32Array): number {
  let [dot, square] = [0, 0];
  for (let i = 0; i < query.length; i += 1) {
    const x = floats[start + i] as number;
    dot += x * (query[i] as number);
    square += x * x;
  }
  return dot / Math.sqrt(square);
}
