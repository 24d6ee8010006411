import { type CurrentRows, findRows, listCurrentRows, rowsOfChunk } from "../../dataset/current-rows.js";
import { chunkItems, type PinnedItem, readSegments } from "../../dataset/items.js";
import { readPartRows } from "../../dataset/part.js";
import { LabelmillError } from "../../shared/errors.js";
import { openOnly } from "../../shared/item-classes.js";
import type { Source, SourceItem } from "../source/source.js";
import type { EarlierDataset } from "./earlier-rows.js";

/**
 * The pinned items of a complete dataset, as they were: those whose rows failed as `only` says to be made again, all others
 * with their row. `before` is the number of the retry, which sees the retries before it. Throws RUN_CARRY, RUN_DATASET_CORRUPT,
 * STORAGE_*.
 */
export function openRetrySource(
  { storage, head }: EarlierDataset,
  { only: words, before, roots }: { only: readonly string[]; before: number; roots: readonly string[] },
): Source {
  const only = openOnly(words);
  return {
    leftOut: () => ({}),
    roots,
    async *items(after): AsyncGenerator<SourceItem> {
      const start = Number(after ?? 0);
      const pieces = await listCurrentRows(storage, head.identity.format, before);
      for await (const segment of readSegments(storage)) {
        for (let chunk = segment.firstChunk; chunk < segment.firstChunk + segment.chunks; chunk += 1) {
          const items = chunkItems(segment, chunk).filter(({ index }) => index >= start);
          if (items.length === 0) continue;
          const codes = await readCodes(chunk, findRows(pieces, chunk));
          for (const item of items) yield sourceItem(item, codes.get(item.index) ?? null);
        }
      }
    },
  };

  async function readCodes(chunk: number, piece: CurrentRows | null): Promise<ReadonlyMap<number, string | null>> {
    if (piece === null)
      throw new LabelmillError("RUN_CARRY", { against: storage.location, reason: `it has no part of chunk ${chunk}` });
    const range = rowsOfChunk(piece, chunk, head.identity.chunkSize);
    const codes = new Map<number, string | null>();
    for await (const row of readPartRows(storage, piece.path, ["item_index", "error_code"], range))
      codes.set(row.item_index, row.error_code);
    return codes;
  }

  function sourceItem({ index, carry: _, ...item }: PinnedItem, code: string | null): SourceItem {
    // What is pinned as a failure fails again.
    const isRetried = code !== null && item.failure === undefined && only.hasCode(code);
    return { ...item, token: String(index + 1), ...(isRetried ? {} : { carry: { row: index, ask: false } }) };
  }
}
