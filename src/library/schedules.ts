/** Schedules: adding, showing and removing them. What executes them is `run-schedules.ts`. */
import { isAbsolute, resolve } from "node:path";
import {
  type CatchUp,
  dropSchedule,
  hasExecutor,
  listScheduleNames,
  type Overlap,
  putSchedule,
  readSchedule,
  readStarts,
  type Schedule,
  timingOf,
} from "../producer/schedule-book.js";
import { openScheduleQueue } from "../producer/schedule-queue.js";
import { nextStarts, parseTiming, type ScheduleTiming, type TimingWords } from "../producer/schedule-timing.js";
import { editDistance } from "../shared/edit-distance.js";
import { LabelmillError } from "../shared/errors.js";
import type { OptionSpec } from "../shared/option-spec.js";
import { optionTable } from "../shared/option-table.js";
import { optionNames } from "../shared/options.js";
import type { Redis } from "../shared/redis.js";
import { describeModel } from "../worker/model/describe-model.js";
import { type CallContext, type CallOptions, resolveCall } from "./context.js";
import { openCall } from "./open-call.js";
import { createDatasetOpener } from "./open-dataset.js";
import { requireRedis } from "./run-redis.js";
import type { RunsOptions } from "./runs.js";
import { fixedAgainst, withoutLast } from "./schedule-against.js";
import { outOf, type ScheduledStart, scheduledStart } from "./scheduled-out.js";
import { readSinkTargets } from "./sink-targets.js";
import { fixHeaderFile, readWebAccess } from "./web-access.js";

export interface ScheduleOptions extends CallOptions, TimingWords {
  /** 1 to 64 letters, digits, `.`, `-` and `_`; names the schedule among those of its Redis. */
  readonly name: string;
  /** What to do at a start while an earlier one is at work. @default skip */
  readonly overlap?: Overlap | undefined;
  /** What to do about starts that nobody was there for. @default one */
  readonly catchUp?: CatchUp | undefined;
  /** Most starts that `all` does of them. @default 10 */
  readonly catchUpLimit?: number | undefined;
}

export interface ScheduleStatus {
  readonly name: string;
  readonly sources: readonly string[];
  /** The run's options that differ from their defaults. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly out: string;
  readonly timing: ScheduleTiming;
  readonly overlap: Overlap;
  readonly catchUp: CatchUp;
  readonly catchUpLimit: number;
  /** The next five starts, ISO 8601, UTC, as are the others. */
  readonly next: readonly string[];
  /** The last starts, latest first. */
  readonly last: readonly ScheduledStart[];
  /** Dataset of the last start that completed: what a start is compared with. */
  readonly lastOut: string | null;
  /** Whether a `labelmill schedule run` was there in the last minute and a half. */
  readonly isExecuted: boolean;
}

export interface AddedSchedule extends ScheduleStatus {
  readonly change: "added" | "changed" | "unchanged";
}

/**
 * Adds a schedule, or replaces the one of that name: at each start it does what `enqueue` does with the same sources and
 * options, into a dataset of its own. Sources and options are checked now. Idempotent, also at the same time. Throws
 * OPTION_*, RUN_SOURCE_*, MODEL_UNKNOWN, REDIS_*.
 */
export async function addSchedule(sources: string | readonly string[], given: ScheduleOptions): Promise<AddedSchedule> {
  const { name, cron, every, timeZone, quiet, overlap = "skip", catchUp = "one", catchUpLimit = 10, ...call } = given;
  const timing = parseTiming({ cron, every, timeZone, quiet }, Date.now());
  requireName(name);
  requireLimit(catchUpLimit);
  return withRedis(call, async (redis, context) => {
    const out = templateOf(name, timing, context);
    const absolute = [sources].flat().map((source) => fixedSource(source, context.places.cwd));
    await checkCall(context, absolute, outOf(out, timing, Date.now()));
    const pattern = JSON.stringify(timing);
    const options = pinnedOptions(context);
    const schedule: Schedule = { v: 1, name, sources: absolute, options, out, pattern, overlap, catchUp, catchUpLimit };
    const change = await putSchedule(redis, schedule);
    const queue = openScheduleQueue(redis);
    try {
      await queue.announce(name, timing);
    } finally {
      await queue.close();
    }
    return { change, ...(await statusOf(redis, schedule)) };
  });
}

/** All schedules, by name. Throws REDIS_*, SCHEDULE_UNREADABLE. */
export function listSchedules(given: RunsOptions = {}): Promise<ScheduleStatus[]> {
  return withRedis(given, async (redis) => {
    const found: ScheduleStatus[] = [];
    for (const name of await listScheduleNames(redis)) {
      const schedule = await readSchedule(redis, name);
      if (schedule !== null) found.push(await statusOf(redis, schedule));
    }
    return found;
  });
}

/** Throws SCHEDULE_UNKNOWN, naming those that are nearest, SCHEDULE_UNREADABLE, REDIS_*. */
export function showSchedule(name: string, given: RunsOptions = {}): Promise<ScheduleStatus> {
  return withRedis(given, async (redis) => {
    const schedule = await readSchedule(redis, name);
    if (schedule === null) throw await unknown(redis, name);
    return statusOf(redis, schedule);
  });
}

