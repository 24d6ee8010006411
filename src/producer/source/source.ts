import type { Failure } from "../../shared/errors.js";

/** One item as its source gives it; it gets its index when it is pinned. */
export interface SourceItem {
  /** Canonical: an absolute path, or a uri. The same item has the same uri in every run. */
  readonly uri: string;
  /** Line of a list or table, from 1. */
  readonly line?: number;
  /** Why this entry cannot be fetched; it becomes a failed row. */
  readonly failure?: Failure;
  /** Opaque to everyone else: `items(token)` goes on after this item. */
  readonly token: string;
}

/** The port: where items come from. Adapters are the other files of this folder; `open-source` chooses one. */
export interface Source {
  /** Items in stable order, after the one that `after` belongs to. Throws RUN_SOURCE_UNREADABLE. */
  items(after: string | null): AsyncIterable<SourceItem>;
  /** How many entries the passes so far did not take, by reason. */
  leftOut(): Readonly<Record<string, number>>;
  /** Directories that its local files lie in; `run` lets its own worker read them. */
  readonly roots: readonly string[];
}

/** Which files of a directory are items. */
export interface Selection {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly allFiles: boolean;
}
