import { LabelmillError } from "../shared/errors.js";
import type { SeenUris } from "./seen-uris.js";
import type { SourceItem } from "./source/source.js";

/** `items` without those whose uri was `seen`. Bad lines are no duplicates of each other: each is a row with its line. */
export async function* dropSeen(
  items: AsyncIterable<SourceItem>,
  seen: SeenUris,
  dropped: { "duplicate uri": number },
): AsyncGenerator<SourceItem> {
  for await (const item of items) {
    if (item.failure !== undefined || seen.add(item.uri)) yield item;
    else dropped["duplicate uri"] += 1;
  }
}

/** The first `most` of `items`. Throws RUN_INTERRUPTED. */
export async function* takeItems(
  items: AsyncIterable<SourceItem>,
  most: number,
  signal: AbortSignal,
): AsyncGenerator<SourceItem> {
  let taken = 0;
  if (most <= 0) return;
  for await (const item of items) {
    if (signal.aborted) throw new LabelmillError("RUN_INTERRUPTED");
    yield item;
    taken += 1;
    if (taken >= most) return;
  }
}