/** Forgets a schedule; a run that it started goes on, and datasets stay. Throws SCHEDULE_UNKNOWN, REDIS_*. */
export function removeSchedule(name: string, given: RunsOptions = {}): Promise<{ readonly name: string }> {
  return withRedis(given, async (redis) => {
    if (!(await dropSchedule(redis, name))) throw await unknown(redis, name);
    const queue = openScheduleQueue(redis);
    try {
      await queue.silence(name);
    } finally {
      await queue.close();
    }
    return { name };
  });
}

async function withRedis<T>(
  given: CallOptions,
  action: (redis: Redis, context: CallContext) => Promise<T>,
): Promise<T> {
  const context = resolveCall(given);
  try {
    const { redis, close } = await requireRedis(context);
    try {
      return await action(redis, context);
    } finally {
      await close({ discard: false });
    }
  } finally {
    context.release();
  }
}

async function statusOf(redis: Redis, schedule: Schedule): Promise<ScheduleStatus> {
  const { v, pattern, ...shown } = schedule;
  const timing = timingOf(schedule);
  const next = nextStarts(timing, Date.now(), shownStarts).map((ms) => new Date(ms).toISOString());
  const last = (await readStarts(redis, schedule.name)).reverse().map(scheduledStart);
  const lastOut = last.find(({ state }) => state === "completed")?.out ?? null;
  return { ...shown, timing, next, last, lastOut, isExecuted: await hasExecutor(redis) };
}

const shownStarts = 5;

/** Opens the sources as a run would, so that what cannot be run is refused now. Writes nothing. */
async function checkCall(context: CallContext, sources: readonly string[], out: string): Promise<void> {
  const { options, places } = context;
  const model = await describeModel(places.cacheDir, options.model, options.precision);
  const web = await readWebAccess(options, places);
  const first = { ...context, options: withoutLast(options) };
  const { out: location } = await openCall(first, sources, { model, web });
  // The place of a dataset that cannot be: it is not looked at.
  createDatasetOpener(context)(options.out === null ? location : out);
}

/** What fixes the rows, and what a run may be told: pinned, since an executor may have other settings. */
function pinnedOptions({ options: given, places }: CallContext): Record<string, unknown> {
  const { cwd } = places;
  const header = given.header.map((each) => fixHeaderFile(each, cwd));
  // Without passwords, as a run notes them, and with absolute directories: the workers have their own of both.
  const sink = readSinkTargets(given.sink, places).map((target) => target.name);
  const options = { ...given, header, sink, against: fixedAgainst(given.against, cwd) };
  const names = optionNames.filter((name) => {
    const spec: OptionSpec = optionTable[name];
    const isOwn = name === "out" || name === "redisUrl" || spec.class === "execution";
    return (
      !isOwn && spec.commands.includes("enqueue") && JSON.stringify(options[name]) !== JSON.stringify(spec.default)
    );
  });
  return Object.fromEntries(names.map((name) => [name, options[name]]));
}

/** Not every name with a colon in it: a file may have one. */
const isUri = (text: string) => /^[a-z][a-z0-9+.-]+:\//i.test(text);

/** The source as another process, in another directory, finds it. */
function fixedSource(source: string, cwd: string): string {
  if (source === "-") {
    const expected = "a source that is there at each start, and not stdin";
    throw new LabelmillError("OPTION_INVALID", { option: "source", expected, value: source, from: "the schedule" });
  }
  return isUri(source) || isAbsolute(source) ? source : resolve(cwd, source);
}

/** `--out` with a place for the start in it. Throws OPTION_INVALID where two starts would have one dataset. */
function templateOf(name: string, timing: ScheduleTiming, { options, places }: CallContext): string {
  const given = options.out ?? `labelmill-out/${name}`;
  const template = /\{(start|date)\}/.test(given) ? given : `${given.replace(/\/+$/, "")}/{start}`;
  const out = isUri(template) ? template : resolve(places.cwd, template);
  const places50 = nextStarts(timing, Date.now(), 50).map((ms) => outOf(out, timing, ms));
  if (new Set(places50).size < places50.length) {
    const expected = "a directory with {start} in it, since there are several starts on one {date}";
    throw new LabelmillError("OPTION_INVALID", { option: "out", expected, value: given, from: "the schedule" });
  }
  return out;
}

function requireName(name: string): void {
  if (/^[a-z0-9][a-z0-9._-]{0,63}$/i.test(name)) return;
  const expected = "1 to 64 letters, digits, `.`, `-` and `_`, the first no sign";
  throw new LabelmillError("OPTION_INVALID", { option: "name", expected, value: name, from: "the schedule" });
}

function requireLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= 40) return;
  const details = { option: "catchUpLimit", expected: "an integer from 1 to 40", value: limit, from: "the schedule" };
  throw new LabelmillError("OPTION_INVALID", details);
}

async function unknown(redis: Redis, given: string): Promise<LabelmillError> {
  const names = await listScheduleNames(redis);
  const nearest = names.sort((a, b) => editDistance(given, a) - editDistance(given, b)).slice(0, shownStarts);
  const known = nearest.length === 0 ? "there is none" : `there are ${nearest.join(", ")}`;
  return new LabelmillError("SCHEDULE_UNKNOWN", { given, known });
}
