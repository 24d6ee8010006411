/** The producer's end of a run's queue. */
import { Queue } from "bullmq";
import { type ChunkRef, chunkJobId, jobVersion, queueName, runPrefix } from "../shared/job.js";
import type { Redis } from "../shared/redis.js";

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
export function isQueueEmpty(redis: Redis, runId: string): Promise<boolean> {
  return withQueue(redis, runId, async (queue) => {
    const counts = await queue.getJobCounts("wait", "active", "delayed", "prioritized");
    return Object.values(counts).every((n) => n === 0);
  });
}

/** Opens the queue for one action only: one whose first words with Redis fail stays broken. */
async function withQueue<T>(redis: Redis, runId: string, action: (queue: Queue<ChunkRef>) => Promise<T>): Promise<T> {
  const queue = new Queue<ChunkRef>(queueName, {
    connection: redis,
    prefix: runPrefix(runId),
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
