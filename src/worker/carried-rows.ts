/**
 * The rows that a run takes over from an earlier dataset instead of making them, which one is pinned with each item. Read part
 * by part, for one chunk at a time: mostly a chunk's rows lie in one or two parts there. Used by `stages` and `served-run`.
 */
import { type CurrentRows, findRows, listCurrentRows, rowsOfChunk } from "../dataset/current-rows.js";
import type { PinnedItem } from "../dataset/items.js";
import { readFileCounts, readPartRows } from "../dataset/part.js";
import type { CommittedCounts } from "../dataset/part-footer.js";
import type { Row } from "../dataset/row.js";
import { type AgainstDataset, type RunHead, type RunIdentity, rowsRunId } from "../dataset/run-head.js";
import { openRunStorage, readOwnHead } from "../dataset/run-storage.js";
import type { Storage } from "../dataset/storage/storage.js";
import { LabelmillError } from "../shared/errors.js";
import type { CarriedRow } from "./pipeline.js";

export interface CarriedRows {
  /**
   * The rows that `items` name, by the items' indices. Throws RUN_CARRY where one is another item's, RUN_REPLACED, and as
   * `readPartRows` does.
   */
  load(items: readonly PinnedItem[]): Promise<ReadonlyMap<number, Row>>;
  /** What chunk `chunk` comes to there. Throws the same. */
  countsOf(chunk: number): Promise<CommittedCounts>;
}

/** A run's way to the dataset that it is `against`; none where it is against none. Opens nothing yet. */
export function openCarriedRows(
  { against, retry }: Pick<RunIdentity, "against" | "retry">,
  openStorage: (location: string) => Storage,
): CarriedRows | null {
  if (against === undefined) return null;
  const storage = openRunStorage(openStorage(against.out), against);
  const earlier = openEarlier(storage, against, retry);
  const refuse = (reason: string) => new LabelmillError("RUN_CARRY", { against: against.out, reason });
  const requireOwn = (row: Row, { id, uri }: PinnedItem) => {
    if (isSameText(row.item_id, id) && isSameText(row.uri, uri)) return row;
    throw refuse(`its row ${row.item_index} is not that of ${uri}`);
  };
  return {
    async load(items) {
      const found = new Map<number, Row>();
      if (items.length === 0) return found;
      for (const [chunk, wanted] of byChunk(items, await earlier.chunkSize())) {
        await earlier.reading(chunk, async ({ rows, chunkSize }) => {
          const range = rowsOfChunk(rows, chunk, chunkSize);
          for await (const row of readPartRows<keyof Row>(storage, rows.path, undefined, range))
            for (const item of wanted.get(row.item_index) ?? []) found.set(item.index, requireOwn(row, item));
        });
      }
      const missing = items.find(({ index }) => !found.has(index));
      if (missing !== undefined) throw refuse(`it has no row ${missing.carry?.row}`);
      return found;
    },
    countsOf: (chunk) =>
      earlier.reading(chunk, async ({ rows, chunkSize }) => {
        const counts = (await readFileCounts(storage, rows.file, chunkSize))?.get(chunk);
        if (counts === undefined) throw refuse(`its part of chunk ${chunk} is gone`);
        return counts;
      }),
  };
}

/** A row's texts are UTF-8, in which half of a surrogate pair is U+FFFD; a pinned item keeps it. */
function isSameText(stored: string, pinned: string): boolean {
  return stored === pinned || Buffer.from(stored).equals(Buffer.from(pinned));
}

/** Where the rows of the earlier dataset are, looked up once. A retry sees it as it was before, also once it is complete itself. */
function openEarlier(storage: Storage, against: AgainstDataset, retry: number | undefined) {
  const list = async () => {
    const { chunkSize, format } = (await readOwnHead(storage, against)).identity;
    return { chunkSize, rows: await listCurrentRows(storage, format, retry) };
  };
  let listed: ReturnType<typeof list> | null = null;
  const open = async () => {
    listed ??= list();
    try {
      return await listed;
    } catch (error) {
      // It is tried again the next time.
      listed = null;
      throw error;
    }
  };
  const find = async (chunk: number) => {
    const { rows, chunkSize } = await open();
    const found = findRows(rows, chunk);
    if (found !== null) return { rows: found, chunkSize };
    throw new LabelmillError("RUN_CARRY", { against: against.out, reason: `it has no part of chunk ${chunk}` });
  };
  return {
    chunkSize: async () => (await open()).chunkSize,
    /** Reads the chunk's rows from where they are: where the file has vanished since, from what `results compact` made of it. */
    async reading<T>(
      chunk: number,
      read: (place: { readonly rows: CurrentRows; readonly chunkSize: number }) => Promise<T>,
    ): Promise<T> {
      const place = await find(chunk);
      try {
        return await read(place);
      } catch (error) {
        listed = null;
        const now = await find(chunk);
        if (now.rows.path === place.rows.path) throw error;
        return read(now);
      }
    },
  };
}

/** Chunk there -> row there -> the items that name it: several may be one picture. */
function byChunk(items: readonly PinnedItem[], chunkSize: number) {
  const chunks = new Map<number, Map<number, PinnedItem[]>>();
  for (const item of items) {
    if (item.carry === undefined) continue;
    const chunk = Math.floor(item.carry.row / chunkSize);
    const rows = chunks.get(chunk) ?? new Map<number, PinnedItem[]>();
    chunks.set(chunk, rows.set(item.carry.row, [...(rows.get(item.carry.row) ?? []), item]));
  }
  return chunks;
}

/** The row of `item` that `carried` stands for: what the model said as it was, and what is the item's or the run's own as it is now. */
export function carryRow(head: Pick<RunHead, "runId" | "identity">, item: PinnedItem, { row, facts }: CarriedRow): Row {
  const own = {
    run_id: rowsRunId(head),
    item_index: item.index,
    item_id: item.id,
    uri: item.uri,
    source_line: item.line ?? null,
    extra: item.extra ?? null,
    model: head.identity.model,
  };
  if (facts === null) return { ...row, ...own };
  const { byteLength: bytes, sha256, etag, modifiedAt } = facts;
  return { ...row, ...own, bytes, sha256, etag, modified_at: modifiedAt };
}
