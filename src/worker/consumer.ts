/**
 * The consumer: takes chunks as the scheduler says, keeps the locks of those in hand, and acknowledges them. It knows
 * nothing of images. A chunk in hand is in one of these states:
 *
 *   taken ── served, counted ──> acknowledged (off the queue)
 *     ├──── lock lost ─────────> abandoned: its work ends; another worker has it, or its run was cancelled
 *     ├──── not a job of ours ─> refused: off the queue, with an alarm; the producer queues the chunk again
 *     ├──── record lost ───────> abandoned: its queue is gone with it; the run is left, or the consumer ends
 *     ├──── drain time over ───> given back, for any worker to take at once
 *     ├──── dataset fails ─────> given back, and the run is left for a while, or the consumer ends where it has no other
 *     └──── infrastructure ────> given back, as is all else in hand, and the consumer ends with the error
 *
 * Trouble that may pass (no space, Redis out of memory) is waited for first, under the lock; meanwhile nothing is taken.
 */
import { setMaxListeners } from "node:events";
import { isCode, messageOf } from "../shared/errors.js";
import { createIdler, type Idler } from "../shared/idler.js";
import { parseChunkRef } from "../shared/job.js";
import { type Log, withFields } from "../shared/log.js";
import type { Outages } from "../shared/outages.js";
import { keepLock, LockLost } from "./chunk-lock.js";
import type { ChunkOutcome, WorkerMeter } from "./health/meter.js";
import type { TakenChunk } from "./run-queue.js";
import { createScheduler, type NextChunk } from "./scheduler.js";
import type { ChunkTurn, ServedRun } from "./serving.js";

export interface ConsumerSettings {
  /** The runs to serve now; called about once a second. A run that it no longer returns is closed. */
  readonly findRuns: () => Promise<readonly ServedRun[]>;
  readonly chunksInFlight: number;
  /** Whether the chunks in hand give the machine too little to do, so that more may be taken; asked some times a second. */
  readonly isStarving: () => boolean;
  readonly lockMs: number;
  /** Stands with the ids of run and chunk on every line of a chunk's work. */
  readonly workerId: string;
  readonly outages: Outages;
  readonly meter: WorkerMeter;
  readonly log: Log;
}

export interface Consumer {
  /** Resolves after `drain`; rejects with the infrastructure error that ended the consumer. */
  readonly ended: Promise<void>;
  /**
   * Takes no more; resolves when the chunks in hand are done, or after `timeoutMs` given back. Where Redis does not
   * answer even then, it resolves a little later, and the chunks go to others when their locks run out.
   */
  drain(timeoutMs: number): Promise<void>;
}

const shortestIdleMs = 20;
const longestIdleMs = 500;
/** Beyond `chunksInFlight`, for a worker that starves; a limit, as others may want the chunks too. */
const mostChunksInFlight = 16;
/** More than a process ever takes, so that a chunk's rank is its priority first. */
const chunksOfOnePriority = 2 ** 32;
/** How long it has to starve before more are taken: longer than a usual answer of a web server takes. */
const starvedMs = 100;
/** How soon a consumer whose places are all taken looks again; it asks nobody, unless an urgent run is there. */
const fullIdleMs = 50;
/** How long Redis may take to get the chunks back once the time to drain is over. */
const giveBackWithinMs = 3_000;

/** Starts consuming. */
export function startConsumer(settings: ConsumerSettings): Consumer {
  const stop = new AbortController();
  const giveUp = new AbortController();
  const abandon = new AbortController();
  const inHand = new Map<Promise<void>, ServedRun>();
  const scheduler = createScheduler(settings.findRuns, (run) => [...inHand.values()].includes(run));
  const idle = createIdler(stop.signal);
  let failed: { error: unknown } | null = null;
  let order = 0;
  const places = createPlaces(settings, inHand);

  const fail = (error: unknown) => {
    if (error instanceof Stopped) return;
    failed ??= { error };
    stop.abort(new Stopped());
    giveUp.abort(new GivenBack());
  };

  const start = (next: NextChunk) => {
    order += 1;
    settings.meter.tookChunk();
    const rank = order - next.run.priority() * chunksOfOnePriority;
    const work = serveTaken(next, { ...settings, order: rank, giveUp: giveUp.signal, forget: scheduler.forget })
      .catch(fail)
      .finally(() => {
        inHand.delete(work);
        places.shrink();
        idle.end();
      });
    inHand.set(work, next.run);
  };

  const done = takeUntilStopped(stop.signal, {
    scheduler,
    idle,
    takeAbove: places.takeAbove,
    start,
    outages: settings.outages,
    looked: settings.meter.looked,
  })
    .catch(fail)
    .then(async () => {
      await Promise.all(inHand.keys());
      await scheduler.close();
      if (failed !== null) throw failed.error;
    });
  const ended = Promise.race([done, whenAborted(abandon.signal).then(() => scheduler.close())]);
  // Awaited by the caller, perhaps later than it rejects.
  ended.catch(() => {});
  return {
    ended,
    async drain(timeoutMs) {
      stop.abort(new Stopped());
      const late = setTimeout(() => giveUp.abort(new GivenBack()), timeoutMs);
      const silent = setTimeout(() => abandon.abort(), timeoutMs + giveBackWithinMs);
      await ended.finally(() => [late, silent].forEach(clearTimeout));
      if (abandon.signal.aborted) settings.log.warn(redisSilentMessage);
    },
  };
}

