/**
 * `run`: the producer and a worker in one process, until every item is a row. It composes rooms and waits; what a run is
 * stands in the dataset and in the run record.
 */
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sealed } from "../dataset/items.js";
import { createRunHead, type RunHead, readRunHead } from "../dataset/run-head.js";
import { openRunStorage } from "../dataset/run-storage.js";
import type { Storage } from "../dataset/storage/storage.js";
import { readSummary, type Summary } from "../dataset/summary.js";
import { dropQueue } from "../producer/chunk-queue.js";
import { enqueueRun, requeueLostChunks } from "../producer/enqueue.js";
import type { Submission } from "../producer/submission.js";
import { isCode, LabelmillError, messageOf } from "../shared/errors.js";
import { createIdler, type Idler } from "../shared/idler.js";
import type { Log } from "../shared/log.js";
import { createOutages, type Outages } from "../shared/outages.js";
import type { Redis } from "../shared/redis.js";
import { type RunRecord, requireRun } from "../shared/run-record.js";
import type { WebAccess } from "../worker/fetch/open-fetcher.js";
import { finishRun } from "../worker/finish.js";
import { describeModel } from "../worker/model/describe-model.js";
import type { Worker } from "../worker/start.js";
import { type CallContext, type CallOptions, interruption, resolveCall, unlessInterrupted } from "./context.js";
import type { DeliveriesProgress } from "./deliveries.js";
import { ensureModel } from "./ensure-model.js";
import { findFinished } from "./finished.js";
import { findGrown, type Grown } from "./grown.js";
import { startToldWorker } from "./health.js";
import { openCall, requireItemsOnce } from "./open-call.js";
import { createDatasetOpener } from "./open-dataset.js";
import { createPauseNotice, registerAsWished } from "./register.js";
import { prepareDelivery, type WithDelivery } from "./run-delivery.js";
import { prepareRedis, type RunRedis } from "./run-redis.js";
import { readWebAccess } from "./web-access.js";

export interface RunProgress {
  /** Items of the whole run; null while the source is still being read. */
  readonly items: number | null;
  readonly pinned: number;
  /** Rows committed, and made by this process but not committed yet. */
  readonly done: number;
  readonly failed: number;
  readonly failuresByCode: Readonly<Record<string, number>>;
}

export interface RunOptions extends CallOptions {
  /** Called twice a second, and after each chunk. */
  readonly onProgress?: (progress: RunProgress) => void;
  /** Called while a complete run waits for its sinks. */
  readonly onDelivery?: (progress: DeliveriesProgress) => void;
  /** Called once, when the dataset exists and work begins. */
  readonly onStart?: (run: RunStart) => void;
}

export interface RunResult {
  readonly summary: Summary;
  /** The dataset was complete before; nothing was done. */
  readonly wasComplete: boolean;
  /** With `wasComplete`: what its sources hold by now that it lacks; null where that is not known. */
  readonly grown: Grown | null;
}

/** A run whose work begins. */
export interface RunStart {
  readonly runId: string;
  readonly out: string;
  /** What executes the model here: `onnx/cpu`. */
  readonly engine: string;
  readonly whyEngine: string;
  /** Most images of one model call. */
  readonly batchSize: number;
  readonly whyBatchSize: string;
}

const watchEveryMs = 500;
const repairEveryMs = 5_000;
const settleWithinMs = 1_000;

/**
 * Labels every item of `sources` (directories, globs, lists, tables, tar shards, buckets, web addresses, `-`) into one dataset,
 * and waits for it. The same call goes on where it was interrupted. Throws `LabelmillError`: OPTION_*, RUN_*, REDIS_*,
 * STORAGE_*, MODEL_*, ENGINE_*.
 */
export async function run(sources: string | readonly string[], given: RunOptions = {}): Promise<RunResult> {
  const { onProgress = () => {}, onStart = () => {}, onDelivery = () => {}, ...call } = given;
  const context = resolveCall(call);
  try {
    return await runIn(context, [sources].flat(), { onProgress, onStart, onDelivery });
  } finally {
    context.release();
  }
}

