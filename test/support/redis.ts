import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPrivateRedis } from "../../src/shared/private-redis.js";
import type { Redis } from "../../src/shared/redis.js";

/** A real server for one test file. */
export interface TestRedis {
  readonly url: string;
  readonly redis: Redis;
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
  return {
    url: server.url,
    redis: server.redis,
    async close() {
      await server.close({ discard: true });
      await rm(dir, { recursive: true, force: true });
    },
  };
}
