/**
 * The Lua scripts of the run record. Each runs atomically in Redis and touches the keys of one run only. Every script
 * first compares the epoch: after a loss of data the record is gone, or belongs to another dataset, and nothing may be
 * counted into it. The Redis documentation calls this pattern "scripts as transactions" (redis.io, EVAL).
 */
import { createHash } from "node:crypto";
import type { Redis } from "./redis.js";

export interface RunScript {
  readonly lua: string;
  readonly sha1: string;
}

const script = (lua: string): RunScript => ({ lua, sha1: createHash("sha1").update(lua).digest("hex") });

/** Runs a script by its digest, sending the text only where the server does not know it yet. */
export async function runScript(
  redis: Redis,
  { lua, sha1 }: RunScript,
  keys: string[],
  args: (string | number)[],
): Promise<unknown> {
  try {
    return await redis.evalsha(sha1, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
    return await redis.eval(lua, keys.length, ...keys, ...args);
  }
}

/** Answer of every script but `createRun` where the record is absent or of another epoch. */
export const foreignEpoch = -1;

/** Shared by `seal` and `commitChunk`: the one place where a run starts to be finalized. */
const settle = `
local function settle(run)
  local f = redis.call('HMGET', run, 'state', 'sealed', 'chunks', 'doneChunks')
  if f[2] ~= '1' then return end
  if f[3] == f[4] and f[1] ~= 'completed' then
    redis.call('HSET', run, 'state', 'finalizing')
  elseif f[1] == 'enqueuing' then
    redis.call('HSET', run, 'state', 'running')
  end
end
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
`;

/**
 * Creates the record, or finds it.
 * KEYS: 1 the record. ARGV: 1 epoch, then field, value pairs.
 * Returns 1 created, 0 there already, -1 there with another epoch.
 */
export const createRunScript = script(`${settle}
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch then return epoch == ARGV[1] and 0 or -1 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'state', 'enqueuing', 'sealed', '0', 'segments', 0, 'chunks', 0,
  'items', 0, 'doneChunks', 0, 'ok', 0, 'failed', 0, 'createdAtMs', now(), unpack(ARGV, 2))
return 1
`);

/**
 * Counts a pinned segment in; counting it again changes nothing.
 * KEYS: 1 the record. ARGV: 1 epoch, 2 segment number, 3 chunks and 4 items of the run up to and with this segment.
 * Returns 1 counted, 0 known already, -1 foreign epoch.
 */
export const growRunScript = script(`
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return -1 end
if tonumber(redis.call('HGET', KEYS[1], 'segments')) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'segments', ARGV[2] + 1, 'chunks', ARGV[3], 'items', ARGV[4])
return 1
`);

/**
 * Marks the pinned list as complete.
 * KEYS: 1 the record. ARGV: 1 epoch. Returns 1, or -1 foreign epoch.
 */
export const sealRunScript = script(`${settle}
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return -1 end
redis.call('HSET', KEYS[1], 'sealed', '1')
settle(KEYS[1])
return 1
`);

/**
 * Counts a committed part, once however often it is called.
 * KEYS: 1 the record, 2 the bitmap of counted chunks, 3 failures by code, 4 why by engine.
 * ARGV: 1 epoch, 2 chunk, 3 ok, 4 failed, 5 duplicates, 6 fetch ms, 7 decode ms, 8 infer ms, 9 engine, or '' for a part that was
 * found, 10 why it, then code, count pairs.
 * Returns 1 counted, 0 counted before, -1 foreign epoch.
 */
export const commitChunkScript = script(`${settle}
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return -1 end
if redis.call('SETBIT', KEYS[2], ARGV[2], 1) == 1 then return 0 end
redis.call('HINCRBY', KEYS[1], 'doneChunks', 1)
redis.call('HINCRBY', KEYS[1], 'ok', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'failed', ARGV[4])
redis.call('HINCRBY', KEYS[1], 'duplicates', ARGV[5])
redis.call('HINCRBY', KEYS[1], 'fetchMs', ARGV[6])
redis.call('HINCRBY', KEYS[1], 'decodeMs', ARGV[7])
redis.call('HINCRBY', KEYS[1], 'inferMs', ARGV[8])
if ARGV[9] ~= '' then
  redis.call('HSETNX', KEYS[4], ARGV[9], ARGV[10])
  redis.call('HINCRBY', KEYS[1], 'made', ARGV[3] + ARGV[4])
end
for i = 11, #ARGV, 2 do redis.call('HINCRBY', KEYS[3], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'committedAtMs', now())
settle(KEYS[1])
return 1
`);

/**
 * Ends a run whose summary is written.
 * KEYS: 1 the record. ARGV: 1 epoch. Returns 1, or -1 foreign epoch.
 */
export const completeRunScript = script(`
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return -1 end
redis.call('HSET', KEYS[1], 'state', 'completed')
return 1
`);
