import type { CarriedItem } from "../../dataset/items.js";
import type { Failure } from "../../shared/errors.js";
import type { InputFormat } from "../../shared/input-formats.js";
import type { Counts } from "../counts.js";

/** One item as its source gives it; it gets its index when it is pinned. */
export interface SourceItem {
  /** Canonical: an absolute path, or a uri. The same item has the same uri in every run. */
  readonly uri: string;
  /** Of a table's id column; by default an item's id is the hash of its uri. */
  readonly id?: string;
  /** Line of a list or table, or row of a Parquet file, from 1. */
  readonly line?: number;
  /** Kept columns of a table, by name; a column that is null in this row is absent. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Why this entry cannot be fetched; it becomes a failed row. */
  readonly failure?: Failure;
  /** Its row in an earlier dataset; sources themselves know of none. */
  readonly carry?: CarriedItem;
  /** Opaque to everyone else: `items(token)` goes on after this item. */
  readonly token: string;
}

/** The port: where items come from. Adapters are the other files of this folder; `open-source` chooses one. */
export interface Source {
  /**
   * Items in stable order, after the one that `after` belongs to. Throws RUN_SOURCE_UNREADABLE, RUN_SOURCE_COLUMNS,
   * RUN_SOURCE_CONTENT, RUN_SOURCE_ONCE from one that cannot be read again, RUN_SOURCE_CHANGED where
   * it can be seen that it is not the one that `after` is of.
   */
  items(after: string | null): AsyncIterable<SourceItem>;
  /**
   * How many entries the passes so far did not take, by reason; one that was begun counts what lies before the item that it
   * gave last, so that what two calls differ by is of the items between them.
   */
  leftOut(): Counts;
  /** Directories that its local files lie in; `run` lets its own worker read them. */
  readonly roots: readonly string[];
}

/**
 * Reads files of web servers, and of whatever else is far away: what a producer needs of the worker's transport, with its
 * address policy, retries and redirects. The library connects the two.
 */
export interface RemoteFiles {
  /**
   * The bytes of `uri` from `offset` on. `needsRanges` refuses a place that cannot begin there, which is skipped to
   * otherwise, and one that does not tell its size. Throws RUN_SOURCE_UNREADABLE, from `blocks` too.
   */
  read(uri: string, from: { readonly offset: number; readonly needsRanges: boolean }): Promise<RemoteFile>;
}

export interface RemoteFile {
  /** Of the whole file, in bytes; null where it is not known. */
  readonly size: number | null;
  /** To be read to their end, or left with `return`: that ends the connection. */
  readonly blocks: AsyncIterable<Buffer>;
}

/** Which files of a directory are items. */
export interface Selection {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly allFiles: boolean;
}

/** Which columns of a table are what. */
export interface TableColumns {
  readonly uriColumn: string;
  readonly idColumn: string | null;
  readonly keepColumns: readonly string[];
}

export interface SourceOptions extends Selection, TableColumns {
  /** Of stdin, and of files whose name does not tell; null: a list from stdin, and an error for files. */
  readonly inputFormat: InputFormat | null;
  /** How many items to draw from all sources together; null: all. */
  readonly sample: number | null;
  readonly sampleSeed: number;
}
