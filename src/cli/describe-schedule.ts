/** What `schedule` prints for people; the library has the same as objects. */
import type { ScheduledStart } from "../library/scheduled-out.js";
import type { ScheduleStatus } from "../library/schedules.js";
import { formatTable } from "./table.js";

/** One line a schedule. */
export function describeSchedules(schedules: readonly ScheduleStatus[]): string {
  if (schedules.length === 0) return "No schedules.";
  const header = ["schedule", "starts", "next", "last start", "came to", "dataset"];
  const rows = schedules.map((schedule) => {
    const [last] = schedule.last;
    const came = last === undefined ? "" : outcomeOf(last);
    return [
      schedule.name,
      timesOf(schedule),
      schedule.next[0] ?? "",
      last?.start ?? "",
      came,
      last?.out ?? schedule.out,
    ];
  });
  return formatTable(header, rows) + warningOf(schedules);
}

/** Everything about one schedule. */
export function describeSchedule(schedule: ScheduleStatus): string {
  const { name, sources, options, out, overlap, catchUp, catchUpLimit, next, last } = schedule;
  const lines: [string, string][] = [
    ["schedule", name],
    ["starts", timesOf(schedule)],
    ["next", next.join(", ")],
    ["sources", sources.join(", ")],
    ["options", Object.keys(options).length === 0 ? "defaults" : JSON.stringify(options)],
    ["dataset", out],
    ["overlap", overlap],
    ["catch up", catchUp === "all" ? `all, ${catchUpLimit} at most` : catchUp],
    ...last.map((start): [string, string] => [start.start, `${outcomeOf(start)}; ${start.out}`]),
  ];
  return formatTable(["", ""], lines).trimStart() + warningOf([schedule]);
}

function timesOf({ timing }: ScheduleStatus): string {
  const { cron, everyMs, timeZone, quiet } = timing;
  const times = cron === null ? `every ${(everyMs ?? 0) / 1000} s` : `${cron} (${timeZone})`;
  return quiet === null ? times : `${times}, not ${clock(quiet.from)}-${clock(quiet.to)}`;
}

function outcomeOf({ state, reason, items, ok, failed, isLate, runId }: ScheduledStart): string {
  const counts = ok === null ? (items === null ? "" : `, ${items} items`) : `, ${ok} ok, ${failed} failed`;
  const late = isLate && state !== "missed" ? " (late)" : "";
  const run = runId === null ? "" : `, run ${runId}`;
  return `${state}${late}${counts}${run}${reason === null ? "" : `: ${reason}`}`;
}

function warningOf(schedules: readonly ScheduleStatus[]): string {
  return schedules.every(({ isExecuted }) => isExecuted) ? "" : "\nNo `labelmill schedule run` executes them.";
}

function clock(minute: number): string {
  const two = (n: number) => String(n).padStart(2, "0");
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}
