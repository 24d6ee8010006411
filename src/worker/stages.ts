/**
 * The real steps of a chunk's way, for one run: pinned items, fetch, prediction, row, part. Built by `served-run.ts`,
 * driven by `pipeline.ts`. Fetch and prediction share the process's limits with every other chunk.
 */
import { chunkItems, type PinnedItem } from "../dataset/items.js";
import { commitPart } from "../dataset/part.js";
import type { RunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import type { ChunkRef } from "../shared/job.js";
import { version } from "../shared/version.js";
import type { ComputeClient } from "./compute-client/client.js";
import type { Admit, Fetcher } from "./fetch/fetcher.js";
import type { WorkerMeter } from "./health/meter.js";
import { mapAsDone } from "./map-ordered.js";
import { failedWith } from "./outcome.js";
import type { FetchedItem, PredictedItem, Stages } from "./pipeline.js";
import type { ModelTurn, PredictionWindow } from "./prediction-window.js";
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
  /** In front of `compute`. */
  readonly window: PredictionWindow;
  readonly limits: ProcessLimits;
  readonly labels: readonly string[];
  readonly meter: WorkerMeter;
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
  let duplicates = 0;
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
      mapAsDone(items, {
        slots: limits.predictSlots,
        order,
        signal,
        work: (item, release) => predictItem(item, context, bytesHeld, { order, signal, release }),
      }),
    toRow(item) {
      rowsInHand += 1;
      context.addRows(1);
      context.meter.stepped();
      // What could not be decoded did not reach the model in the first place.
      if (item.isDuplicate && item.prediction.ok) duplicates += 1;
      return toRow(head, labels, item);
    },
    async commit(chunk: ChunkRef, rows) {
      const { engine, why: whyEngine, batchSize, whyBatchSize, embeddingWidth } = compute.report;
      const making = {
        engine,
        whyEngine,
        batchSize,
        whyBatchSize,
        attempts: attempt,
        duplicates,
        workerVersion: version,
        startedAt,
        finishedAt: new Date().toISOString(),
      };
      const draft = { head, chunk: chunk.chunk, rows, making, embeddingWidth };
      const { counts } = await outlast(() => timeCommit(context.meter, () => commitPart(storage, draft)));
      return counts;
    },
    close() {
      bytesHeld.close();
      context.addRows(-rowsInHand);
    },
  };
}

function timeCommit<T>(meter: WorkerMeter, commit: () => Promise<T>): Promise<T> {
  const end = meter.begin("commit");
  return commit().finally(end);
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
  { fetcher, limits, meter }: StageContext,
  hold: ByteHold,
  { order, signal, outlast }: Pick<ChunkTurn, "order" | "signal" | "outlast">,
): Promise<FetchedItem> {
  if (item.failure !== undefined) return { item, fetched: failedWith(item.failure) };
  const admit: Admit = async (place) => {
    const release = await limits.admitFetch(place, order);
    const end = meter.begin("fetch");
    return () => {
      end();
      release();
    };
  };
  const fetched = await outlast(() => limits.fetching(() => fetcher.fetch(item.uri, signal, admit)));
  meter.stepped();
  if (fetched.ok) hold.add(fetched.value.bytes.length);
  return { item, fetched };
}

interface PredictTurn extends Pick<ChunkTurn, "order" | "signal"> {
  /** Gives the slot back that the item has. */
  readonly release: () => void;
}

/** Its bytes are held until there is an outcome: whoever waits for the same image may have to be tried after all. */
async function predictItem(
  { item, fetched }: FetchedItem,
  { compute, window, limits, head }: StageContext,
  hold: ByteHold,
  { order, signal, release }: PredictTurn,
): Promise<PredictedItem> {
  if (!fetched.ok) return { item, facts: null, prediction: fetched, isDuplicate: false };
  const { bytes, ...rest } = fetched.value;
  const { topK, embedding } = head.identity;
  let leave = release;
  const turn: ModelTurn = {
    predict: () => compute.predict(bytes, topK),
    leave: () => leave(),
    async comeBack() {
      signal.throwIfAborted();
      leave = await limits.predictSlots.acquire(order);
      signal.throwIfAborted();
    },
  };
  const image = {
    item: `${head.runId}/${item.index}`,
    sha256: rest.sha256,
    topK,
    wantsEmbedding: embedding !== "none",
  };
  try {
    const { prediction, isDuplicate } = await window.answer(image, turn);
    hold.add(-bytes.length);
    return { item, facts: { ...rest, byteLength: bytes.length }, prediction, isDuplicate };
  } finally {
    leave();
  }
}
