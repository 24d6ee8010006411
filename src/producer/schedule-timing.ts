/**
 * When a schedule starts its runs: a cron line or an interval, by the clock of a time zone, outside quiet hours. Pure
 * functions of a moment, so that every process comes to the same starts.
 *
 * A start is known by its moment. Where clocks go back, a line that names an hour (`30 2 * * *`) starts once, in the first of
 * the two equal hours, and one that names none (every 30 minutes) goes on through both; where they go forward, a start that would fall
 * into the missing hour comes an hour later. cron-parser knows these rules only while it walks: asked anew from within the
 * second of two equal hours it gives that start again, and from within the hour after the gap it leaves it out (tried with
 * 5.10.3, which BullMQ asks in that way). So each question here walks from a while before.
 */
import { CronExpressionParser } from "cron-parser";
import { z } from "zod";
import { LabelmillError, messageOf } from "../shared/errors.js";
import { durationMs } from "../shared/option-spec.js";

export const timingSchema = z.strictObject({
  /** Five fields: minute, hour, day of month, month, day of week; null for an interval. */
  cron: z.string().nullable(),
  /** Counted from 1970 in UTC, so that the starts do not depend on when the schedule was added; null for a cron line. */
  everyMs: z.number().int().min(60_000).nullable(),
  /** IANA name. */
  timeZone: z.string(),
  /** Minutes of the day in that zone; over midnight where `to` is not after `from`. */
  quiet: z.strictObject({ from: z.int().min(0).max(1439), to: z.int().min(0).max(1439) }).nullable(),
});
export type ScheduleTiming = Readonly<z.infer<typeof timingSchema>>;

/** What a user says of it. */
export interface TimingWords {
  readonly cron?: string | undefined;
  /** `30m`, `6h`, `1d`. */
  readonly every?: string | undefined;
  /** @default UTC */
  readonly timeZone?: string | undefined;
  /** `22:00-06:00`: nothing starts then. */
  readonly quiet?: string | undefined;
}

/** Before the moment that is asked for: more than any clock is put forward or back at once. */
const walkFromMs = 3 * 3_600_000;
/** A schedule that has no start outside its quiet hours for so long has none. */
const mostQuietMs = 400 * 86_400_000;
const minuteMs = 60_000;

/** Throws OPTION_INVALID, naming the field that cannot be read, or that nothing would ever start. */
export function parseTiming({ cron, every, timeZone = "UTC", quiet }: TimingWords, nowMs: number): ScheduleTiming {
  if ((cron === undefined) === (every === undefined))
    throw invalid("cron", "given where --every is not, and only there", cron ?? "none");
  const timing = {
    cron: cron === undefined ? null : requireCron(cron),
    everyMs: every === undefined ? null : requireEvery(every),
    timeZone: requireZone(timeZone),
    quiet: quiet === undefined ? null : requireQuiet(quiet),
  };
  if (nextStart(timing, nowMs) === null)
    throw invalid("quiet", "hours that leave something of the schedule", `${quiet} of ${cron ?? every}`);
  return timing;
}

/** The first start after `afterMs`, or null where there is none. */
export function nextStart(timing: ScheduleTiming, afterMs: number): number | null {
  for (const startMs of startsAfter(timing, afterMs)) return startMs;
  return null;
}

/** The first `count` starts after `afterMs`. */
export function nextStarts(timing: ScheduleTiming, afterMs: number, count: number): number[] {
  const found: number[] = [];
  for (const startMs of startsAfter(timing, afterMs)) {
    found.push(startMs);
    if (found.length >= count) break;
  }
  return found;
}

/**
 * The last `most` starts after `afterMs` up to and with `untilMs`, oldest first. Walks the end of that time first: all starts
 * of 31 days of a line that starts each minute took 7 s, in which a process would keep no lock alive.
 */
export function lastStarts(timing: ScheduleTiming, afterMs: number, untilMs: number, most: number): number[] {
  for (let spanMs = 3_600_000; ; spanMs *= 4) {
    const fromMs = Math.max(afterMs, untilMs - spanMs);
    const found = startsBetween(timing, fromMs, untilMs);
    if (found.length >= most || fromMs === afterMs) return found.slice(-most);
  }
}

