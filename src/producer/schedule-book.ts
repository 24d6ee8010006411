/**
 * Schedules and their starts in Redis: what is to be run, which starts are claimed, and what became of the last ones. A start
 * is known by its moment, and claimed once, whoever announces it and however often.
 *
 *   due ─┬─ nothing else at work ──> running ──> completed | failed | cancelled
 *        ├─ overlap skip ──────────> skipped
 *        └─ overlap queue, cancel ─> waiting ──> running
 *   a start that nobody was there for, and that `catchUp` leaves ──> missed
 *
 * Each move is made by a script here; a start that has ended never moves again. All keys are of one slot.
 */
import { z } from "zod";
import { LabelmillError, messageOf } from "../shared/errors.js";
import type { Redis } from "../shared/redis.js";
import { runScript, script } from "../shared/run-scripts.js";
import { type ScheduleTiming, timingSchema } from "./schedule-timing.js";

export const overlaps = ["skip", "queue", "cancel-running"] as const;
export type Overlap = (typeof overlaps)[number];
export const catchUps = ["none", "one", "all"] as const;
export type CatchUp = (typeof catchUps)[number];

const scheduleSchema = z.strictObject({
  v: z.literal(1),
  name: z.string(),
  /** Absolute, as `enqueue` takes them. */
  sources: z.array(z.string()).min(1),
  /** The options of the run that differ from their defaults. */
  options: z.record(z.string(), z.unknown()),
  /** Location of each start's dataset, with `{start}` or `{date}` in it. */
  out: z.string(),
  /** JSON of the timing, which is also what BullMQ keeps as its pattern. */
  pattern: z.string(),
  overlap: z.enum(overlaps),
  catchUp: z.enum(catchUps),
  /** Most starts that `catchUp` `all` does of those that were missed. */
  catchUpLimit: z.int().min(1),
});
export type Schedule = Readonly<z.infer<typeof scheduleSchema>>;

const startStates = ["due", "waiting", "running", "completed", "failed", "cancelled", "skipped", "missed"] as const;
const startSchema = z.object({
  startMs: z.number(),
  state: z.enum(startStates),
  /** It was missed and is caught up with: it waits for others, whatever `overlap` says. */
  isLate: z.boolean(),
  out: z.string(),
  runId: z.string().nullable(),
  /** Why it was skipped, missed, cancelled or failed. */
  reason: z.string().nullable(),
  items: z.number().nullable(),
  ok: z.number().nullable(),
  failed: z.number().nullable(),
  endedAtMs: z.number().nullable(),
});
/** One start of a schedule, and what became of it. */
export type Start = Readonly<z.infer<typeof startSchema>>;

/** Prefix of every key, queue included; the braces keep them in one slot. */
export const schedulesPrefix = "{labelmill:schedules}";
const schedulesKey = `${schedulesPrefix}:schedules`;
/** By name: up to when starts are claimed. */
const seenKey = `${schedulesPrefix}:seen`;
const executorKey = `${schedulesPrefix}:executor`;
const startsKey = (name: string) => `${schedulesPrefix}:starts-of:${name}`;
/** Ended starts that are kept of each schedule. */
const mostKept = 50;

const library = `
local function ended(state)
  return state ~= 'due' and state ~= 'waiting' and state ~= 'running'
end
local function trim(key)
  local all, old = redis.call('HGETALL', key), {}
  for i = 1, #all, 2 do if ended(cjson.decode(all[i + 1]).state) then old[#old + 1] = tonumber(all[i]) end end
  table.sort(old)
  for i = 1, #old - ${mostKept} do redis.call('HDEL', key, string.format('%.0f', old[i])) end
end
`;

/**
 * Adds a schedule, or replaces it; the same again changes nothing. New times count from now on.
 * KEYS: 1 schedules, 2 seen. ARGV: 1 name, 2 JSON, 3 now in ms. Returns 'unchanged', 'added' or 'changed'.
 */