async function runIn(
  context: CallContext,
  sources: readonly string[],
  { onDelivery, ...hooks }: Required<Pick<RunOptions, "onProgress" | "onStart" | "onDelivery">>,
): Promise<RunResult> {
  const { options, places } = context;
  const withDelivery = await prepareDelivery(context, onDelivery);
  const web = await readWebAccess(options, places);
  const model = await describeModel(places.cacheDir, options.model, options.precision);
  const submission = await openCall(context, sources, { model, web });
  return runSubmission(context, submission, { web, name: sources.join(", "), withDelivery, ...hooks });
}

interface SubmissionSettings extends Pick<ActiveRun, "web" | "onProgress" | "onStart"> {
  /** Of the sources, for messages. */
  readonly name: string;
  /** @default no delivery */
  readonly withDelivery?: WithDelivery;
}

/** Does a run as it was asked for, or what is left of it. */
export async function runSubmission(
  context: CallContext,
  submission: Submission,
  { web, name, withDelivery = (_, work) => work(), ...hooks }: SubmissionSettings,
): Promise<RunResult> {
  const place = createDatasetOpener(context)(submission.out);
  const finished = await unlessInterrupted(context.signal, findFinished(place, submission.identity));
  if (finished !== null) {
    const dataset = { head: await readRunHead(place), storage: place };
    const grown = await findGrown(context, submission, place);
    return withDelivery(dataset, async () => ({ summary: finished, wasComplete: true, grown }));
  }
  await requireItemsOnce(context, submission, place, name);
  await ensureModel(context);
  const openRedis = await prepareRedis(context);
  const { head } = await unlessInterrupted(context.signal, createRunHead(place, submission.identity));
  const storage = openRunStorage(place, head);
  const outages = createOutages({ storageTimeoutMs: context.options.outageTimeoutMs, log: context.log });
  const redis = await openRedis({ runId: head.runId, out: storage.location });
  let isFinished = false;
  try {
    const active = { context, submission, storage, head, redis, outages, web, ...hooks };
    const done: Promise<RunResult> = withDelivery({ head, storage }, async () => {
      const summary = await runToTheEnd(active).catch((error: unknown) => endedOtherwise(active, error));
      isFinished = true;
      return { summary, wasComplete: false, grown: null };
    });
    return await done;
  } finally {
    await redis.close({ discard: isFinished });
  }
}

/** Two commands of one run share a private server; the one that finishes the run ends the server under the other. */
async function endedOtherwise({ context, storage, head, redis }: ActiveRun, error: unknown): Promise<Summary> {
  if (isCode(error, "RUN_CANCELLED")) await dropLateJobs(redis.redis, head, context.log);
  const summary = isCode(error, "REDIS_SERVER_FAILED") ? await readSummary(storage) : null;
  if (summary === null) throw error;
  return summary;
}

/** What was queued since the cancel removed the queue. A Redis that is silent just now is not waited for. */
async function dropLateJobs(redis: Redis, head: RunHead, log: Log): Promise<void> {
  const dropping = dropQueue(redis, head).catch((error: unknown) => {
    log.warn("jobs of the run may be left; labelmill runs cancel removes them", { error: messageOf(error) });
  });
  await Promise.race([dropping, sleep(settleWithinMs, undefined, { ref: false })]);
}

interface ActiveRun {
  readonly context: CallContext;
  readonly submission: Submission;
  readonly storage: Storage;
  readonly head: RunHead;
  readonly redis: RunRedis;
  readonly outages: Outages;
  readonly web: WebAccess;
  readonly onProgress: (progress: RunProgress) => void;
  readonly onStart: (run: RunStart) => void;
}

