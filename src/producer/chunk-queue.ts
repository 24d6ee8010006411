/** The producer's end of a run's queue. */
import { Queue, QueueKeys } from "bullmq";
import { type ChunkRef, chunkJobId, jobVersion, queueName, runPrefix } from "../shared/job.js";
import type { Redis } from "../shared/redis.js";
import { allRunKeys } from "../shared/run-keys.js";
import type { RunKey } from "../shared/run-record.js";
import { dropJobsScript, runScript } from "../shared/run-scripts.js";

/** Queues chunks of one segment, in order. A chunk that is queued already is not queued twice. */
export async function queueChunks(
  redis: Redis,
  runId: string,
  { segment, sha256 }: { segment: number; sha256: string },
  chunks: readonly number[],
): Promise<void> {
  await withQueue(redis, runId, async (queue) => {
    await queue.addBulk(
      chunks.map((chunk) => ({
        name: "chunk",
        data: { v: jobVersion, run: runId, chunk, segment, sha256 },
        opts: { jobId: chunkJobId(chunk) },
      })),
    );
  });
}

/** Whether no chunk is waiting, delayed or in a worker's hands. */
export async function isQueueEmpty(redis: Redis, runId: string): Promise<boolean> {
  const { waiting, inHand } = await countQueued(redis, runId);
  return waiting + inHand === 0;
}

/** Chunks in the queue: those that wait, paused or not, and those in workers' hands. */
export function countQueued(redis: Redis, runId: string): Promise<{ waiting: number; inHand: number }> {
  return withQueue(redis, runId, async (queue) => {
    const { active = 0, ...others } = await queue.getJobCounts("wait", "active", "delayed", "prioritized");
    return { waiting: Object.values(others).reduce((sum, n) => sum + n, 0), inHand: active };
  });
}

/**
 * As `countQueued`, of many runs by one question: opening their queues takes 0.3 ms of this process each, which is too much
 * where somebody asks every few seconds.
 */
export async function countAllQueued(
  redis: Redis,
  runIds: readonly string[],
): Promise<readonly { readonly waiting: number; readonly inHand: number }[]> {
  const pipeline = redis.pipeline();
  for (const runId of runIds) {
    const key = (type: string) => new QueueKeys(runPrefix(runId)).toKey(queueName, type);
    for (const list of ["active", "wait", "paused"]) pipeline.llen(key(list));
    for (const set of ["delayed", "prioritized"]) pipeline.zcard(key(set));
  }
  const replies = (await pipeline.exec()) ?? [];
  const counts = replies.map(([error, n]) => {
    if (error) throw error;
    return Number(n);
  });
  return runIds.map((_, i) => {
    const [inHand = 0, ...waiting] = counts.slice(5 * i, 5 * i + 5);
    return { inHand, waiting: waiting.reduce((sum, n) => sum + n, 0) };
  });
}

/** Jobs that one script removes: few milliseconds, since Redis answers nobody meanwhile. */
const mostDropped = 1_000;

/**
 * Removes the queue of a run that has ended with all that is in it, also what workers have in hand; they find their locks
 * gone. Stops where the run is submitted again meanwhile: the jobs are that submission's. Idempotent.
 */
export async function dropQueue(redis: Redis, { runId, epoch }: RunKey): Promise<void> {
  let removed = mostDropped;
  while (removed === mostDropped)
    removed = Number(await runScript(redis, dropJobsScript, allRunKeys(runId), [epoch, mostDropped]));
}

/** Opens the queue for one action only: one whose first words with Redis fail stays broken. */
async function withQueue<T>(redis: Redis, runId: string, action: (queue: Queue<ChunkRef>) => Promise<T>): Promise<T> {
  const queue = new Queue<ChunkRef>(queueName, {
    connection: redis,
    prefix: runPrefix(runId),
    // Else looking at the queue of a run that has ended would make a key of it that nothing removes.
    skipMetasUpdate: true,
    // What is done stands in the dataset and in the run record; the queue holds only what is not.
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
  });
  // Commands report their own errors; this only keeps BullMQ from printing the connection's.
  queue.on("error", () => {});
  try {
    return await action(queue);
  } finally {
    await queue.close();
  }
}
