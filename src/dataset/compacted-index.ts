/**
 * `compacted/index.json`: it exists = the rows lie in the files that it names, and no longer in `parts/`. Written when those
 * files are whole and compared, before the first part goes; so at every moment one of the two places holds all rows.
 */
import { z } from "zod";
import { compactedIndexPath, compactedPath, type PartFormat, type RowFile } from "./layout.js";
import { corrupt, createRecord, readRecord } from "./record-file.js";
import type { Storage } from "./storage/storage.js";

/** A file with the rows of `chunks` parts. */
export interface CompactedFile extends RowFile {
  readonly rows: number;
  readonly bytes: number;
}

export interface CompactedIndex {
  /** Of the run. */
  readonly chunkSize: number;
  /** In item order, and without a gap. */
  readonly files: readonly CompactedFile[];
}

const count = z.int().min(0);
const positive = z.int().min(1);

const indexSchema = z.object({
  schemaVersion: z.literal(1),
  chunkSize: positive,
  files: z.array(z.object({ path: z.string(), firstChunk: count, chunks: positive, rows: positive, bytes: positive })),
});

/** Null where the dataset is not compacted. Throws `RUN_DATASET_CORRUPT`, `STORAGE_*`. */
export async function readCompactedIndex(storage: Storage, format: PartFormat): Promise<CompactedIndex | null> {
  const index = await readRecord(storage, compactedIndexPath, indexSchema);
  if (index === null) return null;
  let next = 0;
  for (const { path, firstChunk, chunks } of index.files) {
    // What is read, and removed, is made of numbers alone.
    const expected = compactedPath({ firstChunk: next, chunks }, format);
    if (firstChunk !== next || path !== expected) throw corrupt(storage, compactedIndexPath, `expected ${expected}`);
    next += chunks;
  }
  return index;
}

/** Makes the files those of the dataset, unless others are; the caller reads the index to see which. */
export async function createCompactedIndex(storage: Storage, { chunkSize, files }: CompactedIndex): Promise<void> {
  await createRecord(storage, compactedIndexPath, indexSchema, { schemaVersion: 1, chunkSize, files: [...files] });
}
