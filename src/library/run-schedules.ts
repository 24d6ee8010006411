/**
 * What executes schedules: any number of processes, of which one has each start in hand. BullMQ announces a start; whoever
 * hears it claims it with all that were missed before, submits the run, and follows it to its end. The workers are others.
 * Every half minute each executor looks for itself as well, so that a start whose announcement was lost is late, not missing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { readRunHead } from "../dataset/run-head.js";
import {
  beginStart,
  claimStarts,
  isOpen,
  listScheduleNames,
  noteExecutor,
  readSchedule,
  readSeen,
  readStarts,
  type Schedule,
  type Start,
  timingOf,
  updateStart,
} from "../producer/schedule-book.js";
import { openScheduleQueue, type ScheduleQueue, startScheduleWorker } from "../producer/schedule-queue.js";
import { isQuiet, lastStarts } from "../producer/schedule-timing.js";
import { isCode, LabelmillError, messageOf } from "../shared/errors.js";
import { createOutages } from "../shared/outages.js";
import { isRefusal } from "../shared/redis.js";
import { type CallContext, type CallOptions, interruption, resolveCall } from "./context.js";
import { type EnqueueResult, enqueue } from "./enqueue.js";
import { followRun } from "./follow-run.js";
import { createDatasetOpener } from "./open-dataset.js";
import { type RunRedis, requireRedis } from "./run-redis.js";
import { cancelRun } from "./runs.js";
import { optionsOfStart } from "./schedule-against.js";
import { outOf } from "./scheduled-out.js";

const lookEveryMs = 30_000;
const waitMs = 1_000;
/** A start is on time where it is claimed within this. */
const lateMs = 60_000;
/** Starts that were missed longer ago are not told of. */
const lookBackMs = 31 * 86_400_000;
const mostMissed = 40;

/**
 * Executes the schedules of the Redis of `redisUrl` until `signal` aborts; what is in hand then goes to another executor, or
 * to the next that starts. The runs' own options are the schedules'; credentials are this process's. Throws REDIS_*, OPTION_*.
 */
export async function runSchedules(given: CallOptions = {}): Promise<void> {
  const context = resolveCall(given);
  try {
    const redis = await requireRedis(context);
    try {
      await execute(context, redis);
    } finally {
      await redis.close({ discard: false });
    }
  } catch (error) {
    if (!context.signal.aborted) throw error;
  } finally {
    context.release();
  }
}

interface Executor {
  readonly context: CallContext;
  readonly redis: RunRedis["redis"];
  readonly queue: ScheduleQueue;
}

async function execute(context: CallContext, { redis }: RunRedis): Promise<void> {
  const { options, log, signal } = context;
  const queue = openScheduleQueue(redis);
  const executor = { context, redis, queue };
  const worker = startScheduleWorker({
    redis,
    lockMs: options.lockMs,
    log,
    signal,
    onDue: (name) => claimDue(executor, name, Date.now()),
    onStart: (name, startMs) => performStart(executor, name, startMs),
  });
  try {
    await Promise.race([lookNowAndThen(executor), interruption(signal)]);
  } finally {
    // A Redis that is silent would never answer the farewell.
    await Promise.race([worker.close().then(() => queue.close()), sleep(3_000, undefined, { ref: false })]);
  }
}

async function lookNowAndThen(executor: Executor): Promise<never> {
  const { options, log, signal } = executor.context;
  const outages = createOutages({ storageTimeoutMs: options.outageTimeoutMs, log });
  while (true) {
    await outages.outlast(() => lookAtAll(executor), signal);
    await sleep(lookEveryMs, undefined, { signal });
  }
}

async function lookAtAll(executor: Executor): Promise<void> {
  const { context, redis, queue } = executor;
  await noteExecutor(redis, 3 * lookEveryMs);
  // Before the names: a schedule is there before it is announced, so that one just added is not silenced.
  const announced = await queue.announced();
  const names = await listScheduleNames(redis);
  for (const name of names) {
    await lookAt(executor, name).catch((error: unknown) => {
      if (isRefusal(error)) throw error;
      context.log.warn("cannot execute a schedule", { schedule: name, reason: messageOf(error) });
    });
  }
  for (const name of announced) if (!names.includes(name)) await queue.silence(name);
}

/** Repairs what a killed process has left: an announcement, a claim, a start that nobody has in hand. */
async function lookAt(executor: Executor, name: string): Promise<void> {
  const schedule = await readSchedule(executor.redis, name);
  if (schedule === null) return;
  await executor.queue.announce(name, timingOf(schedule));
  await claimDue(executor, name, Date.now());
}

/** Claims what is due at `nowMs` and queues what is open. Repeating it changes nothing. */
export async function claimDue({ context, redis, queue }: Executor, name: string, nowMs: number): Promise<void> {
  const schedule = await readSchedule(redis, name);
  if (schedule === null) return;
  const seenMs = await readSeen(redis, name);
  const starts = plan(schedule, seenMs, nowMs);
  const untilMs = Math.max(seenMs, ...starts.map(({ startMs }) => startMs));
  if (starts.length > 0 && (await claimStarts(redis, schedule, { seenMs, untilMs, starts }))) {
    const missed = starts.filter(({ state }) => state === "missed").length;
    if (missed > 0) context.log.warn("starts were missed", { schedule: name, missed });
  }
  for (const start of (await readStarts(redis, name)).filter(isOpen)) await queue.queueStart(name, start.startMs);
}