function startsBetween(timing: ScheduleTiming, afterMs: number, untilMs: number): number[] {
  const found: number[] = [];
  for (const startMs of startsAfter(timing, afterMs)) {
    if (startMs > untilMs) break;
    found.push(startMs);
  }
  return found;
}

/** Whether it is quiet at that moment. */
export function isQuiet(timing: ScheduleTiming, atMs: number): boolean {
  return quietTest(timing)(atMs);
}

/** The same for many moments: a formatter is dear to make. */
function quietTest({ quiet, timeZone }: ScheduleTiming): (atMs: number) => boolean {
  if (quiet === null) return () => false;
  const { from, to } = quiet;
  const format = new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return (atMs) => {
    const minute = parseClock(format.format(atMs)) ?? 0;
    return from < to ? minute >= from && minute < to : minute >= from || minute < to;
  };
}

/** `2026-10-25` in the schedule's zone. */
export function dateOf({ timeZone }: ScheduleTiming, atMs: number): string {
  // The Swedish form of a date is that of ISO 8601.
  return new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short" }).format(atMs);
}

function* startsAfter(timing: ScheduleTiming, afterMs: number): Generator<number> {
  const isQuietAt = quietTest(timing);
  let lastMs = afterMs;
  for (const startMs of timing.everyMs === null ? cronStarts(timing, afterMs) : steps(timing.everyMs, afterMs)) {
    if (isQuietAt(startMs)) {
      if (startMs - lastMs > mostQuietMs) return;
      continue;
    }
    lastMs = startMs;
    yield startMs;
  }
}

function* steps(everyMs: number, afterMs: number): Generator<number> {
  for (let n = Math.floor(afterMs / everyMs) + 1; ; n += 1) yield n * everyMs;
}

function* cronStarts({ cron, timeZone }: ScheduleTiming, afterMs: number): Generator<number> {
  const walk = CronExpressionParser.parse(cron ?? "", { currentDate: new Date(afterMs - walkFromMs), tz: timeZone });
  while (walk.hasNext()) {
    const startMs = walk.next().getTime();
    if (startMs > afterMs) yield startMs;
  }
}

function requireCron(cron: string): string {
  const line = cron.trim().replaceAll(/\s+/g, " ");
  const expected = "five fields: minute, hour, day of month, month, day of week, as `30 2 * * *`";
  if (line.split(" ").length !== 5) throw invalid("cron", expected, cron);
  // cron-parser draws a value for each H, anew each time it is asked: no two processes would come to the same starts.
  if (/\bH/i.test(line)) throw invalid("cron", `${expected} (H, a value that is drawn, is not known)`, cron);
  try {
    // Also finds what never comes, as February 30.
    CronExpressionParser.parse(line, { currentDate: new Date(0), tz: "UTC" }).next();
  } catch (error) {
    throw invalid("cron", `${expected} (${messageOf(error)})`, cron);
  }
  return line;
}

function requireEvery(every: string): number {
  const ms = /^[1-9]\d{0,5}[smhd]$/.test(every) ? durationMs(every) : 0;
  if (ms < minuteMs || ms > 365 * 86_400_000)
    throw invalid("every", "a duration from 60s to 365d, as 30m, 6h or 1d", every);
  return ms;
}

function requireZone(timeZone: string): string {
  try {
    return new Intl.DateTimeFormat("en", { timeZone }).resolvedOptions().timeZone;
  } catch {
    throw invalid("timeZone", "the name of a time zone, as Europe/Berlin or UTC", timeZone);
  }
}

function requireQuiet(quiet: string): { from: number; to: number } {
  const [from, to, ...rest] = quiet.split("-").map(parseClock);
  if (from == null || to == null || rest.length > 0 || from === to)
    throw invalid("quiet", "two different times of the day, as 22:00-06:00", quiet);
  return { from, to };
}

function parseClock(text: string): number | null {
  const [, hour, minute] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  return hour === undefined ? null : Number(hour) * 60 + Number(minute);
}

function invalid(option: string, expected: string, value: string): LabelmillError {
  return new LabelmillError("OPTION_INVALID", { option, expected, value, from: "the schedule" });
}
