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

/** A script with its digest. */
export const script = (lua: string): RunScript => ({ lua, sha1: createHash("sha1").update(lua).digest("hex") });

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

/** Answer of every script where the record is absent or of another epoch. */
export const foreignEpoch = -1;
/** Answer of the scripts that grow and seal a run where it was cancelled. */
export const cancelledRun = -2;

/** What several scripts share. */
const library = `
-- The one place where a run starts to be finalized.
local function settle(run)
  local f = redis.call('HMGET', run, 'state', 'sealed', 'chunks', 'doneChunks')
  if f[1] == 'completed' or f[1] == 'cancelled' or f[2] ~= '1' then return end
  if f[3] == f[4] then
    redis.call('HSET', run, 'state', 'finalizing')
  elseif f[1] == 'enqueuing' then
    redis.call('HSET', run, 'state', 'running')
  end
end
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
-- From now on the run's keys go by themselves when it has ended for long enough.
local function expire(keys)
  local keepMs = redis.call('HGET', keys[1], 'keepMs')
  redis.call('HSET', keys[1], 'endedAtMs', now())
  for i = 1, #keys do redis.call('PEXPIRE', keys[i], keepMs) end
end
`;

/**
 * Creates the record, finds it, or makes it anew: of a run that was cancelled, and on demand of one that completed.
 * KEYS: `allRunKeys`. ARGV: 1 epoch, 2 '1' to make a completed run anew, 3 priority, 4 how long to keep the record once
 * the run has ended, in ms, then field, value pairs.
 * Returns 1 created, 0 there already (with the priority and time of now), 2 taken up again after a cancel, -1 foreign epoch.
 */
export const createRunScript = script(`${library}
local f = redis.call('HMGET', KEYS[1], 'epoch', 'state')
if f[1] and f[1] ~= ARGV[1] then return -1 end
if f[1] and f[2] ~= 'cancelled' and not (f[2] == 'completed' and ARGV[2] == '1') then
  redis.call('HSET', KEYS[1], 'priority', ARGV[3], 'keepMs', ARGV[4])
  return 0
end
redis.call('DEL', unpack(KEYS, 1, 5))
redis.call('HDEL', KEYS[6], 'paused')
for i = 6, #KEYS do redis.call('PERSIST', KEYS[i]) end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'state', 'enqueuing', 'sealed', '0', 'segments', 0, 'chunks', 0,
  'items', 0, 'doneChunks', 0, 'ok', 0, 'failed', 0, 'createdAtMs', now(), 'priority', ARGV[3], 'keepMs', ARGV[4],
  unpack(ARGV, 5))
return f[2] == 'cancelled' and 2 or 1
`);

/**
 * Counts a pinned segment in; counting it again changes nothing.
 * KEYS: 1 the record. ARGV: 1 epoch, 2 segment number, 3 chunks and 4 items of the run up to and with this segment.
 * Returns 1 counted, 0 known already, -1 foreign epoch, -2 cancelled.
 */
export const growRunScript = script(`
local f = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'segments')
if f[1] ~= ARGV[1] then return -1 end
if f[2] == 'cancelled' then return -2 end
if tonumber(f[3]) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'segments', ARGV[2] + 1, 'chunks', ARGV[3], 'items', ARGV[4])
return 1
`);

/**
 * Marks the pinned list as complete.
 * KEYS: 1 the record. ARGV: 1 epoch. Returns 1, -1 foreign epoch, or -2 cancelled.
 */
export const sealRunScript = script(`${library}
local f = redis.call('HMGET', KEYS[1], 'epoch', 'state')
if f[1] ~= ARGV[1] then return -1 end
if f[2] == 'cancelled' then return -2 end
redis.call('HSET', KEYS[1], 'sealed', '1')
settle(KEYS[1])
return 1
`);

/**
 * Counts a committed part, once however often it is called, and keeps the time for the rate: `fromMs`, `fromMade` begin
 * a window of 30 to 60 s, `nextMs`, `nextMade` the one after it.
 * KEYS: 1 the record, 2 the bitmap of counted chunks, 3 failures by code, 4 why by engine.
 * ARGV: 1 epoch, 2 chunk, 3 ok, 4 failed, 5 duplicates, 6 fetch ms, 7 decode ms, 8 infer ms, 9 work ms, 10 engine, or '' for a
 * part that was found, 11 why it, 12 rows carried over, which nobody made, then code, count pairs.
 * Returns 1 counted, 0 counted before, -1 foreign epoch.
 */
export const commitChunkScript = script(`${library}
local run = KEYS[1]
if redis.call('HGET', run, 'epoch') ~= ARGV[1] then return -1 end
if redis.call('SETBIT', KEYS[2], ARGV[2], 1) == 1 then return 0 end
redis.call('HINCRBY', run, 'doneChunks', 1)
redis.call('HINCRBY', run, 'ok', ARGV[3])
redis.call('HINCRBY', run, 'failed', ARGV[4])
redis.call('HINCRBY', run, 'duplicates', ARGV[5])
redis.call('HINCRBY', run, 'carried', ARGV[12])
redis.call('HINCRBY', run, 'fetchMs', ARGV[6])
redis.call('HINCRBY', run, 'decodeMs', ARGV[7])
redis.call('HINCRBY', run, 'inferMs', ARGV[8])
redis.call('HINCRBY', run, 'workMs', ARGV[9])
if ARGV[10] ~= '' then
  redis.call('HSETNX', KEYS[4], ARGV[10], ARGV[11])
  redis.call('HINCRBY', run, 'made', ARGV[3] + ARGV[4] - ARGV[12])
end
for i = 13, #ARGV, 2 do redis.call('HINCRBY', KEYS[3], ARGV[i], ARGV[i + 1]) end
local t = now()
local w = redis.call('HMGET', run, 'nextMs', 'nextMade', 'made', 'createdAtMs')
local nextMs, made = tonumber(w[1] or w[4]), w[3] or 0
if not w[1] or t - nextMs > 30000 then
  -- A window that began long ago says how long nothing was done, not how fast it is.
  local isRecent = t - nextMs < 60000
  redis.call('HSET', run, 'fromMs', isRecent and nextMs or t, 'fromMade', isRecent and (w[2] or 0) or made,
    'nextMs', t, 'nextMade', made)
end
redis.call('HSET', run, 'committedAtMs', t)
settle(run)
if redis.call('HGET', run, 'state') == 'cancelled' then
  for i = 2, 4 do redis.call('PEXPIRE', KEYS[i], redis.call('PTTL', run)) end
end
return 1
`);

