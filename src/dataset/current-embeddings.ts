import { type CurrentRows, rangeOf } from "./current-rows.js";
import type { EmbeddingBlock } from "./embedding-block.js";
import { readPartEmbeddings } from "./part.js";
import type { Storage } from "./storage/storage.js";

/**
 * The embeddings of `rows` that are there, in item order, in blocks, as `readPartEmbeddings` gives them: without those that a
 * retry has made again. Throws `RUN_DATASET_CORRUPT`, `STORAGE_*`.
 */
export async function* readCurrentEmbeddings(
  storage: Storage,
  rows: CurrentRows,
  chunkSize: number,
): AsyncGenerator<EmbeddingBlock> {
  const { path, firstChunk, chunks, file } = rows;
  const isWhole = chunks === file.chunks;
  for await (const block of readPartEmbeddings(storage, path, rangeOf(rows, chunkSize)))
    yield isWhole ? block : cut(block, firstChunk * chunkSize, (firstChunk + chunks) * chunkSize);
}

/** Those of the items from `first` up to, not including, `end`. */
function cut({ itemIndices, width, floats }: EmbeddingBlock, first: number, end: number): EmbeddingBlock {
  const from = itemIndices.filter((index) => index < first).length;
  const to = itemIndices.filter((index) => index < end).length;
  return { itemIndices: itemIndices.slice(from, to), width, floats: floats.subarray(from * width, to * width) };
}
