import type { PinnedItem } from "../dataset/items.js";
import type { CommittedCounts } from "../dataset/part-footer.js";
import type { Row } from "../dataset/row.js";
import type { ChunkRef } from "../shared/job.js";
import type { Prediction } from "./compute/protocol.js";
import type { FetchedBytes } from "./fetch/fetcher.js";
import type { Outcome } from "./outcome.js";

/** An item with its bytes, or with the reason why it has none, or with a row that makes them needless. */
export type FetchedItem =
  | { readonly item: PinnedItem; readonly fetched: Outcome<FetchedBytes> }
  | { readonly item: PinnedItem; readonly carried: CarriedRow };

/** A row of an earlier dataset that stands for the item's. */
export interface CarriedRow {
  readonly row: Row;
  /** What the item's place says of the same bytes now; null where the row has it. */
  readonly facts: FetchedFacts | null;
}

/** What is known of the bytes once they are let go. */
export type FetchedFacts = Omit<FetchedBytes, "bytes"> & { readonly byteLength: number };

/** An item with what the model says of it, or with the reason why it says nothing. */
export interface Predicted {
  readonly item: PinnedItem;
  /** Null where the bytes were never got. */
  readonly facts: FetchedFacts | null;
  readonly prediction: Outcome<Prediction>;
  /** It was made for another item with the same bytes. No row depends on it. */
  readonly isDuplicate: boolean;
}

export type PredictedItem = Predicted | Extract<FetchedItem, { readonly carried: CarriedRow }>;

/** The steps of a chunk's way. They limit themselves, and give items in any order; see `stages.ts`. */
export interface Stages {
  items(chunk: ChunkRef): Promise<readonly PinnedItem[]>;
  fetch(items: readonly PinnedItem[]): AsyncIterable<FetchedItem>;
  predict(items: AsyncIterable<FetchedItem>): AsyncIterable<PredictedItem>;
  toRow(item: PredictedItem): Row;
  commit(chunk: ChunkRef, rows: readonly Row[]): Promise<CommittedCounts>;
}

/** The way of a chunk: every item becomes one row, and the rows become one part. */
export async function runChunk(chunk: ChunkRef, stages: Stages): Promise<CommittedCounts> {
  const items = await stages.items(chunk);
  const fetched = stages.fetch(items);
  const predicted = stages.predict(fetched);
  const rows: Row[] = [];
  for await (const item of predicted) rows.push(stages.toRow(item));
  rows.sort((a, b) => a.item_index - b.item_index);
  return stages.commit(chunk, rows);
}