/** What is to become of the starts since `seenMs`: done, or missed. */
function plan(schedule: Schedule, seenMs: number, nowMs: number): Start[] {
  const timing = timingOf(schedule);
  const { catchUp, catchUpLimit, out } = schedule;
  const due = lastStarts(timing, Math.max(seenMs, nowMs - lookBackMs), nowMs, mostMissed);
  const late = due.filter((startMs) => nowMs - startMs > lateMs);
  const hasOnTime = late.length < due.length;
  const caughtUp = catchUp === "all" ? catchUpLimit : catchUp === "one" && !hasOnTime ? 1 : 0;
  const missed = new Set(late.slice(0, Math.max(0, late.length - caughtUp)));
  return due.map((startMs) => ({
    startMs,
    state: missed.has(startMs) ? "missed" : "due",
    isLate: late.includes(startMs),
    out: outOf(out, timing, startMs),
    runId: null,
    reason: missed.has(startMs) ? "no `labelmill schedule run` was there" : null,
    items: null,
    ok: null,
    failed: null,
    endedAtMs: missed.has(startMs) ? nowMs : null,
  }));
}

/** Has a start in hand until it has ended, first or again. */
async function performStart(executor: Executor, name: string, startMs: number): Promise<void> {
  const { context, redis } = executor;
  const schedule = await readSchedule(redis, name);
  const start = (await readStarts(redis, name)).find((each) => each.startMs === startMs);
  if (schedule === null || start === undefined || !(await begin(executor, schedule, start))) return;
  const about = { schedule: name, start: new Date(startMs).toISOString() };
  const end = async (change: Partial<Start>) => {
    await updateStart(redis, name, startMs, { ...change, endedAtMs: Date.now() });
    context.log[change.state === "failed" ? "error" : "info"]("scheduled run ended", { ...about, ...change });
  };
  context.log.info("scheduled start", { ...about, out: start.out });
  try {
    // Submitting again what is submitted would take up a run that was cancelled meanwhile, or with a changed schedule's words.
    let runId = start.runId;
    let ended: Partial<Start> | null = null;
    while (ended === null) {
      runId ??= await submitStart(executor, schedule, start);
      ended = await followRun({ context, redis, runId, out: start.out });
      runId = null;
    }
    await end(ended);
  } catch (error) {
    if (context.signal.aborted || !(error instanceof LabelmillError)) throw error;
    await end({
      state: isCode(error, "RUN_CANCELLED") ? "cancelled" : "failed",
      reason: `${error.code}: ${error.message}`,
    });
  }
}

/** A Redis that is away just now, for the connection of the submission, is waited for as for every other. */
async function submit(executor: Executor, schedule: Schedule, start: Start): Promise<EnqueueResult> {
  const { log, signal } = executor.context;
  while (true) {
    try {
      return await enqueue(schedule.sources, await callOf(executor, schedule, start));
    } catch (error) {
      if (!isCode(error, "REDIS_REFUSED")) throw error;
      log.warn("a scheduled start waits", { schedule: schedule.name, reason: error.message });
      await sleep(waitMs, undefined, { signal });
    }
  }
}

/** Submits the start's run and notes which that is. */
async function submitStart(executor: Executor, schedule: Schedule, start: Start): Promise<string> {
  const { runId, items } = await submit(executor, schedule, start);
  await updateStart(executor.redis, schedule.name, start.startMs, { runId, items });
  return runId;
}

/** Waits until the start may begin. False where it may not any more. */
async function begin(executor: Executor, schedule: Schedule, { startMs, isLate }: Start): Promise<boolean> {
  const { context, redis } = executor;
  while (true) {
    context.signal.throwIfAborted();
    // A start that waits for the end of its quiet hours takes nobody's place yet.
    if (!isQuiet(timingOf(schedule), Date.now())) {
      const state = await beginStart(redis, schedule, startMs);
      if (state === "running") return true;
      if (state === "ended") return false;
      if (schedule.overlap === "cancel-running" && !isLate) await cancelOthers(executor, schedule, startMs);
    }
    await sleep(waitMs, undefined, { signal: context.signal });
  }
}

async function cancelOthers({ context, redis }: Executor, { name }: Schedule, startMs: number): Promise<void> {
  const running = (await readStarts(redis, name)).filter(({ state }) => state === "running");
  const isOurs = running.some((start) => start.startMs === startMs);
  for (const other of isOurs ? [] : running) {
    const runId = await runIdOf(context, other);
    if (runId === null) continue;
    await updateStart(redis, name, other.startMs, { reason: "a later start took its place" });
    await cancelRun(runId, { redisUrl: context.options.redisUrl }).catch((error: unknown) => {
      // It ended by itself, or has no record yet: the next look tells.
      if (!isCode(error, "RUN_STATE") && !isCode(error, "RUN_UNKNOWN")) throw error;
    });
  }
}

/** While its list is pinned a start's run is known by its dataset alone. */
async function runIdOf(context: CallContext, { runId, out }: Start): Promise<string | null> {
  if (runId !== null) return runId;
  return readRunHead(createDatasetOpener(context)(out)).then(
    (head) => head.runId,
    (error: unknown) => {
      if (isCode(error, "RUN_NOT_A_DATASET")) return null;
      throw error;
    },
  );
}

/** The words of the schedule with this start's dataset; what is the process's own comes from it. */
async function callOf({ context, redis }: Executor, schedule: Schedule, start: Start): Promise<CallOptions> {
  const { redisUrl, cacheDir } = context.options;
  const own = { out: start.out, redisUrl, cacheDir, log: context.log, signal: context.signal };
  return { ...(await optionsOfStart(redis, schedule, start)), ...own };
}
