import { itemIdOf, type PinnedItem, type Segment, segmentChunks } from "../dataset/items.js";
import type { SourceItem } from "./source/source.js";
import { vetItem } from "./vet-item.js";

/** Where a list goes on: numbers of the next segment, chunk and item. */
export interface ListPosition {
  readonly segment: number;
  readonly chunk: number;
  readonly item: number;
}

/**
 * Cuts items into segments of 1, 2, 4, … 64 chunks, numbered from `start`. Every chunk but the list's last holds
 * `chunkSize` items. Holds one segment in memory.
 */
export async function* cutSegments(
  items: AsyncIterable<SourceItem>,
  start: ListPosition,
  chunkSize: number,
): AsyncGenerator<Segment> {
  let position = start;
  let pinned: PinnedItem[] = [];
  let resumeToken: string | null = null;
  const cut = (): Segment => {
    const { segment, chunk: firstChunk, item: firstItem } = position;
    const chunks = Math.ceil(pinned.length / chunkSize);
    const cutSegment = { segment, firstChunk, chunks, firstItem, chunkSize, items: pinned, resumeToken };
    position = { segment: segment + 1, chunk: firstChunk + chunks, item: firstItem + pinned.length };
    pinned = [];
    return cutSegment;
  };
  for await (const given of items) {
    const { token, ...item } = vetItem(given);
    pinned.push({ index: position.item + pinned.length, id: itemIdOf(item.uri), ...item });
    resumeToken = token;
    if (pinned.length === segmentChunks(position.segment) * chunkSize) yield cut();
  }
  if (pinned.length > 0) yield cut();
}

/** The position behind a segment. */
export function positionAfter({ segment, firstChunk, chunks, firstItem, items }: Segment): ListPosition {
  return { segment: segment + 1, chunk: firstChunk + chunks, item: firstItem + items.length };
}