async function runToTheEnd(active: ActiveRun): Promise<Summary> {
  const { context, submission, storage, head, outages, onStart } = active;
  const { redis } = active.redis;
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const registering = registerAsWished({ ...context, head, storage, outages, redis: active.redis }, signal);
  await Promise.race([registering, interruption(context.signal)]);
  const producer = enqueueRun({ head, storage, redis, source: submission.source, outages, signal });
  producer.catch(() => {});
  let worker: Worker | null = null;
  try {
    const idle = createIdler(signal);
    worker = await startOwnWorker(active, idle.end);
    const { engine, whyEngine, batchSize, whyBatchSize } = worker;
    onStart({ runId: head.runId, out: storage.location, engine, whyEngine, batchSize, whyBatchSize });
    // The first to settle decides: the summary, or whatever ends the run early.
    return await Promise.race([
      watch(active, { worker, producer, idle, signal }),
      neverUnlessFails(producer),
      neverUnlessFails(worker.ended),
      active.redis.lost,
      interruption(context.signal),
    ]);
  } finally {
    stop.abort();
    await worker
      ?.close(context.options.drainTimeoutMs)
      .catch((error: unknown) => context.log.debug("worker ended", { error: messageOf(error) }));
    // Where Redis is silent it would never settle; the connection is closed next, which ends it.
    await Promise.race([producer.catch(() => {}), sleep(settleWithinMs, undefined, { ref: false })]);
  }
}

function startOwnWorker(
  { context, submission, head, redis, outages, web }: ActiveRun,
  onCounted: () => void,
): Promise<Worker> {
  const { options, places, log } = context;
  const allowRoots = [...options.allowRoot.map((root) => resolve(places.cwd, root)), ...submission.source.roots];
  const openStorage = createDatasetOpener(context);
  const own = { onlyRun: head.runId, allowRoots, web, openStorage, outages, log, onCounted };
  return startToldWorker({ redis: redis.redis, options, host: places, ...own });
}

interface Watched {
  readonly worker: Worker;
  readonly producer: Promise<Sealed>;
  /** Ended by each chunk that our worker has counted, so that the end is seen at once. */
  readonly idle: Idler;
  readonly signal: AbortSignal;
}

/** Reports progress until the run is over, and queues lost chunks again. Throws RUN_CANCELLED. */
async function watch(active: ActiveRun, { worker, producer, idle, signal }: Watched): Promise<Summary> {
  const { head, storage, context, outages } = active;
  const { redis } = active.redis;
  let isSealed = false;
  let repairAtMs = performance.now() + repairEveryMs;
  const noticePause = createPauseNotice(context.log, head.runId);
  producer.then(
    ({ leftOut }) => {
      isSealed = true;
      for (const [reason, n] of Object.entries(leftOut)) context.log.info(`left out ${n}: ${reason}`);
    },
    // Ends the run through its own race in `runToTheEnd`.
    () => {},
  );
  while (true) {
    const record = await outages.outlast(() => requireRun(redis, head), signal);
    if (record.state === "cancelled") throw new LabelmillError("RUN_CANCELLED", { runId: head.runId });
    noticePause(record.state);
    active.onProgress(progressOf(record, isSealed, worker.rowsInHand()));
    const summary = await outages.outlast(() => finishRun(record, { redis, head, storage }), signal);
    if (summary !== null) return summary;
    if (isSealed && performance.now() > repairAtMs) {
      const queued = await outages.outlast(() => requeueLostChunks({ head, storage, redis }), signal);
      if (queued > 0) context.log.warn("queued lost chunks again", { runId: head.runId, chunks: queued });
      repairAtMs = performance.now() + repairEveryMs;
    }
    await idle.wait(watchEveryMs);
    signal.throwIfAborted();
  }
}

function progressOf(record: RunRecord, isSealed: boolean, rowsInHand: number): RunProgress {
  const { items, ok, failed, failuresByCode } = record;
  return { items: isSealed ? items : null, pinned: items, done: ok + failed + rowsInHand, failed, failuresByCode };
}

async function neverUnlessFails(task: Promise<unknown>): Promise<never> {
  await task;
  return new Promise(() => {});
}
