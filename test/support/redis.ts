import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Queue } from "bullmq";
import { queueName, runPrefix } from "../../src/shared/job.js";
import { openPrivateRedis } from "../../src/shared/private-redis.js";
import type { Redis } from "../../src/shared/redis.js";

/** A real server for one test file. */
export interface TestRedis {
  readonly url: string;
  readonly redis: Redis;
  /** The queue of a run; closed with the server. */
  queueOf(runId: string): Queue;
  close(): Promise<void>;
}

export async function startTestRedis(): Promise<TestRedis> {
  const dir = await mkdtemp(join(tmpdir(), "lm-redis-"));
  const runId = `test-${randomBytes(4).toString("hex")}`;
  const server = await openPrivateRedis({
    runId,
    out: dir,
    stateDir: dir,
    socketDir: dir,
    searchPath: process.env.PATH ?? "",
  });
  const queues = new Map<string, Queue>();
  return {
    url: server.url,
    redis: server.redis,
    queueOf(runId) {
      const queue = queues.get(runId) ?? new Queue(queueName, { connection: server.redis, prefix: runPrefix(runId) });
      queues.set(runId, queue);
      return queue;
    },
    async close() {
      for (const queue of queues.values()) await queue.close();
      await server.close({ discard: true });
      await rm(dir, { recursive: true, force: true });
    },
  };
}
