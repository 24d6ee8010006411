import { type CurrentRows, findRows, rowsOfChunk } from "../dataset/current-rows.js";
import { readFileCounts, readPartRows } from "../dataset/part.js";
import type { CommittedCounts } from "../dataset/part-footer.js";
import type { Row } from "../dataset/row.js";
import type { Storage } from "../dataset/storage/storage.js";

/** Gives the rows of a dataset chunk by chunk, wherever they lie. Chunks are asked for in ascending order. */
export interface ChunkReader {
  /** What the chunk's file says of it; null where no file has the chunk. Throws `RUN_DATASET_CORRUPT`, `STORAGE_*`. */
  counts(chunk: number): Promise<CommittedCounts | null>;
  /** Its rows with all columns: as many as its file says, or fewer where that ends. Throws the same. */
  rows(chunk: number): Promise<Row[]>;
}

interface OpenFile {
  readonly file: CurrentRows;
  readonly counts: ReadonlyMap<number, CommittedCounts>;
  readonly rows: AsyncGenerator<Row>;
  /** Chunk whose rows come next. */
  next: number;
}

/** A file is read once, from its start to its end. */
export function createChunkReader(storage: Storage, files: readonly CurrentRows[], chunkSize: number): ChunkReader {
  let open: OpenFile | null = null;
  const openAt = async (chunk: number): Promise<OpenFile | null> => {
    const file = findRows(files, chunk);
    if (file === null) return null;
    if (open?.file === file) return open;
    const counts = await readFileCounts(storage, file.file, chunkSize);
    if (counts === null) return null;
    const { from } = rowsOfChunk(file, file.firstChunk, chunkSize);
    const rows = readPartRows<keyof Row>(storage, file.path, undefined, { from, to: Number.POSITIVE_INFINITY });
    open = { file, counts, rows, next: file.firstChunk };
    return open;
  };
  return {
    counts: async (chunk) => (await openAt(chunk))?.counts.get(chunk) ?? null,
    async rows(chunk) {
      const opened = await openAt(chunk);
      if (opened === null) return [];
      for (; opened.next < chunk; opened.next += 1) await take(opened);
      opened.next += 1;
      return take({ ...opened, next: chunk });
    },
  };
}

async function take({ file, counts, rows, next }: OpenFile): Promise<Row[]> {
  const isLast = next === file.file.firstChunk + file.file.chunks - 1;
  // What is too much shows at the end.
  const most = isLast ? Number.POSITIVE_INFINITY : (counts.get(next)?.items ?? 0);
  const taken: Row[] = [];
  while (taken.length < most) {
    const row = await rows.next();
    if (row.done === true) break;
    taken.push(row.value);
  }
  return taken;
}
