import { listCurrentParts, readCurrentSummary } from "../dataset/current-parts.js";
import { readPartRows } from "../dataset/part.js";
import type { Row } from "../dataset/row.js";
import { type RunHead, readRunHead } from "../dataset/run-head.js";
import { openStorage } from "../dataset/storage/open-storage.js";
import type { Storage } from "../dataset/storage/storage.js";
import type { Summary } from "../dataset/summary.js";

/** A dataset as it was when it was opened: its committed parts, complete or not. Holds nothing open. */
export interface Results {
  readonly head: RunHead;
  /** Null while the run is not complete. */
  readonly summary: Summary | null;
  /** Absolute paths of the committed parts, in item order. */
  readonly partPaths: readonly string[];
  /**
   * Every committed row in item order, one part in memory at a time. With `columns`, rows have these keys alone;
   * leaving `embedding` out makes it tens of times faster. Throws `RUN_DATASET_CORRUPT`, `STORAGE_*`.
   */
  rows<K extends keyof Row = keyof Row>(options?: { readonly columns?: readonly K[] }): AsyncIterable<Pick<Row, K>>;
  /**
   * The row of the item at `itemIndex`, or null where its part is not committed; reads that part alone. Throws as `rows`
   * does.
   */
  rowAt<K extends keyof Row = keyof Row>(
    itemIndex: number,
    options?: { readonly columns?: readonly K[] },
  ): Promise<Pick<Row, K> | null>;
}

/** The same, with what the other files of this room read it by. */
export interface OpenedResults extends Results {
  readonly storage: Storage;
  /** Paths of the parts in `storage`, in item order. */
  readonly parts: readonly string[];
  /** Path of chunk `chunk`'s part in `storage`, or null where it is not committed. */
  partOf(chunk: number): string | null;
}

/**
 * Opens the dataset in the directory `out`. Throws `RUN_NOT_A_DATASET`, `RUN_SCHEMA`, `RUN_DATASET_CORRUPT`,
 * `STORAGE_*`.
 */
export async function openResults(out: string): Promise<OpenedResults> {
  const storage = openStorage(out);
  const head = await readRunHead(storage);
  // The summary first: it is written last, so if it is there then all parts are.
  const summary = await readCurrentSummary(storage);
  const { format, chunkSize } = head.identity;
  const current = await listCurrentParts(storage, format);
  const parts = [...current.values()];
  return {
    head,
    summary,
    storage,
    parts,
    partOf: (chunk) => current.get(chunk) ?? null,
    partPaths: parts.map((path) => `${storage.location}/${path}`),
    async *rows(options) {
      for (const path of parts) yield* readPartRows(storage, path, options?.columns);
    },
    async rowAt(itemIndex, options) {
      const path = current.get(Math.floor(itemIndex / chunkSize));
      if (path === undefined) return null;
      let at = itemIndex % chunkSize;
      for await (const row of readPartRows(storage, path, options?.columns)) {
        if (at === 0) return row;
        at -= 1;
      }
      return null;
    },
  };
}
