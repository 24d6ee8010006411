import type { Start } from "../producer/schedule-book.js";
import { dateOf, type ScheduleTiming } from "../producer/schedule-timing.js";

/** One start of a schedule, and what became of it. */
export interface ScheduledStart extends Omit<Start, "startMs" | "endedAtMs"> {
  /** ISO 8601, UTC. */
  readonly start: string;
  readonly endedAt: string | null;
}

export function scheduledStart({ startMs, endedAtMs, ...start }: Start): ScheduledStart {
  const endedAt = endedAtMs === null ? null : new Date(endedAtMs).toISOString();
  return { start: new Date(startMs).toISOString(), ...start, endedAt };
}

/**
 * Location of a start's dataset: `{start}` is its moment in UTC (`20261025T003000Z`), `{date}` its day in the schedule's time
 * zone (`2026-10-25`). One start has one dataset, so submitting it twice is one run.
 */
export function outOf(template: string, timing: ScheduleTiming, startMs: number): string {
  const start = new Date(startMs).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  return template.replaceAll("{start}", start).replaceAll("{date}", dateOf(timing, startMs));
}
