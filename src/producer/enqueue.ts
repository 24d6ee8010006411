/**
 * The producer: pins a source's items in the dataset, segment by segment, and queues a job for each chunk once its
 * segment is durable. Doing it again goes on behind the last pinned segment and queues again what is not counted, so it
 * serves the first submission, the resume after an interrupt, and the repair after a loss of Redis alike.
 */
import {
  pinSegment,
  readSealed,
  readSegment,
  readSegments,
  type Sealed,
  type Segment,
  sealItems,
} from "../dataset/items.js";
import type { RunHead } from "../dataset/run-head.js";
import type { Storage } from "../dataset/storage/storage.js";
import { readSummary } from "../dataset/summary.js";
import { isCode, LabelmillError } from "../shared/errors.js";
import type { Outages } from "../shared/outages.js";
import type { Redis } from "../shared/redis.js";
import { countedChunks, createRun, growRun, type RunPolicy, readRun, sealRun } from "../shared/run-record.js";
import { cutSegments, type ListPosition, positionAfter } from "./chunk.js";
import { dropQueue, isQueueEmpty, queueChunks } from "./chunk-queue.js";
import { countsSince, sumCounts } from "./counts.js";
import { createSeenUris, type SeenUris } from "./seen-uris.js";
import type { Source } from "./source/source.js";
import { vetItems } from "./vet-item.js";
import { dropSeen, takeItems } from "./wanted-items.js";

export interface EnqueueContext {
  readonly head: RunHead;
  readonly storage: Storage;
  readonly redis: Redis;
  readonly source: Source;
  readonly outages: Outages;
  readonly signal: AbortSignal;
  /** Called after each segment, with the totals so far. */
  readonly onPinned?: (pinned: { items: number; chunks: number }) => void;
}

/**
 * Makes the run's record, so that workers may serve it, or finds it; either way with this policy. `reopened`: the run had
 * been cancelled, and is taken up again where it was. Throws RUN_RECORD_LOST. The summary is written before the record says
 * `completed`: without one, the dataset was changed since, and the record is of rows that may be gone. Then it is made
 * anew, and every chunk is looked at again.
 */
export async function registerRun({
  head,
  storage,
  redis,
  policy,
}: Pick<EnqueueContext, "head" | "storage" | "redis"> & { readonly policy: RunPolicy }): Promise<
  "created" | "found" | "reopened"
> {
  const record = await readRun(redis, head.runId);
  const isStale = record?.state === "completed" && record.epoch === head.epoch && (await readSummary(storage)) === null;
  return createRun(redis, { ...head, ...policy, out: storage.location, isStale });
}

/**
 * Pins and queues the whole source of a registered run, paused or not. Returns the sealed list's totals. Throws
 * RUN_INTERRUPTED where `signal` aborts, and RUN_CANCELLED, with nothing left in the queue.
 */
export async function enqueueRun(context: EnqueueContext): Promise<Sealed> {
  const { head, redis, outages, signal } = context;
  try {
    const sealed = await pinAll(context);
    await outages.outlast(() => sealRun(redis, head), signal);
    return sealed;
  } catch (error) {
    // What was queued since the cancel removed the queue.
    if (isCode(error, "RUN_CANCELLED")) await dropQueue(redis, head);
    throw error;
  }
}

/**
 * Queues the chunks of a sealed run that are neither counted nor queued. Only needed where a job was lost or refused;
 * does nothing while any chunk is queued or in work.
 */
export async function requeueLostChunks(context: Pick<EnqueueContext, "head" | "storage" | "redis">): Promise<number> {
  if (!(await isQueueEmpty(context.redis, context.head.runId))) return 0;
  let queued = 0;
  for await (const segment of readSegments(context.storage)) queued += await queueSegment(context, segment);
  return queued;
}

/** Whether the list of the run in `storage` is whole; then its source is not needed any more. */
export async function isListPinned(storage: Storage): Promise<boolean> {
  return (await readSealed(storage)) !== null;
}