/**
 * Ends a run whose summary is written, in whatever state: the dataset is complete.
 * KEYS: `allRunKeys`. ARGV: 1 epoch. Returns how long its record is kept, in ms, or -1 foreign epoch.
 */
export const completeRunScript = script(`${library}
local f = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'keepMs')
if f[1] ~= ARGV[1] then return -1 end
if f[2] ~= 'completed' then
  redis.call('HSET', KEYS[1], 'state', 'completed')
  expire(KEYS)
end
return tonumber(f[3])
`);

/**
 * Does what `controlTable` says of a command in the run's state. The queue pauses and goes on with the record: `paused` of
 * its `meta` is what BullMQ's own `queue.pause()` sets.
 * KEYS: `allRunKeys`. ARGV: 1 epoch, 2 command, then state, outcome pairs; an outcome is moves, stays or refused.
 * Returns the outcome and the state that the run was in; 'foreign' where the record is absent or of another epoch.
 */
export const controlRunScript = script(`${library}
local run, meta, command = KEYS[1], KEYS[6], ARGV[2]
local f = redis.call('HMGET', run, 'epoch', 'state', 'pausedAtMs')
if f[1] ~= ARGV[1] then return {'foreign', ''} end
local outcome = 'refused'
for i = 3, #ARGV, 2 do if ARGV[i] == f[2] then outcome = ARGV[i + 1] end end
if outcome == 'refused' then return {outcome, f[2]} end
if command == 'pause' then redis.call('HSET', meta, 'paused', 1) end
if command == 'resume' then redis.call('HDEL', meta, 'paused') end
if outcome == 'stays' then return {outcome, f[2]} end
if command == 'pause' then
  redis.call('HSET', run, 'state', 'paused', 'pausedAtMs', now())
elseif command == 'resume' then
  redis.call('HINCRBY', run, 'pausedMs', now() - f[3])
  redis.call('HDEL', run, 'pausedAtMs', 'fromMs', 'fromMade', 'nextMs', 'nextMade')
  redis.call('HSET', run, 'state', 'enqueuing')
  settle(run)
elseif command == 'cancel' then
  redis.call('HSET', run, 'state', 'cancelled')
  redis.call('HSET', meta, 'paused', 1)
  expire(KEYS)
elseif command == 'rm' then
  redis.call('DEL', unpack(KEYS))
end
return {outcome, f[2]}
`);

/**
 * Removes jobs of a run that has ended, ARGV[2] at most, and with the last of them the queue. The state is looked at each
 * time, so that jobs of a run that was submitted again meanwhile stay. BullMQ's own `obliterate` knows no states; the
 * keys of a job are those of its 6.7 (`removeJob`): chunks have no logs and no children.
 * KEYS: `allRunKeys`. ARGV: 1 epoch, 2 most jobs.
 * Returns how many jobs were removed, -1 where the run is under way or its record of another epoch.
 */
export const dropJobsScript = script(`
local f = redis.call('HMGET', KEYS[1], 'epoch', 'state')
if f[1] and (f[1] ~= ARGV[1] or (f[2] ~= 'cancelled' and f[2] ~= 'completed')) then return -1 end
local queue = string.match(KEYS[6], '^(.*:)meta$')
local removed = 0
for _, list in ipairs({'wait', 'active', 'delayed', 'prioritized', 'completed', 'failed'}) do
  if removed == tonumber(ARGV[2]) then break end
  local key = queue .. list
  local isList = redis.call('TYPE', key).ok == 'list'
  local ids = redis.call(isList and 'LRANGE' or 'ZRANGE', key, 0, ARGV[2] - removed - 1)
  for _, id in ipairs(ids) do
    redis.call(isList and 'LREM' or 'ZREM', key, unpack(isList and {1, id} or {id}))
    redis.call('DEL', queue .. id, queue .. id .. ':lock')
  end
  removed = removed + #ids
end
if removed < tonumber(ARGV[2]) then redis.call('DEL', unpack(KEYS, 6)) end
return removed
`);

/**
 * Notes that a worker looked at the run and what came of it. Entries older than ARGV[2] are dropped, and of the others
 * ARGV[3] at most are kept, so that the key is small however many workers there are.
 * KEYS: 1 the run's workers. ARGV: 1 worker, 2 how long an entry counts, in ms, 3 most entries, 4 what came of it.
 * Returns 1 noted, 0 no room.
 */
export const reportWorkerScript = script(`${library}
local t = now()
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if t - tonumber(string.match(all[i + 1], '^%d+') or 0) > tonumber(ARGV[2]) then redis.call('HDEL', KEYS[1], all[i]) end
end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', t) .. ' ' .. ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`);
