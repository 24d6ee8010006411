import { LabelmillError } from "../shared/errors.js";
import { findServer, openPrivateRedis } from "../shared/private-redis.js";
import { closeRedis, openRedis, type Redis } from "../shared/redis.js";
import type { CallContext } from "./context.js";

/** The Redis of one command. */
export interface RunRedis {
  readonly redis: Redis;
  /** Rejects if a private server ends by itself. Never resolves. */
  readonly lost: Promise<never>;
  /** `discard` removes what a private server kept. */
  close(options: { discard: boolean }): Promise<void>;
}

/**
 * Checks now that there will be a Redis, so that nothing is written where there is none, and returns the function that
 * opens it for a run; until then nothing is open. Throws REDIS_*.
 */
export async function prepareRedis({ options, places }: CallContext): Promise<(runId: string) => Promise<RunRedis>> {
  const { redisUrl } = options;
  if (redisUrl !== null) {
    (await openRedis(redisUrl)).disconnect();
    return () => openGivenRedis(redisUrl);
  }
  await findServer(places.searchPath);
  return (runId) => openPrivateRedis({ runId, ...places });
}

/** Opens the Redis that the caller names. Throws REDIS_*, and OPTION_INVALID where none is named. */
export async function requireRedis({ options }: CallContext): Promise<RunRedis> {
  if (options.redisUrl !== null) return openGivenRedis(options.redisUrl);
  throw new LabelmillError("OPTION_INVALID", {
    option: "redisUrl",
    expected: "the url of the Redis that producers and workers share",
    value: "none",
    from: "--redis-url or REDIS_URL",
  });
}

async function openGivenRedis(url: string): Promise<RunRedis> {
  const redis = await openRedis(url);
  return { redis, lost: new Promise(() => {}), close: async () => closeRedis(redis) };
}
