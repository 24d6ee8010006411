import { join } from "node:path";
import { LabelmillError } from "../shared/errors.js";
import type { Log } from "../shared/log.js";
import { findServer, openPrivateRedis } from "../shared/private-redis.js";
import { closeRedis, logAbsence, openRedis, type Redis } from "../shared/redis.js";
import { type RunWish, readWish, writeWish } from "../shared/server-registry.js";
import type { CallContext } from "./context.js";

/** The Redis of one command. */
export interface RunRedis {
  readonly redis: Redis;
  /** Rejects if a private server ends by itself. Never resolves. */
  readonly lost: Promise<never>;
  /** What a user told the run to be when an earlier command had it, whose private server is gone. */
  readonly wish: RunWish | null;
  forgetWish(): Promise<void>;
  /** `discard` removes what a private server kept. */
  close(options: { discard: boolean }): Promise<void>;
}

/**
 * Checks now that there will be a Redis, so that nothing is written where there is none, and returns the function that
 * opens it for a run; until then nothing is open. Throws REDIS_*.
 */
export async function prepareRedis(
  context: CallContext,
): Promise<(run: { runId: string; out: string }) => Promise<RunRedis>> {
  const { options, places, log } = context;
  const { redisUrl } = options;
  if (redisUrl !== null) {
    (await openRedis(redisUrl)).disconnect();
    return () => openGivenRedis(redisUrl, log);
  }
  await findServer(places.searchPath);
  return async (run) => {
    const dataDir = join(places.stateDir, run.runId);
    const wish = await readWish(dataDir);
    const server = await openPrivateRedis({ ...run, ...places });
    logAbsence(server.redis, log);
    return { ...server, wish, forgetWish: () => writeWish(dataDir, null) };
  };
}

/** Opens the Redis that the caller names. Throws REDIS_*, and OPTION_INVALID where none is named. */
export async function requireRedis({ options, log }: CallContext): Promise<RunRedis> {
  if (options.redisUrl !== null) return openGivenRedis(options.redisUrl, log);
  throw new LabelmillError("OPTION_INVALID", {
    option: "redisUrl",
    expected: "the url of the Redis that producers and workers share",
    value: "none",
    from: "--redis-url or REDIS_URL",
  });
}

async function openGivenRedis(url: string, log: Log): Promise<RunRedis> {
  const redis = await openRedis(url);
  logAbsence(redis, log);
  return {
    redis,
    lost: new Promise(() => {}),
    wish: null,
    forgetWish: async () => {},
    close: async () => closeRedis(redis),
  };
}