const putScheduleScript = script(`
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known == ARGV[2] then return 'unchanged' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local isRead, before = pcall(cjson.decode, known)
local isSame = isRead and type(before) == 'table' and before.pattern == cjson.decode(ARGV[2]).pattern
if not isSame then redis.call('HSET', KEYS[2], ARGV[1], ARGV[3]) end
return known and 'changed' or 'added'
`);

/**
 * Claims the starts up to a moment, unless somebody did since it was looked, or the schedule is another one now.
 * KEYS: 1 schedules, 2 seen, 3 starts. ARGV: 1 name, 2 the schedule's JSON, 3 up to when starts were claimed, 4 up to when now,
 * then start, JSON pairs. Returns 1, or 0 where nothing was claimed.
 */
const claimScript = script(`${library}
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] or redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
for i = 5, #ARGV, 2 do redis.call('HSETNX', KEYS[3], ARGV[i], ARGV[i + 1]) end
trim(KEYS[3])
return 1
`);

/**
 * Lets a start begin, or wait, or skips it, as its schedule's overlap says. Others that are at work, and earlier ones that
 * have not begun, are in its way.
 * KEYS: 1 starts. ARGV: 1 start, 2 overlap, 3 now in ms. Returns 'running', 'waiting' or 'ended'.
 */
const beginScript = script(`${library}
local own = redis.call('HGET', KEYS[1], ARGV[1])
if not own then return 'ended' end
own = cjson.decode(own)
if ended(own.state) then return 'ended' end
if own.state == 'running' then return 'running' end
local function put(start)
  redis.call('HSET', KEYS[1], string.format('%.0f', start.startMs), cjson.encode(start))
end
local function skip(start, reason)
  start.state, start.reason, start.endedAtMs = 'skipped', reason, tonumber(ARGV[3])
  put(start)
end
local all, running, earlier = redis.call('HVALS', KEYS[1]), 0, {}
for i = 1, #all do
  local other = cjson.decode(all[i])
  if other.startMs ~= own.startMs and other.state == 'running' then running = running + 1
  elseif other.startMs < own.startMs and not ended(other.state) then earlier[#earlier + 1] = other end
end
local overlap = own.isLate and 'queue' or ARGV[2]
if overlap == 'cancel-running' then
  for i = 1, #earlier do skip(earlier[i], 'a later start took its place') end
  earlier = {}
end
if running + #earlier == 0 then
  own.state = 'running'
elseif overlap == 'skip' then
  skip(own, 'an earlier start is still at work')
  return 'ended'
elseif overlap == 'queue' and not own.isLate and #earlier > 0 and own.state == 'due' then
  skip(own, 'another start waits already')
  return 'ended'
else
  own.state = 'waiting'
end
put(own)
return own.state
`);

/**
 * Changes fields of a start that has not ended. KEYS: 1 starts. ARGV: 1 start, 2 JSON of the fields.
 * Returns 1, or 0 where it has ended or is gone.
 */
const updateScript = script(`${library}
local own = redis.call('HGET', KEYS[1], ARGV[1])
own = own and cjson.decode(own)
if not own or ended(own.state) then return 0 end
for field, value in pairs(cjson.decode(ARGV[2])) do own[field] = value end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(own))
trim(KEYS[1])
return 1
`);

/**
 * Forgets a schedule: in one step, since one that is added between two would have no time from which its starts count.
 * KEYS: 1 schedules, 2 seen, 3 starts. ARGV: 1 name. Returns 1, or 0 where there was none.
 */
const dropScheduleScript = script(`
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3])
return redis.call('HDEL', KEYS[1], ARGV[1])
`);

export function timingOf({ pattern }: Schedule): ScheduleTiming {
  return timingSchema.parse(JSON.parse(pattern));
}

/** Adds the schedule or replaces the one of its name. Idempotent, also at the same time. */
export async function putSchedule(redis: Redis, schedule: Schedule): Promise<"added" | "changed" | "unchanged"> {
  const args = [schedule.name, encode(schedule), Date.now()];
  return (await runScript(redis, putScheduleScript, [schedulesKey, seenKey], args)) as
    | "added"
    | "changed"
    | "unchanged";
}

