/**
 * Which runs a Redis knows: those under way, which workers look through, and those that ended, until their records expire.
 * Kept beside the records, in other slots, so not by the same script: a run that ended may still be listed as under way,
 * and whoever finds that calls `leaveActiveRuns` again.
 */
import type { Redis } from "./redis.js";
import { recordKey } from "./run-keys.js";

const activeKey = "labelmill:runs";
/** Scores are the times at which the records expire. */
const endedKey = "labelmill:ended";

export async function enterActiveRuns(redis: Redis, runId: string): Promise<void> {
  await redis.sadd(activeKey, runId);
  await redis.zrem(endedKey, runId);
}

/**
 * Lists the run as ended for as long as its record is kept, unless it is under way again by the time it is off the other
 * list: whoever submits it lists it as well, and of two at once the last look decides. Idempotent.
 */
export async function leaveActiveRuns(redis: Redis, runId: string, keepMs: number): Promise<void> {
  const nowMs = Date.now();
  await redis.zremrangebyscore(endedKey, 0, nowMs);
  await redis.zadd(endedKey, nowMs + keepMs, runId);
  await redis.srem(activeKey, runId);
  const state = await redis.hget(recordKey(runId, "run"), "state");
  if (state !== null && state !== "completed" && state !== "cancelled") return enterActiveRuns(redis, runId);
  // The list of runs that have expired must not stay for ever where no other run ends after them.
  const leftMs = await redis.pttl(endedKey);
  if (leftMs < keepMs) await redis.pexpire(endedKey, keepMs);
}

/** Takes the run off both lists. */
export async function leaveIndex(redis: Redis, runId: string): Promise<void> {
  await redis.srem(activeKey, runId);
  await redis.zrem(endedKey, runId);
}

/** The runs under way, sorted. */
export async function listActiveRuns(redis: Redis): Promise<string[]> {
  return (await redis.smembers(activeKey)).sort();
}

/** All runs with a record, sorted: by the form of their ids, in order of the day. */
export async function listKnownRuns(redis: Redis): Promise<string[]> {
  const ended = await redis.zrangebyscore(endedKey, Date.now(), "+inf");
  return [...new Set([...(await listActiveRuns(redis)), ...ended])].sort();
}
