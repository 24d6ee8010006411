/**
 * One run as this worker serves it: its dataset, its queue, and the order at the end of a chunk. The order is the
 * promise: part committed, then counted, then acknowledged (by the consumer). A chunk that is counted, or whose part
 * exists, is never run again.
 */
import { chunkItems } from "../dataset/items.js";
import { readPartCounts } from "../dataset/part.js";
import type { RunHead } from "../dataset/run-head.js";
import { openRunStorage, readOwnHead } from "../dataset/run-storage.js";
import type { Storage } from "../dataset/storage/storage.js";
import type { ChunkRef } from "../shared/job.js";
import type { Redis } from "../shared/redis.js";
import { commitChunk, countedChunks, type RunRecord, requireRun } from "../shared/run-record.js";
import { openCarriedRows } from "./carried-rows.js";
import { finishRun } from "./finish.js";
import { runChunk } from "./pipeline.js";
import type { RunQueue } from "./run-queue.js";
import { createSegmentCache } from "./segment-cache.js";
import type { ChunkTurn, ServedRun } from "./serving.js";
import { createStages, type StageContext } from "./stages.js";

/** What every run of a worker shares. */
export type WorkerContext = Pick<
  StageContext,
  "fetcher" | "compute" | "window" | "limits" | "labels" | "meter" | "addRows"
> & {
  readonly redis: Redis;
  readonly openStorage: (location: string) => Storage;
  readonly openQueue: (runId: string) => Promise<RunQueue>;
  /** Told after each chunk that is counted; where it was the last of its run, the summary is there by then. */
  readonly onCounted: () => void;
};

/**
 * The dataset of a run, as found from its record, where that and the one that it is against can be read. Throws RUN_REPLACED
 * where one of them is another run's.
 */
export async function openRunDataset(
  record: RunRecord,
  openStorage: WorkerContext["openStorage"],
): Promise<{ head: RunHead; storage: Storage }> {
  const storage = openStorage(record.out);
  const head = await readOwnHead(storage, record);
  const { against } = head.identity;
  if (against !== undefined) await readOwnHead(openStorage(against.out), against);
  return { head, storage: openRunStorage(storage, record) };
}

export async function openServedRun(
  dataset: { head: RunHead; storage: Storage },
  context: WorkerContext,
  own: Pick<ServedRun, "priority" | "leave">,
): Promise<ServedRun> {
  const { head, storage } = dataset;
  const { redis } = context;
  const queue = await context.openQueue(head.runId);
  const stageContext = {
    ...context,
    ...dataset,
    segments: createSegmentCache(storage),
    carried: openCarriedRows(head.identity, context.openStorage),
  };
  return {
    runId: head.runId,
    queue,
    chunkItems: head.identity.chunkSize,
    async serve(ref, turn) {
      const [isCounted] = await turn.outlast(() => countedChunks(redis, head.runId, [ref.chunk]));
      if (isCounted) return { isFound: true };
      const count = await countChunk(ref, stageContext, turn);
      await turn.outlast(() => commitChunk(redis, head, count));
      await turn.outlast(async () => finishRun(await requireRun(redis, head), { redis, head, storage }));
      context.onCounted();
      return { isFound: count.engine === null };
    },
    ...own,
    close: () => queue.close(),
  };
}

/** A retry makes no part of a chunk in which it changes no row: that stands in the dataset that it mends. Null for all others. */
async function countUntouched(ref: ChunkRef, { head, segments, carried }: StageContext) {
  if (head.identity.retry === undefined || carried === null) return null;
  const items = chunkItems(await segments.get(ref), ref.chunk);
  if (!items.every(({ carry }) => carry?.ask === false)) return null;
  const counts = await carried.countsOf(ref.chunk);
  return { ...counts, duplicates: 0, carried: counts.items };
}

/** Finds the chunk's part or makes it; either way, what is to be counted. */
async function countChunk(ref: ChunkRef, context: StageContext, turn: ChunkTurn) {
  const { head, storage, compute, limits } = context;
  const committed = await turn.outlast(() => readPartCounts(storage, ref.chunk, head.identity.format));
  const found = committed ?? (await turn.outlast(() => countUntouched(ref, context)));
  if (found !== null)
    return { chunk: ref.chunk, ...found, busy: { fetchMs: 0, decodeMs: 0, inferMs: 0, workMs: 0 }, engine: null };
  const rest = limits.working();
  const stages = createStages(context, turn);
  try {
    const counts = await runChunk(ref, stages);
    context.meter.committed(counts);
    return {
      chunk: ref.chunk,
      ...counts,
      busy: limits.takeBusy(),
      engine: { name: compute.report.engine, why: compute.report.why },
    };
  } finally {
    stages.close();
    rest();
  }
}
