/**
 * The real steps of a chunk's way, for one run: pinned items, fetch, prediction, row, part. Built by `served-run.ts`,
 * driven by `pipeline.ts`. Fetch and prediction share the process's limits with every other chunk.
 */
import { chunkItems, type PinnedItem } from "../dataset/items.js";
import { commitPart } from "../dataset/part.js";
import type { Row } from "../dataset/row.js";
import type { RunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import type { ChunkRef } from "../shared/job.js";
import { version } from "../shared/version.js";
import type { CarriedRows } from "./carried-rows.js";
import type { ComputeClient } from "./compute-client/client.js";
import type { Admit, FetchedBytes, Fetcher } from "./fetch/fetcher.js";
import type { WorkerMeter } from "./health/meter.js";
import { mapAsDone } from "./map-ordered.js";
import { failedWith, type Outcome } from "./outcome.js";
import type { FetchedFacts, FetchedItem, PredictedItem, Stages } from "./pipeline.js";
import type { ModelTurn, PredictionWindow } from "./prediction-window.js";
import type { ProcessLimits } from "./process-limits.js";
import { toRow } from "./rows.js";
import type { SegmentCache } from "./segment-cache.js";
import type { ChunkTurn } from "./serving.js";

export interface StageContext {
  readonly head: RunHead;
  readonly storage: Storage;
  readonly segments: SegmentCache;
  /** Null where every row is made. */
  readonly carried: CarriedRows | null;
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
  const { head, storage, segments, carried, compute, limits, labels } = context;
  const startedAt = new Date().toISOString();
  const bytesHeld = createByteHold(limits);
  let rowsInHand = 0;
  let duplicates = 0;
  let carriedRows = 0;
  let earlier: ReadonlyMap<number, Row> = new Map();
  return {
    async items(chunk) {
      const items = chunkItems(await outlast(() => segments.get(chunk)), chunk.chunk);
      const wanted = items.filter(({ carry }) => carry !== undefined);
      if (carried !== null && wanted.length > 0) earlier = await outlast(() => carried.load(wanted));
      return items;
    },
    // Any number of items may wait for a slow host: they hold no slot of `admitFetch`, and no other item waits for them.
    fetch: (items) =>
      mapAsDone(items, {
        slots: limits.aheadSlots,
        order,
        signal,
        work: (item) => fetchItem(item, earlier.get(item.index), { context, hold: bytesHeld, order, signal, outlast }),
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
      if ("carried" in item) carriedRows += 1;
      else if (item.isDuplicate && item.prediction.ok) duplicates += 1;
      return toRow(head, labels, item);
    },
    async commit(chunk: ChunkRef, rows) {
      const counts = { attempts: attempt, duplicates, carried: carriedRows };
      const making = { ...enginePart(compute.report), ...counts, startedAt, finishedAt: new Date().toISOString() };
      const { embeddingWidth } = compute.report;
      const draft = { head, chunk: chunk.chunk, rows, making, embeddingWidth };
      return (await outlast(() => timeCommit(context.meter, () => commitPart(storage, draft)))).counts;
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

/** What a part's footer says of who made it. */
function enginePart({ engine, why: whyEngine, batchSize, whyBatchSize }: ComputeClient["report"]) {
  return { engine, whyEngine, batchSize, whyBatchSize, workerVersion: version };
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

interface FetchTurn extends Pick<ChunkTurn, "order" | "signal" | "outlast"> {
  readonly context: StageContext;
  readonly hold: ByteHold;
}

/** `row` is what may be carried over, if anything may. */
async function fetchItem(item: PinnedItem, row: Row | undefined, turn: FetchTurn): Promise<FetchedItem> {
  if (row !== undefined && item.carry?.ask !== true) return { item, carried: { row, facts: null } };
  if (item.failure !== undefined) return { item, fetched: failedWith(item.failure) };
  const { context, order, signal, outlast } = turn;
  const { fetcher, limits } = context;
  const admit = admission(context, order);
  if (row === undefined)
    return held(item, await outlast(() => limits.fetching(() => fetcher.fetch(item.uri, signal, admit))), turn);
  const fetched = await outlast(() => limits.fetching(() => fetchUnlessSame(fetcher, row, signal, admit)));
  if (fetched === "unchanged") return { item, carried: { row, facts: null } };
  // One that failed is tried again: which failures the bytes alone decide is not known here.
  if (fetched.ok && row.status === "ok" && fetched.value.sha256 === row.sha256)
    return { item, carried: { row, facts: factsOf(fetched.value) } };
  return held(item, fetched, turn);
}

/** Counts the time in which a fetch has its place. */
function admission({ limits, meter }: StageContext, order: number): Admit {
  return async (place) => {
    const release = await limits.admitFetch(place, order);
    const end = meter.begin("fetch");
    return () => {
      end();
      meter.stepped();
      release();
    };
  };
}

/** Asks the place of `row` whether its bytes are the same, where it can be asked. */
async function fetchUnlessSame(
  fetcher: Fetcher,
  { uri, sha256, etag, modified_at: modifiedAt }: Row,
  signal: AbortSignal,
  admit: Admit,
): Promise<Outcome<FetchedBytes> | "unchanged"> {
  if (sha256 === null || fetcher.fetchUnless === undefined) return fetcher.fetch(uri, signal, admit);
  return fetcher.fetchUnless({ etag, modifiedAt }, uri, signal, admit);
}

function held(item: PinnedItem, fetched: Outcome<FetchedBytes>, { hold }: FetchTurn): FetchedItem {
  if (fetched.ok) hold.add(fetched.value.bytes.length);
  return { item, fetched };
}

function factsOf({ bytes, ...rest }: FetchedBytes): FetchedFacts {
  return { ...rest, byteLength: bytes.length };
}

interface PredictTurn extends Pick<ChunkTurn, "order" | "signal"> {
  /** Gives the slot back that the item has. */
  readonly release: () => void;
}

/** Its bytes are held until there is an outcome: whoever waits for the same image may have to be tried after all. */
async function predictItem(
  fetchedItem: FetchedItem,
  { compute, window, limits, head }: StageContext,
  hold: ByteHold,
  { order, signal, release }: PredictTurn,
): Promise<PredictedItem> {
  if ("carried" in fetchedItem) return fetchedItem;
  const { item, fetched } = fetchedItem;
  if (!fetched.ok) return { item, facts: null, prediction: fetched, isDuplicate: false };
  const { bytes, sha256 } = fetched.value;
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
    sha256,
    topK,
    wantsEmbedding: embedding !== "none",
  };
  try {
    const { prediction, isDuplicate } = await window.answer(image, turn);
    hold.add(-bytes.length);
    return { item, facts: factsOf(fetched.value), prediction, isDuplicate };
  } finally {
    leave();
  }
}