interface Places {
  /** The priority above which a chunk may be taken. */
  readonly takeAbove: () => number;
  /** A chunk has left. */
  shrink(): void;
}

/** How many chunks may be in hand: more while the worker starves, and at once where an urgent run is there. */
function createPlaces(
  { chunksInFlight, isStarving }: ConsumerSettings,
  inHand: ReadonlyMap<Promise<void>, ServedRun>,
): Places {
  const isStarved = createLaster(isStarving, starvedMs);
  let places = chunksInFlight;
  return {
    takeAbove() {
      // As many again as there are, so that a worker among slow hosts soon has enough in hand.
      if (isStarved()) places = Math.max(places, Math.min(mostChunksInFlight, 2 * inHand.size));
      if (inHand.size < places) return Number.NEGATIVE_INFINITY;
      if (inHand.size >= mostChunksInFlight) return Number.POSITIVE_INFINITY;
      return Math.max(...[...inHand.values()].map((run) => run.priority()));
    },
    shrink() {
      places = chunksInFlight;
    },
  };
}

/** Whether `is` has been true whenever it was asked for `ms`; then that time begins anew. */
function createLaster(is: () => boolean, ms: number): () => boolean {
  let sinceMs: number | null = null;
  return () => {
    const nowMs = performance.now();
    if (!is()) sinceMs = null;
    else sinceMs ??= nowMs;
    if (sinceMs === null || nowMs - sinceMs < ms) return false;
    sinceMs = nowMs;
    return true;
  };
}

interface Taking {
  readonly scheduler: ReturnType<typeof createScheduler>;
  readonly idle: Idler;
  readonly outages: Outages;
  readonly takeAbove: () => number;
  readonly start: (next: NextChunk) => void;
  readonly looked: () => void;
}

async function takeUntilStopped(
  stop: AbortSignal,
  { scheduler, idle, outages, takeAbove, start, looked }: Taking,
): Promise<void> {
  let idleMs = shortestIdleMs;
  while (!stop.aborted) {
    const above = takeAbove();
    const next = await outages.outlast(() => scheduler.next(above), stop);
    looked();
    if (next !== null) {
      start(next);
      idleMs = shortestIdleMs;
    } else if (above > Number.NEGATIVE_INFINITY) {
      await idle.wait(fullIdleMs);
    } else {
      await idle.wait(idleMs);
      idleMs = Math.min(idleMs * 2, longestIdleMs);
    }
  }
}

/** The consumer takes no more. */
class Stopped extends Error {}
/** The consumer ends before the chunk is done, which goes back. */
class GivenBack extends Error {}
const lockLostMessage = "lost the lock of a chunk; its next owner does it, or its run was cancelled";
const redisSilentMessage = "Redis does not answer; the chunks in hand go to others when their locks run out";

interface ServeContext extends Pick<ConsumerSettings, "lockMs" | "log" | "meter" | "outages" | "workerId"> {
  readonly order: number;
  readonly giveUp: AbortSignal;
  readonly forget: (run: ServedRun) => void;
}

async function serveTaken({ run, taken }: NextChunk, context: ServeContext): Promise<void> {
  const { order, giveUp, forget, lockMs, meter, outages } = context;
  const about = { workerId: context.workerId, runId: run.runId, chunk: taken.jobId };
  const log = withFields(context.log, about);
  const lock = keepLock(taken, { lockMs, meter, log });
  let outcome: ChunkOutcome = "given_back";
  const signal = AbortSignal.any([lock.signal, giveUp]);
  // Every item that waits for its host listens; Node would warn of the eleventh.
  setMaxListeners(0, signal);
  const outlast: ChunkTurn["outlast"] = (action) => outages.outlast(action, signal, about);
  const leave = (error: unknown) => {
    if (!run.leave(error)) throw error;
    forget(run);
  };
  const acknowledge = async () => {
    if (!(await outlast(taken.acknowledge))) log.warn(lockLostMessage);
  };
  try {
    const chunk = parseChunkRef(run.runId, taken.jobId, taken.data);
    const { isFound } = await run.serve(chunk, { order, attempt: taken.attempt, signal, outlast });
    await acknowledge();
    outcome = isFound ? "found" : "done";
    log.debug("chunk done", { isFound });
  } catch (error) {
    if (lock.signal.aborted) {
      outcome = "lost";
      log.warn(lockLostMessage, error instanceof LockLost ? {} : { error: messageOf(error) });
    } else if (isCode(error, "RUN_RECORD_LOST")) {
      leave(error);
    } else if (isCode(error, "RUN_JOB_INVALID")) {
      outcome = "refused";
      log.error(error.message);
      await acknowledge();
    } else {
      const isBack = await giveBack(taken, log);
      if (!(error instanceof GivenBack)) leave(error);
      else if (isBack) log.info("gave a chunk back");
    }
  } finally {
    lock.release();
    meter.leftChunk(outcome);
  }
}

/** Whether the chunk waits in the queue again. Where it does not, others get it when its lock runs out. */
async function giveBack(taken: TakenChunk, log: Log): Promise<boolean> {
  try {
    await taken.giveBack();
    return true;
  } catch (error) {
    log.warn("could not give a chunk back", { error: messageOf(error) });
    return false;
  }
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
