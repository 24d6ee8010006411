/**
 * A source whose items know their earlier rows: each is compared with its row of the dataset that the run is against, and is
 * given on with what may be carried over. So pinning, queueing, resuming and committing need to know nothing of reruns: the
 * decision is pinned with the item. Called by `submission` (run, enqueue) and by `plan`, which counts what comes.
 */

import { itemIdOf } from "../../dataset/items.js";
import { type OnlyClasses, openOnly } from "../../shared/item-classes.js";
import { type Counts, sumCounts } from "../counts.js";
import type { Source, SourceItem } from "../source/source.js";
import { vetItem } from "../vet-item.js";
import { type Compared, type Comparing, compareItem } from "./compare-item.js";
import type { EarlierRows } from "./earlier-rows.js";

/** What a rerun is given. */
export interface CarryOver extends Comparing {
  /** Words of `--only`. */
  readonly only: readonly string[];
  /** Called with the first item that is wanted: a list that is pinned needs no rows. */
  readonly open: () => Promise<EarlierRows>;
  /** Told of every item that is given, before it is. */
  readonly onCompared?: (item: SourceItem, compared: Compared) => void;
}

/** Items that are compared at once. */
const mostAtOnce = 64;
const leftOutReason = "new, which --only does not name";

/** `source` with `carry` at its items; those that are new are left out where `only` does not name them. */
export function openCarrySource(source: Source, carryOver: CarryOver): Source {
  const only = openOnly(carryOver.only);
  let left = 0;
  // As of the item that was given last: the comparison runs ahead.
  let leftOut: Counts = source.leftOut();
  let rows: Promise<EarlierRows> | null = null;
  return {
    ...source,
    leftOut: () => sumCounts([leftOut, left === 0 ? {} : { [leftOutReason]: left }]),
    async *items(after) {
      for await (const batch of inBatches(source, after)) {
        rows ??= carryOver.open();
        const earlier = await rows;
        const compared = await Promise.all(
          batch.map(({ item: { id, uri, failure } }) => {
            const row = earlier.find(id ?? itemIdOf(uri), uri);
            return compareItem({ uri, isInvalid: failure !== undefined }, row, carryOver);
          }),
        );
        for (const [i, { item, leftOut: before }] of batch.entries()) {
          const found = compared[i];
          if (found === undefined) continue;
          leftOut = before;
          if (found.itemClass === "new" && !only.has("new")) {
            left += 1;
            continue;
          }
          const given = withCarry(item, found, only);
          carryOver.onCompared?.(given, found);
          yield given;
        }
      }
      leftOut = source.leftOut();
    },
  };
}

/** The first batch is one item, as it may be all that is wanted: stdin can be read only once. */
async function* inBatches(source: Source, after: string | null) {
  let batch: { readonly item: SourceItem; readonly leftOut: Counts }[] = [];
  let size = 1;
  for await (const item of source.items(after)) {
    batch.push({ item: vetItem(item), leftOut: { ...source.leftOut() } });
    if (batch.length < size) continue;
    yield batch;
    batch = [];
    size = Math.min(size * 2, mostAtOnce);
  }
  if (batch.length > 0) yield batch;
}

function withCarry(item: SourceItem, compared: Compared, only: OnlyClasses): SourceItem {
  const carry = carryOf(item, compared, only);
  return carry === null ? item : { ...item, carry };
}

/** Null where the row is made anew, whatever the bytes are. */
function carryOf(item: SourceItem, { itemClass, row, bytes, isTouched }: Compared, only: OnlyClasses) {
  if (row === null || itemClass === "stale" || item.failure !== undefined) return null;
  if (row.errorCode !== null && (only.hasCode(row.errorCode) || (bytes === "changed" && only.has("changed"))))
    return null;
  const isAsked = only.has("changed") && row.bytes !== null && (bytes !== "same" || isTouched);
  return { row: row.index, ask: isAsked };
}
