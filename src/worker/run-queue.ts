import { ErrorCode, type Job, Queue, Worker } from "bullmq";
import { queueName, runPrefix } from "../shared/job.js";
import type { Log } from "../shared/log.js";
import type { Redis } from "../shared/redis.js";

/** A chunk in this worker's hands, under a lock that must be renewed. */
export interface TakenChunk {
  readonly jobId: string;
  /** As it came from Redis: not checked yet. */
  readonly data: unknown;
  /** How often the chunk was taken, this time included. */
  readonly attempt: number;
  /** Renews the lock. False where it is lost: another worker may have the chunk. */
  renewLock(): Promise<boolean>;
  /** Takes the job off the queue. False where the lock is lost, which may show only now. */
  acknowledge(): Promise<boolean>;
  /** Puts the job back for any worker to take at once. */
  giveBack(): Promise<void>;
}

/** The consumer's end of a run's queue. */
export interface RunQueue {
  /** The next chunk, or null where none waits. */
  take(): Promise<TakenChunk | null>;
  close(): Promise<void>;
}

export interface RunQueueSettings {
  readonly redis: Redis;
  readonly runId: string;
  readonly workerId: string;
  /** A chunk whose lock was not renewed for this long goes back to the queue at the next check. */
  readonly lockMs: number;
  readonly log: Log;
}

/** Opens the queue and starts looking for chunks of workers that died. */
export async function openRunQueue({ redis, runId, workerId, lockMs, log }: RunQueueSettings): Promise<RunQueue> {
  const worker = new Worker(queueName, null, {
    connection: redis,
    prefix: runPrefix(runId),
    autorun: false,
    lockDuration: lockMs,
    // Two looks decide: one notes the chunk, the next finds its lock gone. So it waits for 1.5 to 2 lock times at most.
    stalledInterval: lockMs / 2,
    // A chunk is never given up by the queue: a part decides about it, or the consumer does.
    maxStalledCount: Number.MAX_SAFE_INTEGER,
    skipLockRenewal: true,
  });
  worker.on("error", (error) => log.debug("queue connection", { runId, error: error.message }));
  worker.on("stalled", (jobId) => log.warn("chunk of a silent worker goes back to the queue", { runId, chunk: jobId }));
  try {
    // A worker whose first words with Redis fail stays broken; then the caller is to know, and to open another.
    await worker.waitUntilReady();
  } catch (error) {
    await worker.close(true);
    throw error;
  }
  await worker.startStalledCheckTimer();
  let taken = 0;
  return {
    async take() {
      taken += 1;
      const token = `${workerId}:${taken}`;
      try {
        const job = (await worker.getNextJob(token, { block: false })) as Job | undefined;
        return job === undefined ? null : takenChunk(job, token, lockMs);
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        for (const jobId of await sweepUnreadable(redis, runId, token)) {
          log.error("removed a job that cannot be read", { runId, chunk: jobId, error: error.message });
        }
        return null;
      }
    },
    // By force: nothing waits in this worker's own connection, and a Redis that is away would never answer its farewell.
    close: () => worker.close(true),
  };
}

/**
 * Removes the job that was just taken under `token` and cannot be parsed. BullMQ throws on it and hands out no job that
 * could be finished, so it would be taken again and again. Returns the ids that were removed.
 */
async function sweepUnreadable(redis: Redis, runId: string, token: string): Promise<string[]> {
  const queue = new Queue(queueName, { connection: redis, prefix: runPrefix(runId) });
  // Commands carry their own errors; without a listener BullMQ would print the connection's.
  queue.on("error", () => {});
  try {
    const lockKey = (jobId: string) => `${queue.toKey(jobId)}:lock`;
    const active = await redis.lrange(queue.toKey("active"), 0, -1);
    const tokens = active.length === 0 ? [] : await redis.mget(active.map(lockKey));
    const unreadable = active.filter((_, i) => tokens[i] === token);
    for (const jobId of unreadable) {
      await redis.del(lockKey(jobId));
      await queue.remove(jobId);
    }
    return unreadable;
  } finally {
    await queue.close();
  }
}

function takenChunk(job: Job, token: string, lockMs: number): TakenChunk {
  return {
    jobId: job.id ?? "",
    data: job.data,
    attempt: job.attemptsStarted,
    renewLock: async () => (await job.extendLock(token, lockMs)) === 1,
    async acknowledge() {
      try {
        await job.moveToCompleted(null, token, false);
        return true;
      } catch (error) {
        if (isLockLoss(error)) return false;
        throw error;
      }
    },
    async giveBack() {
      await job.moveToWait(token);
    },
  };
}

/** A job that another worker has taken over may be gone, waiting, or under the other's lock. */
const lockLossCodes: readonly unknown[] = [
  ErrorCode.JobNotExist,
  ErrorCode.JobLockNotExist,
  ErrorCode.JobNotInState,
  ErrorCode.JobLockMismatch,
];

function isLockLoss(error: unknown): boolean {
  return error instanceof Error && "code" in error && lockLossCodes.includes(error.code);
}
