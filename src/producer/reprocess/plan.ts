/**
 * What a rerun would do, counted by passing all of its items the way that the run itself would pass them: compared, without
 * duplicates, as many as wanted. Nothing is pinned or fetched. Called by `library/plan`, and by `library/grown` for a run that is
 * complete.
 */
import type { RunIdentity } from "../../dataset/run-head.js";
import type { ItemClass } from "../../shared/item-classes.js";
import type { Counts } from "../counts.js";
import { createSeenUris } from "../seen-uris.js";
import type { Source, SourceItem } from "../source/source.js";
import { dropSeen, takeItems } from "../wanted-items.js";
import { type CarryOver, openCarrySource } from "./carry-source.js";
import type { Compared } from "./compare-item.js";
import type { EarlierRows } from "./earlier-rows.js";

export interface ItemCounts {
  /** Items that the rerun's dataset would hold. */
  readonly items: number;
  /** Each item is counted once, by its class. */
  readonly classes: Readonly<Record<ItemClass, number>>;
  readonly failedByCode: Counts;
  /** Items of the earlier dataset that the source does not hold any more. */
  readonly gone: number;
  /** Items whose bytes would be fetched, since their row is made anew or they are known to have changed. */
  readonly toDo: number;
  /** Items whose server would be asked whether they have changed; those that have are fetched too. */
  readonly toAsk: number;
  /** Of the items to do whose size is known. */
  readonly bytes: number;
  /** Items to do whose size is not. */
  readonly unknownSizes: number;
  /** Entries of the source that are no items, by reason. */
  readonly leftOut: Counts;
}

/** Counts the items of `source`. Throws RUN_INTERRUPTED, and as the source and `carryOver.open` do. */
export async function countItems(
  source: Source,
  carryOver: CarryOver,
  { limit, dedupe, signal, onItem = () => {} }: Pick<RunIdentity, "limit" | "dedupe"> & Following,
): Promise<ItemCounts> {
  const earlier = await carryOver.open();
  /** By the item itself: between the comparison and the count some are dropped. */
  const found = new WeakMap<SourceItem, Compared>();
  const onCompared = (item: SourceItem, compared: Compared) => void found.set(item, compared);
  const compared = openCarrySource(source, { ...carryOver, open: async () => earlier, onCompared });
  const duplicates = { "duplicate uri": 0 };
  const given = compared.items(null);
  const wanted = dedupe === "none" ? given : dropSeen(given, createSeenUris(), duplicates);
  const counter = createCounter(earlier);
  for await (const item of takeItems(wanted, limit ?? Number.POSITIVE_INFINITY, signal)) {
    const comparison = found.get(item);
    if (comparison !== undefined) onItem(counter.add(item, comparison));
  }
  const dropped = duplicates["duplicate uri"] === 0 ? {} : duplicates;
  return { ...counter.counts(), leftOut: { ...compared.leftOut(), ...dropped } };
}

function createCounter(earlier: EarlierRows) {
  const classes = { new: 0, changed: 0, stale: 0, failed: 0, unknown: 0, unchanged: 0 };
  const totals = { items: 0, toDo: 0, toAsk: 0, bytes: 0, unknownSizes: 0 };
  const failedByCode: Record<string, number> = {};
  const kept = createMarks(earlier);
  const addWork = ({ carry, failure }: SourceItem, { bytes, size }: Compared): void => {
    if (carry?.ask === true && bytes === "unknown") totals.toAsk += 1;
    else if (carry === undefined ? failure === undefined : carry.ask) {
      totals.toDo += 1;
      if (size === null) totals.unknownSizes += 1;
      else totals.bytes += size;
    }
  };
  return {
    /** Returns how many there are by now. */
    add(item: SourceItem, compared: Compared): number {
      const { itemClass, row } = compared;
      totals.items += 1;
      classes[itemClass] += 1;
      if (row !== null) kept.add(row.index);
      const code = itemClass === "failed" ? (row?.errorCode ?? null) : null;
      if (code !== null) failedByCode[code] = (failedByCode[code] ?? 0) + 1;
      addWork(item, compared);
      return totals.items;
    },
    counts: () => ({ ...totals, classes, failedByCode, gone: kept.unmarked() }),
  };
}

interface Following {
  readonly signal: AbortSignal;
  /** Told how many have been counted. */
  readonly onItem?: ((items: number) => void) | undefined;
}

/** A bit a row. Of several rows of one item only the first is ever found. */
function createMarks({ rows, items }: EarlierRows) {
  const bits = new Uint8Array(Math.ceil(rows / 8));
  let marked = 0;
  return {
    add(row: number) {
      const bit = 1 << (row & 7);
      const byte = bits[row >>> 3] ?? 0;
      if ((byte & bit) !== 0) return;
      bits[row >>> 3] = byte | bit;
      marked += 1;
    },
    unmarked: () => items - marked,
  };
}
