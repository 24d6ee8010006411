/**
 * The real steps of a chunk's way, for one run: pinned items, fetch, prediction, row, part. Built by `served-run.ts`,
 * driven by `pipeline.ts`. Fetch and prediction share the process's limits with every other chunk.
 */
import { chunkItems, type PinnedItem } from "../dataset/items.js";
import { commitPart } from "../dataset/part.js";
import type { PartCounts } from "../dataset/row.js";
import type { RunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import type { ChunkRef } from "../shared/job.js";
import { version } from "../shared/version.js";
import type { ComputeClient } from "./compute-client/client.js";
import type { Admit, Fetcher } from "./fetch/fetcher.js";
import { mapAsDone, mapOrdered } from "./map-ordered.js";
import { failedWith } from "./outcome.js";
import type { FetchedItem, PredictedItem, Stages } from "./pipeline.js";
import type { ProcessLimits } from "./process-limits.js";
import { toRow } from "./rows.js";
import type { SegmentCache } from "./segment-cache.js";
import type { ChunkTurn } from "./serving.js";

export interface StageContext {
  readonly head: RunHead;
  readonly storage: Storage;
  readonly segments: SegmentCache;
  readonly fetcher: Fetcher;
  readonly compute: ComputeClient;
  readonly limits: ProcessLimits;
  readonly labels: readonly string[];
  /** Told how many rows more, or fewer, are made and not committed. */
  readonly addRows: (delta: number) => void;
}

/** The stages of one chunk; `close` them, also after a failure. */
export function createStages(
  context: StageContext,
  { order, attempt, signal, outlast }: ChunkTurn,
): Stages & { close(): void } {
  const { head, storage, segments, compute, limits, labels } = context;
  const startedAt = new Date().toISOString();
  const bytesHeld = createByteHold(limits);
  let rowsInHand = 0;
  return {
    async items(chunk) {
      return chunkItems(await outlast(() => segments.get(chunk)), chunk.chunk);
    },
    // Any number of items may wait for a slow host: they hold no slot of `admitFetch`, and no other item waits for them.
    fetch: (items) =>
      mapAsDone(items, {
        slots: limits.aheadSlots,
        order,
        signal,
        work: (item) => fetchItem(item, context, bytesHeld, { order, signal, outlast }),
      }),
    predict: (items) =>
      mapOrdered(items, {
        slots: limits.predictSlots,
        order,
        signal,
        work: (item) => predictItem(item, context, bytesHeld),
      }),
    toRow(item) {
      rowsInHand += 1;
      context.addRows(1);
      return toRow(head, labels, item);
    },
    async commit(chunk: ChunkRef, rows): Promise<PartCounts> {
      const { engine, why: whyEngine, batchSize, whyBatchSize, embeddingWidth } = compute.report;
      const making = {
        engine,
        whyEngine,
        batchSize,
        whyBatchSize,
        attempts: attempt,
        workerVersion: version,
        startedAt,
        finishedAt: new Date().toISOString(),
      };
      const draft = { head, chunk: chunk.chunk, rows, making, embeddingWidth };
      const { counts } = await outlast(() => commitPart(storage, draft));
      return counts;
    },
    close() {
      bytesHeld.close();
      context.addRows(-rowsInHand);
    },
  };
}

/** What one chunk holds of the process's bytes; closing lets go of all of it, also of what an abort left behind. */
interface ByteHold {
  add(bytes: number): void;
  close(): void;
}

function createByteHold(limits: ProcessLimits): ByteHold {
  let held = 0;
  let isClosed = false;
  return {
    add(bytes) {
      if (isClosed) return;
      held += bytes;
      limits.holdBytes(bytes);
    },
    close() {
      limits.holdBytes(-held);
      isClosed = true;
    },
  };
}

async function fetchItem(
  item: PinnedItem,
  { fetcher, limits }: StageContext,
  hold: ByteHold,
  { order, signal, outlast }: Pick<ChunkTurn, "order" | "signal" | "outlast">,
): Promise<FetchedItem> {
  if (item.failure !== undefined) return { item, fetched: failedWith(item.failure) };
  const admit: Admit = (place) => limits.admitFetch(place, order);
  const fetched = await outlast(() => limits.fetching(() => fetcher.fetch(item.uri, signal, admit)));
  if (fetched.ok) hold.add(fetched.value.bytes.length);
  return { item, fetched };
}

async function predictItem(
  { item, fetched }: FetchedItem,
  { compute, head }: StageContext,
  hold: ByteHold,
): Promise<PredictedItem> {
  if (!fetched.ok) return { item, facts: null, prediction: fetched };
  const { bytes, ...rest } = fetched.value;
  const prediction = await compute.predict(bytes, head.identity.topK);
  hold.add(-bytes.length);
  return { item, facts: { ...rest, byteLength: bytes.length }, prediction };
}