/** Null where there is none. Throws SCHEDULE_UNREADABLE. */
export async function readSchedule(redis: Redis, name: string): Promise<Schedule | null> {
  const text = await redis.hget(schedulesKey, name);
  return text === null ? null : decode(name, text, scheduleSchema);
}

/** All names, sorted. */
export async function listScheduleNames(redis: Redis): Promise<string[]> {
  return (await redis.hkeys(schedulesKey)).sort();
}

/** Forgets the schedule and its starts. False where there was none. */
export async function dropSchedule(redis: Redis, name: string): Promise<boolean> {
  return (await runScript(redis, dropScheduleScript, [schedulesKey, seenKey, startsKey(name)], [name])) === 1;
}

/** Up to when the schedule's starts are claimed. */
export async function readSeen(redis: Redis, name: string): Promise<number> {
  return Number(await redis.hget(seenKey, name));
}

/** Claims `starts`, and with them all up to `untilMs`. False where somebody else did, or the schedule was changed. */
export async function claimStarts(
  redis: Redis,
  schedule: Schedule,
  { seenMs, untilMs, starts }: { seenMs: number; untilMs: number; starts: readonly Start[] },
): Promise<boolean> {
  const keys = [schedulesKey, seenKey, startsKey(schedule.name)];
  const pairs = starts.flatMap((start) => [start.startMs, JSON.stringify(start)]);
  const args = [schedule.name, encode(schedule), seenMs, untilMs, ...pairs];
  return (await runScript(redis, claimScript, keys, args)) === 1;
}

/** Moves a start on, as the overlap of its schedule says. */
export async function beginStart(
  redis: Redis,
  { name, overlap }: Schedule,
  startMs: number,
): Promise<"running" | "waiting" | "ended"> {
  const answer = await runScript(redis, beginScript, [startsKey(name)], [startMs, overlap, Date.now()]);
  return answer as "running" | "waiting" | "ended";
}

/** Changes a start; one that has ended stays as it is. */
export async function updateStart(redis: Redis, name: string, startMs: number, change: Partial<Start>): Promise<void> {
  await runScript(redis, updateScript, [startsKey(name)], [startMs, JSON.stringify(change)]);
}

/** The starts that are known: open ones, and the last that ended; oldest first. Throws SCHEDULE_UNREADABLE. */
export async function readStarts(redis: Redis, name: string): Promise<Start[]> {
  const texts = await redis.hvals(startsKey(name));
  const starts = texts.map((text) => decode(name, text, startSchema));
  return starts.sort((a, b) => a.startMs - b.startMs);
}

export function isOpen({ state }: Start): boolean {
  return state === "due" || state === "waiting" || state === "running";
}

/** An executor is there, for the next `forMs`. */
export async function noteExecutor(redis: Redis, forMs: number): Promise<void> {
  await redis.set(executorKey, "1", "PX", forMs);
}

export async function hasExecutor(redis: Redis): Promise<boolean> {
  return (await redis.exists(executorKey)) === 1;
}

/** Always in one order of keys, so that equal schedules are equal texts. */
function encode(schedule: Schedule): string {
  const { v, name, sources, out, pattern, overlap, catchUp, catchUpLimit } = schedule;
  const options = Object.fromEntries(Object.entries(schedule.options).sort(([a], [b]) => (a < b ? -1 : 1)));
  return JSON.stringify({ v, name, sources, options, out, pattern, overlap, catchUp, catchUpLimit });
}

function decode<T>(name: string, text: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    const [issue] = error instanceof z.ZodError ? error.issues : [];
    const reason = issue === undefined ? messageOf(error) : `${issue.path.join(".")}: ${issue.message}`;
    throw new LabelmillError("SCHEDULE_UNREADABLE", { name, reason }, { cause: error });
  }
}