/** Throws RUN_SOURCE_EMPTY where the source has no item; called before anything is written. */
export async function requireItems(source: Source, name: string): Promise<void> {
  for await (const _ of source.items(null)) return;
  const left = Object.entries(source.leftOut()).map(([reason, n]) => `${n} left out: ${reason}`);
  throw new LabelmillError("RUN_SOURCE_EMPTY", { source: name, reason: left.join(", ") || "it is empty" });
}

/** Where the source goes on behind the last pinned segment, and what it has left out before. */
type SourcePosition = Pick<Segment, "resumeToken" | "leftOut">;

async function pinAll(context: EnqueueContext): Promise<Sealed> {
  const { storage, outages, signal } = context;
  const outlast = <T>(action: () => Promise<T>) => outages.outlast(action, signal);
  let position: ListPosition = { segment: 0, chunk: 0, item: 0 };
  let last: SourcePosition = { resumeToken: null, leftOut: {} };
  while (true) {
    if (signal.aborted) throw new LabelmillError("RUN_INTERRUPTED");
    const segment = await outlast(() => readSegment(storage, position.segment));
    if (segment !== null) {
      await outlast(() => queueSegment(context, segment));
      position = positionAfter(segment);
      last = segment;
      continue;
    }
    const sealed = (await outlast(() => readSealed(storage))) ?? (await pinRest(context, position, last));
    if (sealed !== null) return sealed;
  }
}

/** Pins what the source holds behind `position`, and seals. Null where another producer pinned a segment first. */
async function pinRest(
  { head, storage, redis, source, outages, signal, onPinned }: EnqueueContext,
  start: ListPosition,
  last: SourcePosition,
): Promise<Sealed | null> {
  const { limit, chunkSize, dedupe } = head.identity;
  const before = { ...source.leftOut() };
  const duplicates = { "duplicate uri": 0 };
  const leftOut = () => sumCounts([last.leftOut, countsSince(before, { ...source.leftOut(), ...duplicates })]);
  const given = vetItems(source.items(last.resumeToken));
  const wanted = dedupe === "none" ? given : dropSeen(given, await pinnedUris(storage, start.segment), duplicates);
  const items = takeItems(wanted, limit === null ? Number.POSITIVE_INFINITY : limit - start.item, signal);
  let position = start;
  for await (const cut of cutSegments(items, start, chunkSize)) {
    const segment = { ...cut, leftOut: leftOut() };
    const { sha256, created } = await outages.outlast(() => pinSegment(storage, segment), signal);
    if (!created) return null;
    position = positionAfter(segment);
    await outages.outlast(() => queueSegment({ head, redis }, { ...segment, sha256 }), signal);
    onPinned?.({ items: position.item, chunks: position.chunk });
  }
  const totals = { segments: position.segment, chunks: position.chunk, items: position.item };
  return outages.outlast(() => sealItems(storage, { ...totals, leftOut: leftOut() }), signal);
}

/** The uris of the segments before number `end`: what an interrupted pass has kept. */
async function pinnedUris(storage: Storage, end: number): Promise<SeenUris> {
  const seen = createSeenUris();
  for (let n = 0; n < end; n += 1) {
    for (const { uri, failure } of (await readSegment(storage, n))?.items ?? [])
      if (failure === undefined) seen.add(uri);
  }
  return seen;
}

/** Counts a durable segment into the record and queues its uncounted chunks. Returns how many. */
async function queueSegment(
  { head, redis }: Pick<EnqueueContext, "head" | "redis">,
  segment: Segment & { sha256: string },
): Promise<number> {
  const end = positionAfter(segment);
  await growRun(redis, head, { segment: segment.segment, chunks: end.chunk, items: end.item });
  const chunks = Array.from({ length: segment.chunks }, (_, i) => segment.firstChunk + i);
  const counted = await countedChunks(redis, head.runId, chunks);
  const open = chunks.filter((_, i) => counted[i] !== true);
  if (open.length > 0) await queueChunks(redis, head.runId, segment, open);
  return open.length;
}
