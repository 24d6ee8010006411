import { Queue } from "bullmq";
import { type ChunkRef, chunkJobId, jobVersion, queueName, runPrefix } from "../shared/job.js";
import type { Redis } from "../shared/redis.js";

/** The producer's end of a run's queue. */
export interface ChunkQueue {
  /** Queues chunks of one segment, in order. A chunk that is queued already is not queued twice. */
  add(segment: { segment: number; sha256: string }, chunks: readonly number[]): Promise<void>;
  /** Whether no chunk is waiting, delayed or in a worker's hands. */
  isEmpty(): Promise<boolean>;
  close(): Promise<void>;
}

export function openChunkQueue(redis: Redis, runId: string): ChunkQueue {
  const queue = new Queue<ChunkRef>(queueName, {
    connection: redis,
    prefix: runPrefix(runId),
    // What is done stands in the dataset and in the run record; the queue holds only what is not.
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
  });
  // Commands report their own errors; this only keeps BullMQ from printing the connection's.
  queue.on("error", () => {});
  return {
    async add({ segment, sha256 }, chunks) {
      await queue.addBulk(
        chunks.map((chunk) => ({
          name: "chunk",
          data: { v: jobVersion, run: runId, chunk, segment, sha256 },
          opts: { jobId: chunkJobId(chunk) },
        })),
      );
    },
    async isEmpty() {
      const counts = await queue.getJobCounts("wait", "active", "delayed", "prioritized");
      return Object.values(counts).every((n) => n === 0);
    },
    close: () => queue.close(),
  };
}
