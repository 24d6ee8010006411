import { itemIdOf, type PinnedItem, type Segment, segmentChunks } from "../dataset/items.js";
import type { SourceItem } from "./source/source.js";

/** Where a list goes on: numbers of the next segment, chunk and item. */
export interface ListPosition {
  readonly segment: number;
  readonly chunk: number;
  readonly item: number;
}

/** A segment whose source is still to be asked what it has left out: it has gone no further. */
type CutSegment = Omit<Segment, "leftOut">;

/** Text of a segment beyond which no further chunk is added to it, in characters: rows of tables may be long. */
const fullSegmentChars = 2 ** 24;
/** Of an item beside its texts: a hash for an id, numbers, the names of its keys. */
const itemChars = 100;

/**
 * Cuts items into segments of 1, 2, 4, … 64 chunks, fewer where they are long, numbered from `start`. Every chunk but the
 * list's last holds `chunkSize` items. Holds one segment in memory.
 */
export async function* cutSegments(
  items: AsyncIterable<SourceItem>,
  start: ListPosition,
  chunkSize: number,
): AsyncGenerator<CutSegment> {
  let position = start;
  let pinned: PinnedItem[] = [];
  let chars = 0;
  let resumeToken: string | null = null;
  const cut = (): CutSegment => {
    const { segment, chunk: firstChunk, item: firstItem } = position;
    const chunks = Math.ceil(pinned.length / chunkSize);
    const cutSegment = { segment, firstChunk, chunks, firstItem, chunkSize, items: pinned, resumeToken };
    position = { segment: segment + 1, chunk: firstChunk + chunks, item: firstItem + pinned.length };
    pinned = [];
    chars = 0;
    return cutSegment;
  };
  for await (const { token, ...item } of items) {
    pinned.push({ index: position.item + pinned.length, ...item, id: item.id ?? itemIdOf(item.uri) });
    chars += charsOf(item);
    resumeToken = token;
    const chunks = pinned.length / chunkSize;
    const isFull = chars >= fullSegmentChars && Number.isInteger(chunks);
    if (isFull || chunks === segmentChunks(position.segment)) yield cut();
  }
  if (pinned.length > 0) yield cut();
}

function charsOf({ id, uri, extra = {}, failure }: Omit<SourceItem, "token">): number {
  const texts = [id ?? "", uri, failure?.message ?? "", ...Object.entries(extra).flat()];
  return texts.reduce((sum, text) => sum + text.length, itemChars);
}

/** The position behind a segment. */
export function positionAfter({ segment, firstChunk, chunks, firstItem, items }: CutSegment): ListPosition {
  return { segment: segment + 1, chunk: firstChunk + chunks, item: firstItem + items.length };
}
