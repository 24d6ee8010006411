import type { RowFile } from "../dataset/layout.js";
import { readPartRows } from "../dataset/part.js";
import type { Row } from "../dataset/row.js";
import { listRowFiles } from "../dataset/row-files.js";
import { type RunHead, readRunHead } from "../dataset/run-head.js";
import { openStorage } from "../dataset/storage/open-storage.js";
import type { Storage } from "../dataset/storage/storage.js";
import { readSummary, type Summary } from "../dataset/summary.js";
import type { StoreSettings } from "../shared/s3/client.js";

/** A dataset as it was when it was opened: its committed parts, complete or not. Holds nothing open. */
export interface Results {
  readonly head: RunHead;
  /** Null while the run is not complete. */
  readonly summary: Summary | null;
  /** Paths, or s3: uris, of the files that hold the committed rows, in item order. */
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
  readonly files: readonly RowFile[];
}

/**
 * Opens the dataset at `out`, a directory or s3: uri. Throws `RUN_NOT_A_DATASET`, `RUN_SCHEMA`, `RUN_DATASET_CORRUPT`,
 * `STORAGE_*`, OPTION_INVALID.
 */
export async function openResults(out: string, reading: ReadingOptions = {}): Promise<OpenedResults> {
  const { store, signal } = reading;
  const storage = openStorage(out, store, signal);
  const head = await readRunHead(storage);
  // The summary first: it is written last, so if it is there then all parts are.
  const summary = await readSummary(storage);
  const { format, chunkSize } = head.identity;
  const files = await listRowFiles(storage, format);
  return {
    head,
    summary,
    storage,
    reading,
    files,
    partPaths: files.map(({ path }) => `${storage.location}/${path}`),
    async *rows(options) {
      let position = 0;
      try {
        for await (const row of rowsFrom({ storage, files, chunkSize, signal }, 0, options?.columns)) {
          position += 1;
          yield row;
        }
      } catch (error) {
        // Compacted since, by somebody else: a complete dataset, where rows stand at their index.
        const now = await listRowFiles(storage, format);
        if (now[0]?.path === files[0]?.path || summary === null) throw error;
        yield* rowsFrom({ storage, files: now, chunkSize, signal }, position, options?.columns);
      }
    },
    async rowAt(itemIndex, options) {
      const file = findFile(files, Math.floor(itemIndex / chunkSize));
      if (file === null) return null;
      const from = itemIndex - file.firstChunk * chunkSize;
      const found = readPartRows(storage, file.path, options?.columns, { from, to: from + 1 });
      for await (const row of found) return row;
      return null;
    },
  };
}

interface Reading {
  readonly storage: Storage;
  readonly files: readonly RowFile[];
  readonly chunkSize: number;
  readonly signal: AbortSignal | undefined;
}

/** The rows of the files, of a complete dataset those from number `first` on; any if that is 0. */
async function* rowsFrom<K extends keyof Row>(
  { storage, files, chunkSize, signal }: Reading,
  first: number,
  columns: readonly K[] | undefined,
): AsyncGenerator<Pick<Row, K>> {
  for (const { path, firstChunk, chunks } of files) {
    signal?.throwIfAborted();
    if ((firstChunk + chunks) * chunkSize <= first) continue;
    const from = Math.max(0, first - firstChunk * chunkSize);
    yield* readPartRows(storage, path, columns, { from, to: Number.POSITIVE_INFINITY });
  }
}

/** The file with the rows of that chunk, or null. */
export function findFile(files: readonly RowFile[], chunk: number): RowFile | null {
  let [low, high] = [0, files.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((files[middle]?.firstChunk ?? 0) <= chunk) low = middle + 1;
    else high = middle;
  }
  const file = files[low - 1];
  return file !== undefined && chunk < file.firstChunk + file.chunks ? file : null;
}
