import {
  type CurrentRows,
  findRows,
  listCurrentRows,
  rangeOf,
  readCurrent,
  rowsOfChunk,
} from "../dataset/current-rows.js";
import { readPartRows } from "../dataset/part.js";
import type { Row } from "../dataset/row.js";
import { type RunHead, readRunHead } from "../dataset/run-head.js";
import { openStorage } from "../dataset/storage/open-storage.js";
import type { Storage } from "../dataset/storage/storage.js";
import type { Summary } from "../dataset/summary.js";
import type { StoreSettings } from "../shared/s3/client.js";

/** A dataset as it was when it was opened: its committed parts, complete or not. Holds nothing open. */
export interface Results {
  readonly head: RunHead;
  /** Null while the run is not complete. */
  readonly summary: Summary | null;
  /**
   * Paths, or s3: uris, of the files that hold the committed rows, each once, in the order of their first. A compacted file
   * holds rows besides that a retry has made again.
   */
  readonly partPaths: readonly string[];
  /**
   * Every committed row in item order, the rows of one part (or 1,024 of a compacted file) in memory at a time. With
   * `columns`, rows have these keys alone; leaving `embedding` out makes it tens of times faster. Throws
   * `RUN_DATASET_CORRUPT`, `STORAGE_*`.
   */
  rows<K extends keyof Row = keyof Row>(options?: { readonly columns?: readonly K[] }): AsyncIterable<Pick<Row, K>>;
  /**
   * The row of the item at `itemIndex`, or null where its part is not committed; reads around it alone. Throws as `rows`
   * does.
   */
  rowAt<K extends keyof Row = keyof Row>(
    itemIndex: number,
    options?: { readonly columns?: readonly K[] },
  ): Promise<Pick<Row, K> | null>;
}

/** How a dataset is read. */
export interface ReadingOptions {
  /** Without it, datasets in object stores cannot be opened. */
  readonly store?: StoreSettings | undefined;
  /** Looked at before each file; aborts requests to a store. */
  readonly signal?: AbortSignal;
}

/** The same, with what the other files of this room read it by. */
export interface OpenedResults extends Results {
  readonly storage: Storage;
  readonly reading: ReadingOptions;
  /** What holds the rows, in item order. */
  readonly files: readonly CurrentRows[];
  /** Calls `read` with them, and once more where it fails since `results compact` has put other files in their place. */
  readingFiles<T>(read: (files: readonly CurrentRows[]) => Promise<T>): Promise<T>;
}

/**
 * Opens the dataset at `out`, a directory or s3: uri. Throws `RUN_NOT_A_DATASET`, `RUN_SCHEMA`, `RUN_DATASET_CORRUPT`,
 * `STORAGE_*`, OPTION_INVALID.
 */
export async function openResults(out: string, reading: ReadingOptions = {}): Promise<OpenedResults> {
  const { store, signal } = reading;
  const storage = openStorage(out, store, signal);
  const head = await readRunHead(storage);
  const { format, chunkSize } = head.identity;
  const { summary, rows: files } = await readCurrent(storage, format);
  /** Throws `error` where they are all there still, or others do not hold all of their rows, or where the dataset was not complete, which nobody compacts. */
  const filesAfter = async (error: unknown) => {
    const now = await listCurrentRows(storage, format);
    const isThere = new Set(now.map(({ path }) => path));
    const isWhole = chunksOf(now) === chunksOf(files);
    if (summary === null || !isWhole || files.every(({ path }) => isThere.has(path))) throw error;
    return now;
  };
  const readingFiles: OpenedResults["readingFiles"] = (read) =>
    read(files).catch(async (error: unknown) => read(await filesAfter(error)));
  return {
    head,
    summary,
    storage,
    reading,
    files,
    readingFiles,
    partPaths: [...new Set(files.map(({ path }) => `${storage.location}/${path}`))],
    async *rows(options) {
      let position = 0;
      try {
        for await (const row of rowsFrom({ storage, files, chunkSize, signal }, 0, options?.columns)) {
          position += 1;
          yield row;
        }
      } catch (error) {
        // Of a complete dataset, where rows stand at their index.
        const now = await filesAfter(error);
        yield* rowsFrom({ storage, files: now, chunkSize, signal }, position, options?.columns);
      }
    },
    rowAt: (itemIndex, options) =>
      readingFiles((current) => rowOf({ storage, files: current, chunkSize, signal }, itemIndex, options?.columns)),
  };
}

function chunksOf(files: readonly CurrentRows[]): number {
  return files.reduce((sum, { chunks }) => sum + chunks, 0);
}

interface Reading {
  readonly storage: Storage;
  readonly files: readonly CurrentRows[];
  readonly chunkSize: number;
  readonly signal: AbortSignal | undefined;
}

async function rowOf<K extends keyof Row>(
  { storage, files, chunkSize }: Reading,
  itemIndex: number,
  columns: readonly K[] | undefined,
): Promise<Pick<Row, K> | null> {
  const chunk = Math.floor(itemIndex / chunkSize);
  const rows = findRows(files, chunk);
  if (rows === null) return null;
  const from = rowsOfChunk(rows, chunk, chunkSize).from + (itemIndex % chunkSize);
  for await (const row of readPartRows(storage, rows.path, columns, { from, to: from + 1 })) return row;
  return null;
}

/** The rows of the files, of a complete dataset those from number `first` on; any if that is 0. */
async function* rowsFrom<K extends keyof Row>(
  { storage, files, chunkSize, signal }: Reading,
  first: number,
  columns: readonly K[] | undefined,
): AsyncGenerator<Pick<Row, K>> {
  for (const rows of files) {
    signal?.throwIfAborted();
    if ((rows.firstChunk + rows.chunks) * chunkSize <= first) continue;
    const { from, to } = rangeOf(rows, chunkSize);
    const passed = Math.max(0, first - rows.firstChunk * chunkSize);
    yield* readPartRows(storage, rows.path, columns, { from: from + passed, to });
  }
}
