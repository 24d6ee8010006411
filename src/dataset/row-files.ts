import { readCompactedIndex } from "./compacted-index.js";
import { type PartFormat, parsePartPath, partsPrefix, type RowFile } from "./layout.js";
import type { Storage } from "./storage/storage.js";

/** The files that hold the committed rows of a dataset, in item order. Throws `RUN_DATASET_CORRUPT`, `STORAGE_*`. */
export async function listRowFiles(storage: Storage, format: PartFormat): Promise<readonly RowFile[]> {
  const compacted = await readCompactedIndex(storage, format);
  if (compacted !== null) return compacted.files;
  return (await storage.list(partsPrefix))
    .flatMap((path) => {
      const part = parsePartPath(path);
      return part?.format === format ? [{ path, firstChunk: part.chunk, chunks: 1 }] : [];
    })
    .sort((a, b) => a.firstChunk - b.firstChunk);
}
